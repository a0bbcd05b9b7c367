// The state of the program: everything once, then what changed, each second.
export const ROOT = new URL("../../", import.meta.url);

const MOST_EVENTS = 500;
const SPARK = 60;
const SECONDS = 300;
const TENS = 360;

// Put a change into the state. Returns the state.
export function applied(state, change) {
  for (const [key, value] of Object.entries(change)) {
    if (!["servers", "files", "transfers", "events", "graphs"].includes(key)) state[key] = value;
  }
  const rows = new Map(state.servers.map((row) => [row.id, row]));
  const moved = new Set();
  for (const row of change.servers) {
    const old = rows.get(row.id);
    moved.add(row.id);
    if (old) {
      Object.assign(old, row);
      old.spark.push(row.latest);
    } else {
      state.servers.push(row);
    }
  }
  for (const row of state.servers) {
    if (!moved.has(row.id)) row.spark.push(row.latest);
    if (row.spark.length > SPARK) row.spark.splice(0, row.spark.length - SPARK);
  }
  change.files.forEach((file, n) => {
    const old = state.files[n];
    if (file.sets) old.sets = file.sets;
    if (file.pieces) old.pieces = file.pieces;
    if (file.fragments.length) {
      const byIndex = new Map(old.fragments.map((one) => [one.index, one]));
      for (const one of file.fragments) Object.assign(byIndex.get(one.index), one);
    }
  });
  if (change.transfers) state.transfers = change.transfers;
  if (change.events.length) {
    // One that was amended stays where it is; one that happened again is the last.
    const news = new Map(change.events.map((event) => [event.id, event]));
    const stays = (old) => news.get(old.id)?.at === old.at;
    const amended = new Set(state.events.filter(stays).map((old) => old.id));
    state.events = state.events.filter((old) => !news.has(old.id) || stays(old)).map((old) => news.get(old.id) ?? old);
    state.events.push(...change.events.filter((event) => !amended.has(event.id)));
    if (state.events.length > MOST_EVENTS) state.events.splice(0, state.events.length - MOST_EVENTS);
  }
  for (const [kind, most] of [["seconds", SECONDS], ["tens", TENS]]) {
    const points = state.graphs[kind];
    points.push(...change.graphs[kind]);
    if (points.length > most) points.splice(0, points.length - most);
  }
  return state;
}

// Follow the program: `show(state)` at each change, `link(word)` when the connection changes.
export function follow(show, link) {
  let source = null;
  let state = null;
  let over = false;
  let heard = 0;

  function open() {
    if (source || over) return;
    link(state ? "again" : "connecting");
    source = new EventSource(new URL("-/events", ROOT));
    source.addEventListener("status", (event) => {
      state = JSON.parse(event.data);
      took();
    });
    source.addEventListener("change", (event) => {
      if (state) applied(state, JSON.parse(event.data));
      took();
    });
    source.addEventListener("end", () => {
      over = true;
      close();
      link("ended");
    });
    source.addEventListener("error", () => {
      if (over) return;
      link("lost");
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, 2000);
      }
    });
  }
  function took() {
    heard = performance.now();
    link("live");
    show(state);
  }
  function close() {
    if (source) source.close();
    source = null;
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else open();
  });
  setInterval(() => {
    if (source && !over && heard && performance.now() - heard > 8000) link("lost");
  }, 1000);
  if (!document.hidden) open();
}
