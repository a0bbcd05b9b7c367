// Downloads, or readers, one below the other.
import { $, make, name, setText } from "./dom.js";
import { drawFill } from "./pieces.js";
import { duration, percent, rate, size } from "./words.js";

const rows = [];

function newRow() {
  const [title, part, facts, waits] = [name(""), make("span", {}), make("span", { class: "quiet" }), make("span", { class: "quiet" })];
  const bar = make("canvas", { "aria-hidden": "true" });
  const item = make("li", {}, make("p", { class: "line" }, title, part), bar, make("p", { class: "line" }, facts, waits));
  return { item, title, part, bar, facts, waits };
}

export function show(state) {
  const list = $("transfer-rows");
  const left = state.transfers_left_out;
  setText($("transfer-count"), state.transfers.length ? `${state.transfers.length}${left ? `, ${left} more are not shown` : ""}` : "");
  $("no-transfers").hidden = state.transfers.length > 0;
  while (rows.length > state.transfers.length) rows.pop().item.remove();
  state.transfers.forEach((one, n) => {
    if (!rows[n]) {
      rows[n] = newRow();
      list.append(rows[n].item);
    }
    const row = rows[n];
    setText(row.title, one.name);
    const part = one.size ? one.done / one.size : 0;
    setText(row.part, `${percent(part)} of ${size(one.size)}`);
    const ended = one.phase === "done" || one.phase === "failed";
    const facts = ended ? [one.phase, `after ${duration(one.seconds)}`] : [one.phase, rate(one.rate)];
    if (!ended && one.left !== null && one.done < one.size) facts.push(`${duration(one.left)} left`);
    setText(row.facts, facts.join(" · "));
    setText(row.waits, one.waits);
    const pieces = state.files[one.file]?.pieces;
    const plain = { bins: 1, fill: btoa(String.fromCharCode(255)), by: [], reading: [] };
    drawFill(row.bar, pieces ?? (part >= 1 ? plain : { ...plain, bins: 100, fill: btoa(String.fromCharCode(...Array.from({ length: 100 }, (_, k) => (k < part * 100 ? 255 : 0)))) }));
  });
}
