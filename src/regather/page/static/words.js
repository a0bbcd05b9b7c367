// Numbers and states in words, as the command line writes them.
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function size(bytes) {
  let unit = 0;
  while (Math.abs(bytes) >= 1024 && unit < UNITS.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${unit ? bytes.toFixed(1) : Math.round(bytes)} ${UNITS[unit]}`;
}

export const rate = (bytes) => `${size(bytes)}/s`;
export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
export const percent = (part) => `${Math.round(100 * part)} %`;

export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${two(whole % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

export const latency = (seconds) => (seconds ? `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms` : "–");

export function clock(unix) {
  return new Date(unix * 1000).toLocaleTimeString("en-GB");
}

export const CELLS = {
  h: "held",
  r: "reading",
  c: "corrupt",
  o: "held, unreachable",
  a: "missing",
  u: "unknown",
  p: "computed from parity",
  "-": "not asked",
};

export const LEVELS = { info: ["info", "Note"], good: ["ok", "Good"], warning: ["failing", "Warning"], bad: ["corrupt", "Trouble"] };
export const STATES = { healthy: "ok", done: "ok", unknown: "unknown", degraded: "failing", lost: "corrupt", failed: "corrupt" };

export const fragmentName = (one) => `fragment ${one.index}${one.kind === "parity" ? " (parity)" : ""}`;

export function who(id, servers) {
  if (id === -1) return "not here yet";
  if (id === -2) return "computed from parity";
  if (id === -3) return "here before this run";
  return `from ${servers.find((row) => row.id === id)?.name ?? "a server"}`;
}
