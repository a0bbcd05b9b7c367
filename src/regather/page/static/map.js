// The map: servers are rows, fragments are columns; the same as text and as a table.
import { $, color, drawCell, make, scale, setText, sized, smallFont } from "./dom.js";
import { CELLS, counted, fragmentName } from "./words.js";

let HEAD = 18;
const PAGE = 50;
const MANY = 2000;
const FEW = 3;
let file = null;
let servers = [];
let cursor = null;
let cellWidth = 0;
let rowHeight = 0;
let drawn = "";
let tableAt = 0;
let tableKey = "";

const hasParity = () => file.sets.length > 0 && file.pieces !== null;
const rowCount = () => servers.length + (hasParity() ? 1 : 0);
const rowName = (row) => (row < servers.length ? servers[row].name : "from parity");

// The letter of a cell; the last row has the fragments that were computed.
function letterAt(row, column) {
  const one = file.fragments[column];
  if (row < servers.length) return one.cells[row] ?? "-";
  return one.computed ? "p" : " ";
}

export function cellText(row, column) {
  const one = file.fragments[column];
  if (row >= servers.length) {
    const part = one.computed ? `${counted(one.computed, "piece")} computed from parity` : "nothing computed";
    return `Fragment ${one.index}: ${part}.`;
  }
  const kind = (file.sets.length > 1 ? `, set ${one.set}` : "") + (one.kind === "parity" ? ", parity" : "");
  return `Fragment ${one.index}${kind}, ${servers[row].name}: ${CELLS[letterAt(row, column)]}${file.pieces ? `; ${one.done} of ${one.pieces} pieces here` : ""}.`;
}

export function show(state, chosen) {
  file = state.files[chosen] ?? null;
  servers = state.servers;
  const body = $("map-body");
  body.hidden = !file || file.map_left_out || !servers.length;
  if (body.hidden) return;
  setText($("sets"), setsText());
  layOut();
  draw();
  showCell();
  showTable();
}

function setsText() {
  if (!file.sets.length) return `${counted(file.fragments.length, "fragment")}, no parity.`;
  if (file.sets.length === 1) return `${file.sets[0].text}.`;
  if (file.sets.length <= FEW) return file.sets.map((set) => `Set ${set.number}: ${set.text}.`).join(" ");
  const least = file.sets.reduce((a, b) => (b.available - b.needed < a.available - a.needed ? b : a));
  return `${counted(file.sets.length, "erasure set")}; the one with the least to spare is set ${least.number}: ${least.text}.`;
}

function layOut() {
  const room = $("map-view").clientWidth;
  const columns = file.fragments.length;
  const unit = scale();
  HEAD = Math.round(18 * unit);
  cellWidth = Math.max(7, Math.min(Math.round(56 * unit), Math.floor(room / columns)));
  rowHeight = Math.round((rowCount() > 40 ? 9 : rowCount() > 16 ? 17 : 24) * unit);
  const names = $("map-names");
  const shown = rowHeight > 12;
  const wanted = shown ? Array.from({ length: rowCount() }, (_, row) => rowName(row)) : [];
  if (names.dataset.key !== JSON.stringify([wanted, rowHeight])) {
    names.dataset.key = JSON.stringify([wanted, rowHeight]);
    names.replaceChildren(...wanted.map((text) => make("span", { title: text }, text)));
    names.style.paddingTop = `${HEAD}px`;
    for (const span of names.children) {
      span.style.height = `${rowHeight}px`;
      span.style.lineHeight = `${rowHeight}px`;
    }
  }
}

function draw(force = false) {
  const key = [file.name, cellWidth, rowHeight, servers.length, cursor?.row, cursor?.column, devicePixelRatio, file.fragments.map((one) => one.cells + (one.computed ? "p" : ""))].join();
  if (key === drawn && !force) return;
  drawn = key;
  const columns = file.fragments.length;
  const canvas = $("map-canvas");
  const [width, height] = [cellWidth * columns + 2, HEAD + rowHeight * rowCount() + 2];
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = sized(canvas, width, height);
  context.font = smallFont();
  context.textAlign = "center";
  const unit = scale();
  const every = Math.max(1, Math.ceil((24 * unit) / cellWidth));
  // Of many cells most are absent: those are left empty.
  const many = columns * rowCount() > MANY;
  const counts = {};
  for (let column = 0; column < columns; column += 1) {
    const one = file.fragments[column];
    const x = column * cellWidth;
    if (one.set % 2) {
      context.fillStyle = color("faint");
      context.fillRect(x, 0, cellWidth, height);
    }
    if (column % every === 0) {
      context.fillStyle = color("quiet");
      context.fillText(String(one.index), x + cellWidth / 2, 12 * unit);
    }
    if (one.kind === "parity") {
      context.fillStyle = color("computed");
      context.fillRect(x + 1, HEAD - 3, cellWidth - 2, 2);
    }
    for (let row = 0; row < rowCount(); row += 1) {
      const letter = letterAt(row, column);
      counts[letter] = (counts[letter] ?? 0) + 1;
      if (!many || letter !== "a") drawCell(context, letter, x, HEAD + row * rowHeight, cellWidth, rowHeight);
    }
  }
  if (cursor) {
    context.strokeStyle = color("text");
    context.lineWidth = 2;
    context.strokeRect(cursor.column * cellWidth + 1, HEAD + cursor.row * rowHeight + 1, cellWidth - 2, rowHeight - 2);
  }
  legend(counts);
}

