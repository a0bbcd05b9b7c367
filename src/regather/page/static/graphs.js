// Rates over five minutes, or an hour; a cursor reads the values as text.
import { $, color, scale, setText, sized, smallFont } from "./dom.js";
import { clock, rate } from "./words.js";

const RANGES = { seconds: [300, 1], tens: [3600, 10] };
let LEFT = 64;
let BOTTOM = 18;
let range = "seconds";
let graphs = null;
let now = 0;
let at = null;

function nice(most) {
  let step = 1024;
  while (step * 4 < most) step *= 2;
  return step;
}

export function show(state) {
  graphs = state.graphs;
  now = state.now;
  setText($("graph-in"), rate(state.rates.in));
  setText($("graph-out"), rate(state.rates.out));
  draw();
}

const points = () => graphs[range];

function draw() {
  const canvas = $("graph-canvas");
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return;
  const context = sized(canvas, width, height);
  const [seconds, gap] = RANGES[range];
  const most = Math.max(1024, ...points().map((point) => Math.max(point[1], point[2])));
  const step = nice(most);
  const top = Math.ceil(most / step) * step;
  const x = (time) => LEFT + ((time - (now - seconds)) / seconds) * (width - LEFT - 4);
  const y = (value) => (height - BOTTOM) - (value / top) * (height - BOTTOM - 8);
  context.font = smallFont();
  LEFT = 64 * scale();
  BOTTOM = 18 * scale();
  context.fillStyle = color("quiet");
  context.strokeStyle = color("line");
  context.lineWidth = 1;
  context.textAlign = "end";
  for (let value = 0; value <= top; value += step) {
    context.beginPath();
    context.moveTo(LEFT, Math.round(y(value)) + 0.5);
    context.lineTo(width, Math.round(y(value)) + 0.5);
    context.stroke();
    context.fillText(value ? rate(value).replace(".0", "") : "0", LEFT - 6, y(value) + 4);
  }
  context.textAlign = "start";
  context.fillText(range === "seconds" ? "5 minutes ago" : "1 hour ago", LEFT, height - 4);
  context.textAlign = "end";
  context.fillText("now", width - 2, height - 4);
  context.lineWidth = 2;
  context.lineJoin = "round";
  [["in", 1, []], ["out", 2, [5, 4]]].forEach(([name, place, dash]) => {
    if (!points().some((point) => point[place])) return;
    context.strokeStyle = color(name);
    context.setLineDash(dash);
    context.beginPath();
    let before = -Infinity;
    for (const point of points()) {
      if (point[0] < now - seconds) continue;
      if (point[0] - before > 2.5 * gap) context.moveTo(x(point[0]), y(point[place]));
      else context.lineTo(x(point[0]), y(point[place]));
      before = point[0];
    }
    context.stroke();
  });
  context.setLineDash([]);
  if (at === null || !points().length) return;
  at = Math.max(0, Math.min(at, points().length - 1));
  const point = points()[at];
  context.strokeStyle = color("text");
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(x(point[0]), 0);
  context.lineTo(x(point[0]), height - BOTTOM);
  context.stroke();
  setText($("graph-cell"), `${clock(point[0])}: in ${rate(point[1])}, out ${rate(point[2])}, ${point[3]} errors a second.`);
}

export function start() {
  const view = $("graph-view");
  for (const button of document.querySelectorAll("[data-range]")) {
    button.addEventListener("click", () => {
      range = button.dataset.range;
      at = null;
      setText($("graph-cell"), "");
      for (const other of document.querySelectorAll("[data-range]")) other.setAttribute("aria-pressed", String(other === button));
      if (graphs) draw();
    });
  }
  view.addEventListener("keydown", (event) => {
    if (!graphs?.[range].length) return;
    const last = points().length - 1;
    if (event.key === "ArrowLeft") at = (at ?? last + 1) - 1;
    else if (event.key === "ArrowRight") at = (at ?? last - 1) + 1;
    else if (event.key === "Home") at = 0;
    else if (event.key === "End") at = last;
    else return;
    event.preventDefault();
    draw();
  });
  view.addEventListener("pointermove", (event) => {
    if (!graphs?.[range].length) return;
    const box = view.getBoundingClientRect();
    const time = now - RANGES[range][0] * (1 - (event.clientX - box.left - LEFT) / (box.width - LEFT - 4));
    at = points().reduce((best, point, n) => (Math.abs(point[0] - time) < Math.abs(points()[best][0] - time) ? n : best), 0);
    draw();
  });
  new ResizeObserver(() => graphs && draw()).observe(view);
  window.addEventListener("theme", () => graphs && draw());
}
