// The bar of the pieces, and the strip of who delivered them.
import { $, color, make, name, serverColor, setText, sized } from "./dom.js";
import { counted, percent, who } from "./words.js";

const MOST_NAMED = 12;
let file = null;
let servers = [];
let at = null;

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const decoded = new WeakMap();

function parsed(pieces) {
  if (!decoded.has(pieces)) {
    const by = [];
    for (const [id, count] of pieces.by) for (let n = 0; n < count; n += 1) by.push(id);
    decoded.set(pieces, { fill: bytesOf(pieces.fill), by, reading: new Set(pieces.reading) });
  }
  return decoded.get(pieces);
}

// How full the bins are, on a canvas as wide as it is shown.
export function drawFill(canvas, pieces) {
  const { fill, reading } = parsed(pieces);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width || !pieces.bins) return null;
  const context = sized(canvas, width, height);
  context.fillStyle = color("faint");
  context.fillRect(0, 0, width, height);
  const step = width / pieces.bins;
  for (let n = 0; n < pieces.bins; n += 1) {
    const part = fill[n] / 255;
    const wide = Math.max(1, Math.ceil((n + 1) * step) - Math.floor(n * step));
    if (part) {
      context.fillStyle = color("held");
      context.fillRect(Math.floor(n * step), height * (1 - part), wide, height * part);
    }
    if (reading.has(n)) {
      context.fillStyle = color("reading");
      context.fillRect(Math.floor(n * step), 0, wide, Math.max(3, height / 4));
    }
  }
  return { context, step, height };
}

function drawBy(canvas, pieces) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width || !pieces.bins) return;
  const context = sized(canvas, width, height);
  const step = width / pieces.bins;
  let bin = 0;
  for (const [id, count] of pieces.by) {
    context.fillStyle = id === -2 ? color("computed") : serverColor(id);
    context.fillRect(bin * step, 0, Math.ceil(count * step), height);
    bin += count;
  }
}

export function show(state, chosen) {
  file = state.files[chosen] ?? null;
  servers = state.servers;
  for (const id of ["pieces-title", "pieces-view", "piece-cell", "by-legend"]) $(id).hidden = !file?.pieces;
  $("map").hidden = !file;
  draw();
}

function draw() {
  if (!file?.pieces) return;
  const pieces = file.pieces;
  setText($("piece-count"), `${pieces.done} of ${pieces.count} here, ${percent(pieces.count ? pieces.done / pieces.count : 1)}`);
  const drawn = drawFill($("pieces-canvas"), pieces);
  drawBy($("by-canvas"), pieces);
  if (drawn && at !== null) {
    drawn.context.strokeStyle = color("text");
    drawn.context.lineWidth = 2;
    drawn.context.strokeRect(at * drawn.step, 1, Math.max(3, drawn.step), drawn.height - 2);
  }
  if (at !== null) setText($("piece-cell"), binText(at));
  legend(pieces);
}

function binText(bin) {
  const pieces = file.pieces;
  const { fill, by, reading } = parsed(pieces);
  const start = Math.floor((pieces.count * bin) / pieces.bins);
  const end = Math.floor((pieces.count * (bin + 1)) / pieces.bins);
  const which = end - start === 1 ? `Piece ${start + 1}` : `Pieces ${start + 1} to ${end}`;
  const here = fill[bin] === 255 ? "here" : fill[bin] ? `${percent(fill[bin] / 255)} here` : "";
  const parts = [here, reading.has(bin) ? "being read" : "", fill[bin] || !reading.has(bin) ? who(by[bin], servers) : ""];
  return `${which}: ${parts.filter(Boolean).join(", ")}.`;
}

function legend(pieces) {
  const counts = new Map();
  for (const [id, count] of pieces.by) if (id !== -1) counts.set(id, (counts.get(id) ?? 0) + count);
  const all = [...counts].sort((a, b) => b[1] - a[1]);
  const key = JSON.stringify([all, servers.length]);
  const list = $("by-legend");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  const items = all.slice(0, MOST_NAMED).map(([id, count]) => {
    const swatch = make("canvas", { "aria-hidden": "true" });
    swatch.style.width = swatch.style.height = "12px";
    const context = sized(swatch, 12, 12);
    context.fillStyle = id === -2 ? color("computed") : serverColor(id);
    context.fillRect(0, 0, 12, 12);
    return make("li", {}, swatch, name(who(id, servers)), percent(count / pieces.bins));
  });
  if (all.length > MOST_NAMED) items.push(make("li", {}, `and ${counted(all.length - MOST_NAMED, "more server")}`));
  list.replaceChildren(...items);
}

export function start() {
  const view = $("pieces-view");
  const move = (bin) => {
    at = Math.max(0, Math.min(bin, file.pieces.bins - 1));
    draw();
  };
  view.addEventListener("keydown", (event) => {
    if (!file?.pieces?.bins) return;
    if (event.key === "ArrowRight") move(at === null ? 0 : at + 1);
    else if (event.key === "ArrowLeft") move(at === null ? 0 : at - 1);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(file.pieces.bins - 1);
    else return;
    event.preventDefault();
  });
  view.addEventListener("pointermove", (event) => {
    if (!file?.pieces?.bins) return;
    const box = view.getBoundingClientRect();
    move(Math.floor(((event.clientX - box.left) / box.width) * file.pieces.bins));
  });
  const again = () => {
    $("by-legend").dataset.key = "";
    draw();
  };
  new ResizeObserver(draw).observe(view);
  window.addEventListener("theme", again);
}
