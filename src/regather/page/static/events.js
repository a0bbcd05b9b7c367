// What happened, the latest first; one server's alone where it is chosen.
import { $, icon, isolated, make, setText } from "./dom.js";
import { LEVELS, clock, counted } from "./words.js";

const FIRST = 100;
let state = null;
let all = false;
const nodes = new Map();

export function choose(url) {
  $("filter").value = url;
  if (state) show(state);
}

function node(event) {
  const known = nodes.get(event.id);
  if (known && known.dataset.seq === String(event.seq)) return known;
  const [symbol, word] = LEVELS[event.level];
  const time = make("time", { datetime: new Date(event.at * 1000).toISOString() }, clock(event.at));
  const text = make("span", { class: "text" }, make("span", { class: "out-of-sight" }, `${word}: `), event.text);
  if (event.count > 1) text.append(make("span", { class: "times" }, ` (${counted(event.count, "time")})`));
  const item = make("li", { "data-level": event.level, "data-seq": String(event.seq) }, time, icon(symbol), text);
  nodes.set(event.id, item);
  return item;
}

export function show(now) {
  state = now;
  const filter = $("filter");
  const urls = now.servers.map((row) => row.url);
  if (filter.dataset.key !== JSON.stringify(urls)) {
    filter.dataset.key = JSON.stringify(urls);
    const chosen = filter.value;
    filter.replaceChildren(make("option", { value: "" }, "all servers"), ...now.servers.map((row) => make("option", { value: row.url }, isolated(row.name))));
    filter.value = urls.includes(chosen) ? chosen : "";
  }
  const some = now.events.filter((event) => !filter.value || event.servers.includes(filter.value)).reverse();
  const shown = all ? some : some.slice(0, FIRST);
  const list = $("event-rows");
  const wanted = shown.map(node);
  wanted.forEach((item, n) => {
    if (list.children[n] !== item) list.insertBefore(item, list.children[n] ?? null);
  });
  while (list.children.length > wanted.length) list.lastElementChild.remove();
  if (nodes.size > 2 * now.events.length + 100) {
    const ids = new Set(now.events.map((event) => event.id));
    for (const id of nodes.keys()) if (!ids.has(id)) nodes.delete(id);
  }
  setText($("event-count"), some.length ? String(some.length) : "");
  $("no-events").hidden = some.length > 0;
  $("more-events").hidden = all || some.length <= FIRST;
}

export function start() {
  $("filter").addEventListener("change", () => show(state));
  $("more-events").addEventListener("click", () => {
    all = true;
    show(state);
  });
}
