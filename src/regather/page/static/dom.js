// Small helpers. Texts from servers and manifests only ever become text nodes.
export const $ = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function setIcon(svg, name) {
  setAttribute(svg.firstElementChild, "href", `#i-${name}`);
}

export function spark() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 60 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("vector-effect", "non-scaling-stroke");
  svg.append(path);
  return svg;
}

// A named item, kept apart from the direction of the text around it.
export function name(text) {
  return make("span", { class: "name", dir: "auto", title: text }, text);
}

export function isolated(text) {
  return `\u2068${text}\u2069`;
}

// A canvas of so many CSS pixels; returns its context, cleared.
export function sized(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const w = Math.max(1, Math.round(width * ratio));
  const h = Math.max(1, Math.round(height * ratio));
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// How large texts are, as a factor of the usual size: canvases follow it.
export const scale = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 15;
export const smallFont = () => `${(11 * scale()).toFixed(1)}px system-ui, "DejaVu Sans", sans-serif`;

let colors = {};
export function color(name) {
  colors[name] ??= getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return colors[name];
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colors = {};
  window.dispatchEvent(new Event("theme"));
});

// The colour of a server, by its number: far apart, of the same lightness, the first ones not red.
const HUES = [212, 172, 40, 315, 90, 235, 20, 190];
export function serverColor(id) {
  if (id === -3) return color("unknown");
  if (id < 0) return color("faint");
  return (colors[`server ${id}`] ??= hue(id));
}

function hue(id) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return `hsl(${HUES[id - 1] ?? Math.round((id * 137.5) % 360)} ${dark ? "55% 62%" : "58% 44%"})`;
}

// Draw a cell of the map; the shape says the same as the colour.
export function drawCell(context, letter, x, y, w, h) {
  const gap = w > 7 && h > 7 ? 1 : 0;
  const [left, top, width, height] = [x + gap, y + gap, w - 2 * gap, h - 2 * gap];
  const small = Math.min(width, height);
  const [cx, cy] = [left + width / 2, top + height / 2];
  const mark = Math.max(1.5, small * 0.22);
  context.lineWidth = Math.max(1, small / 11);
  const line = (...points) => {
    context.beginPath();
    points.forEach(([px, py], n) => (n % 2 ? context.lineTo(px, py) : context.moveTo(px, py)));
    context.stroke();
  };
  const fill = (name) => {
    context.fillStyle = color(name);
    context.fillRect(left, top, width, height);
  };
  context.strokeStyle = color("card");
  switch (letter) {
    case "h":
      fill("held");
      break;
    case "r":
      fill("reading");
      if (small >= 5) {
        context.fillStyle = color("card");
        context.beginPath();
        context.moveTo(cx - mark, cy - mark * 0.7);
        context.lineTo(cx + mark, cy - mark * 0.7);
        context.lineTo(cx, cy + mark);
        context.fill();
      }
      break;
    case "c":
      fill("corrupt");
      if (small >= 5) {
        line([cx - mark, cy - mark], [cx + mark, cy + mark], [cx + mark, cy - mark], [cx - mark, cy + mark]);
      }
      break;
    case "o":
      context.strokeStyle = color("reach");
      context.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
      line([left, top + height], [left + width, top]);
      break;
    case "u":
      context.fillStyle = color("unknown");
      context.fillRect(cx - small / 5, cy - small / 5, small * 0.4, small * 0.4);
      break;
    case "a":
      context.strokeStyle = color("absent");
      context.lineWidth = 1;
      context.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
      break;
    case "p":
      fill("computed");
      if (small >= 5) line([cx - mark, cy], [cx + mark, cy], [cx, cy - mark], [cx, cy + mark]);
      break;
  }
}
