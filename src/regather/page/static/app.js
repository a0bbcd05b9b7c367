// The page: shows each state as it comes.
import * as check from "./check.js";
import { $, isolated, make, setAttribute, setIcon, setText } from "./dom.js";
import * as events from "./events.js";
import * as graphs from "./graphs.js";
import * as map from "./map.js";
import * as pieces from "./pieces.js";
import * as servers from "./servers.js";
import { ROOT, follow } from "./state.js";
import * as transfers from "./transfers.js";
import { STATES, duration, percent, rate, size } from "./words.js";

const LINK = {
  connecting: "connecting",
  again: "connecting again",
  live: "live",
  lost: "connection lost, trying again; this is the last state",
  ended: "the command has ended; this is its last state",
};
let chosen = 0;
let state = null;
let waiting = false;

function figures(now) {
  const found = [];
  if (now.totals.received || now.readers === null) found.push(["Rate in", rate(now.rates.in)]);
  if (now.totals.sent || now.readers !== null) found.push(["Rate out", rate(now.rates.out)]);
  if (now.totals.received || now.readers === null) found.push(["Received", size(now.totals.received)]);
  if (now.totals.sent) found.push(["Sent", size(now.totals.sent)]);
  if (now.readers !== null) found.push(["Readers", String(now.readers)]);
  if (now.cache) {
    found.push(["From the cache", percent(now.cache.share)]);
    found.push(["Cache used", `${size(now.cache.used)} of ${size(now.cache.limit)}`]);
  }
  if (now.copies !== null) found.push(["Copies fetched", now.copies.toFixed(2)]);
  found.push(["Running for", duration(now.now - now.started)]);
  return found;
}

function showNow(now) {
  const line = $("state");
  setAttribute(line, "data-word", now.state.word);
  setIcon(line.firstElementChild, STATES[now.state.word] ?? "info");
  setText(line.lastElementChild, now.state.text);
  setText($("activity"), now.state.activity ? `Now: ${now.state.activity}.` : "");
  const list = $("figures");
  const found = figures(now);
  if (list.children.length !== found.length) {
    list.replaceChildren(...found.map(() => make("div", {}, make("dt"), make("dd"))));
  }
  found.forEach(([label, value], n) => {
    setText(list.children[n].firstElementChild, label);
    setText(list.children[n].lastElementChild, value);
  });
  setText($("program"), now.program);
  setText($("release"), `Regather ${now.release}`);
  document.title = `${now.state.text.split(":")[0]} – Regather ${now.program}`;
}

function showFiles(now) {
  const pick = $("file-pick");
  pick.hidden = now.files.length < 2;
  const names = JSON.stringify(now.files.map((file) => file.name));
  const select = $("file");
  if (select.dataset.key !== names) {
    select.dataset.key = names;
    chosen = Math.min(chosen, Math.max(0, now.files.length - 1));
    select.replaceChildren(...now.files.map((file, n) => make("option", { value: String(n) }, isolated(file.name))));
    select.value = String(chosen);
  }
  const link = now.files[chosen]?.link;
  $("download").hidden = !link;
  if (!link) return;
  const url = new URL(link, ROOT);
  // A program that listens on all addresses is where the page is.
  if (/^(0\.0\.0\.0|\[::\])$/.test(url.hostname)) url.hostname = location.hostname;
  setAttribute($("download"), "href", url.href);
  setAttribute($("download"), "aria-label", `Download ${isolated(now.files[chosen].name)}`);
}

function showTransfers(now) {
  transfers.show(now);
  // A program that serves may not know its readers one by one.
  $("transfers").hidden = now.program === "cluster";
  document.querySelector('nav a[href="#transfers"]').hidden = $("transfers").hidden;
}

const PARTS = [
  showNow,
  servers.show,
  check.show,
  showFiles,
  (now) => pieces.show(now, chosen),
  (now) => map.show(now, chosen),
  showTransfers,
  events.show,
  graphs.show,
];
let shown = 0;

// The first time, one part a frame: all of a large file at once would take too long for one.
function draw() {
  $("main").hidden = $("parts").hidden = false;
  const some = shown < PARTS.length ? [PARTS[shown++]] : PARTS;
  for (const show of some) show(state);
  if (shown < PARTS.length) soon();
}

function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
    if (shown === PARTS.length) followHash();
  });
}

let followed = "";
function followHash() {
  if (!state || followed === location.hash) return;
  followed = location.hash;
  const match = /^#(server|events)-([0-9]+)$/.exec(location.hash);
  if (match?.[1] === "server") servers.toggle(Number(match[2]), true);
  const row = match && state.servers.find((one) => one.id === Number(match[2]));
  if (match?.[1] === "events" && row) events.choose(row.url);
  const target = match?.[1] === "events" ? $("events") : location.hash && $(location.hash.slice(1));
  target?.scrollIntoView();
}

check.start();
map.start();
pieces.start();
events.start();
graphs.start();
$("file").addEventListener("change", (event) => {
  chosen = Number(event.target.value);
  if (state) soon();
});
window.addEventListener("hashchange", followHash);
follow(
  (now) => {
    state = now;
    soon();
  },
  (word) => {
    setAttribute($("link"), "data-is", word);
    setText($("link"), LINK[word]);
  },
);
