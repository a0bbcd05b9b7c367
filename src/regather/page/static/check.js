// The button that starts a check of the servers, with a token.
import { $, setText } from "./dom.js";
import { ROOT } from "./state.js";
import { clock } from "./words.js";

let said = "";
let state = null;

export function show(now) {
  state = now.check;
  $("check").hidden = !state;
  if (!state) return;
  $("check").querySelector("button").disabled = state.running;
  const result = state.at ? `Checked at ${clock(state.at)}: ${state.text}.` : "";
  setText($("check-result"), state.running ? "Checking." : said || result);
}

async function ask(event) {
  event.preventDefault();
  const label = $("check-token");
  const input = label.querySelector("input");
  if (!input.value) {
    label.hidden = false;
    input.focus();
    return;
  }
  const headers = { Authorization: `Bearer ${input.value}`, Accept: "text/plain" };
  try {
    const response = await fetch(new URL("-/check", ROOT), { method: "PUT", headers });
    said = response.ok ? "" : `Not checked: ${(await response.text()).trim()}.`;
    label.hidden = response.ok;
  } catch {
    said = "Not checked: no connection.";
  }
  setText($("check-result"), said || "Checking.");
}

export function start() {
  $("check").addEventListener("submit", ask);
}
