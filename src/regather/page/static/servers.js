// The rows of the servers; each opens to what is known of it.
import { $, icon, make, name, setAttribute, setIcon, setText, spark } from "./dom.js";
import { CELLS, clock, counted, fragmentName, latency, percent, rate, size } from "./words.js";

const MANY = 40;
const rows = new Map();
const opened = new Set();
let state = null;

function cell(label, content, number) {
  const attributes = { role: "cell" };
  if (label) attributes["data-label"] = label;
  if (number) attributes.class = "number";
  return make("span", attributes, ...content);
}

function newRow(server) {
  const mark = icon(server.state);
  const word = make("span", {});
  const is = make("span", { role: "cell", class: "is" }, mark, word);
  const button = make("button", { type: "button", "aria-expanded": "false" }, name(server.name));
  const cells = ["Rate", "Share", "Conns", "Latency", "Errors"].map((label) => cell(label === "Rate" ? "" : label, [], true));
  const line = spark();
  const row = make(
    "div",
    { role: "row", class: "server-row" },
    cell("", [button]),
    is,
    cell("", [line]),
    ...cells,
  );
  const box = make("div", { id: `server-${server.id}` }, row);
  button.addEventListener("click", () => toggle(server.id, !opened.has(server.id)));
  return { box, row, button, is, mark, word, path: line.firstElementChild, cells, details: null };
}

export function toggle(id, open) {
  if (open) opened.add(id);
  else opened.delete(id);
  if (state) show(state);
}

function line(points) {
  const most = Math.max(...points, 1);
  const start = 60 - points.length;
  return points.map((value, n) => `${n ? "L" : "M"}${start + n} ${(19 - (18 * value) / most).toFixed(1)}`).join("");
}

export function show(now) {
  state = now;
  const parent = $("server-rows");
  parent.classList.toggle("many", now.servers.length > MANY);
  $("no-servers").hidden = now.servers.length > 0;
  setText($("server-count"), now.servers.length ? String(now.servers.length) : "");
  for (const server of now.servers) {
    let row = rows.get(server.id);
    if (!row) {
      row = newRow(server);
      rows.set(server.id, row);
      parent.append(row.box);
    }
    setAttribute(row.is, "data-state", server.state);
    setIcon(row.mark, server.state);
    setText(row.word, server.text);
    row.path.setAttribute("d", line(server.spark));
    const errors = Object.values(server.errors).reduce((a, b) => a + b, 0) + server.corrupt;
    const texts = [rate(server.rate), percent(server.share), String(server.connections), latency(server.latency), String(errors)];
    texts.forEach((text, n) => setText(row.cells[n], text));
    const open = opened.has(server.id);
    setAttribute(row.button, "aria-expanded", String(open));
    if (open) showDetails(row, server, now);
    else if (row.details) {
      row.details.remove();
      row.details = null;
    }
  }
}

function showDetails(row, server, now) {
  const facts = [`Delivered ${size(server.useful || server.sent)}; received ${size(server.received)}.`];
  const kinds = Object.entries(server.errors).map(([kind, count]) => `${kind}: ${count}`);
  if (server.corrupt) kinds.push(`corrupt pieces: ${server.corrupt}`);
  facts.push(kinds.length ? `Errors by kind: ${kinds.join(", ")}.` : "No error so far.");
  if (server.last_error) facts.push(`Last error, ${clock(server.last_error.at)}: ${server.last_error.text}`);
  for (const file of now.files) {
    const byCell = {};
    for (const one of file.fragments) {
      const letter = one.cells[server.id - 1];
      if (letter && !"-a".includes(letter)) (byCell[letter] ??= []).push(one);
    }
    for (const [letter, some] of Object.entries(byCell)) {
      const more = some.length > 12 ? ` and ${some.length - 12} more` : "";
      facts.push(`${CELLS[letter][0].toUpperCase()}${CELLS[letter].slice(1)}: ${some.slice(0, 12).map(fragmentName).join(", ")}${more}.`);
    }
  }
  const events = now.events.filter((event) => event.servers.includes(server.url)).slice(-5).reverse();
  const key = JSON.stringify([facts, events.map((event) => event.seq)]);
  if (row.details?.dataset.key === key) return;
  const details = make("div", { class: "details", role: "row", "data-key": key });
  const inner = make("div", { role: "cell" }, ...facts.map((fact) => make("p", {}, fact)));
  if (events.length) {
    inner.append(
      make("ul", {}, ...events.map((event) => make("li", {}, `${clock(event.at)}  ${event.text}${event.count > 1 ? ` (${counted(event.count, "time")})` : ""}`))),
      make("a", { href: `#events-${server.id}` }, "All events of this server"),
    );
  }
  details.append(inner);
  const focused = row.details?.contains(document.activeElement);
  if (row.details) row.details.replaceWith(details);
  else row.box.append(details);
  row.details = details;
  if (focused) details.querySelector("a")?.focus();
}