function legend(counts) {
  const list = $("map-legend");
  const letters = Object.keys(CELLS).filter((letter) => letter !== "-" && counts[letter]);
  const key = letters.map((letter) => letter + counts[letter]).join();
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(
    ...letters.map((letter) => {
      const swatch = make("canvas", { "aria-hidden": "true" });
      swatch.style.width = swatch.style.height = "16px";
      drawCell(sized(swatch, 16, 16), letter, 0, 0, 16, 16);
      return make("li", {}, swatch, `${CELLS[letter]} ${counts[letter]}`);
    }),
  );
}

function showCell() {
  if (!cursor) return;
  cursor.row = Math.min(cursor.row, rowCount() - 1);
  cursor.column = Math.min(cursor.column, file.fragments.length - 1);
  setText($("map-cell"), cellText(cursor.row, cursor.column));
}

function move(row, column) {
  cursor = {
    row: Math.max(0, Math.min(row, rowCount() - 1)),
    column: Math.max(0, Math.min(column, file.fragments.length - 1)),
  };
  const view = $("map-view");
  const x = cursor.column * cellWidth;
  if (x < view.scrollLeft || x + cellWidth > view.scrollLeft + view.clientWidth) {
    view.scrollLeft = x - view.clientWidth / 2;
  }
  draw();
  showCell();
}

function showTable() {
  const details = $("map-table");
  if (!details.open) return;
  const count = file.fragments.length;
  tableAt = Math.min(tableAt, Math.max(0, count - 1));
  const some = file.fragments.slice(tableAt, tableAt + PAGE);
  const key = JSON.stringify([tableAt, servers.map((row) => row.name), some.map((one) => [one.cells, one.computed, one.done])]);
  if (key === tableKey) return;
  tableKey = key;
  const head = make("tr", {}, ...["Fragment", "Pieces", ...servers.map((row) => row.name), ...(hasParity() ? ["Computed"] : [])].map((text) => make("th", { scope: "col", title: text }, text)));
  const rows = some.map((one) => {
    const cells = [file.pieces ? `${one.done} of ${one.pieces} here` : String(one.pieces), ...servers.map((_, row) => CELLS[one.cells[row] ?? "-"])];
    if (hasParity()) cells.push(counted(one.computed, "piece"));
    const title = fragmentName(one);
    return make("tr", {}, make("th", { scope: "row" }, title[0].toUpperCase() + title.slice(1)), ...cells.map((text) => make("td", {}, text)));
  });
  details.querySelector(".scroll").replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
  const pager = details.querySelector(".pager");
  pager.hidden = count <= PAGE;
  setText(pager.querySelector("span"), `${tableAt + 1} to ${Math.min(tableAt + PAGE, count)} of ${count}`);
  $("table-back").disabled = tableAt === 0;
  $("table-on").disabled = tableAt + PAGE >= count;
}

export function start() {
  const view = $("map-view");
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  view.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!file) return;
    if (step) move((cursor?.row ?? 0) + (cursor ? step[0] : 0), (cursor?.column ?? 0) + (cursor ? step[1] : 0));
    else if (event.key === "Home") move(cursor?.row ?? 0, 0);
    else if (event.key === "End") move(cursor?.row ?? 0, file.fragments.length - 1);
    else return;
    event.preventDefault();
  });
  view.addEventListener("focus", () => {
    if (file && !cursor) move(0, 0);
  });
  $("map-canvas").addEventListener("pointermove", (event) => {
    const box = event.target.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top - HEAD) / rowHeight);
    const column = Math.floor((event.clientX - box.left) / cellWidth);
    if (row >= 0 && row < rowCount() && column < file.fragments.length) move(row, column);
  });
  $("map-table").addEventListener("toggle", () => {
    tableKey = "";
    if (file) showTable();
  });
  for (const [id, by] of [["table-back", -PAGE], ["table-on", PAGE]]) {
    $(id).addEventListener("click", () => {
      tableAt = Math.max(0, tableAt + by);
      showTable();
    });
  }
  new ResizeObserver(() => {
    if (file && !$("map-body").hidden) {
      layOut();
      draw();
    }
  }).observe(view);
  window.addEventListener("theme", () => {
    $("map-legend").dataset.key = "";
    if (file && !$("map-body").hidden) draw(true);
  });
}
