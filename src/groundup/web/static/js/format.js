// Numbers, durations and dates as people read them.

const MISSING = "–";

/** About five digits: 0.00012346, 0.98765, 1,234.5, 1.2346e+9. */
export function number(value, digits = 5) {
  if (value === null || value === undefined) return MISSING;
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return minus(value.toLocaleString("en"));
  if (size < 1e-4 || size >= 1e9) return minus(value.toExponential(digits - 2).replace(/\.?0+e/, "e"));
  const decimals = Math.max(0, Math.min(8, digits - 1 - Math.floor(Math.log10(size))));
  return minus(value.toLocaleString("en", { maximumFractionDigits: decimals }));
}

/** A real minus sign, but for exponents. */
function minus(text) {
  return text.replace(/^-/, "−");
}

/** A step: whole, with separators. */
export function count(value) {
  return value === null || value === undefined ? MISSING : Math.round(value).toLocaleString("en");
}

/** 1 second to days: "850 ms", "12.4 s", "3 min 5 s", "2 h 4 min", "3 d 2 h". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return MISSING;
  if (seconds < 0) return `−${duration(-seconds)}`;
  if (seconds === 0) return "0 s";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const parts = [
    ["d", Math.floor(seconds / 86400)],
    ["h", Math.floor(seconds / 3600) % 24],
    ["min", Math.floor(seconds / 60) % 60],
    ["s", Math.floor(seconds) % 60],
  ];
  const first = parts.findIndex(([, amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([, amount]) => amount > 0)
    .map(([unit, amount]) => `${amount} ${unit}`)
    .join(" ");
}

/** A short label for a time axis: 0:05, 1:02:00, 2d 03:00. */
export function clock(seconds) {
  const sign = seconds < 0 ? "−" : "";
  const all = Math.abs(seconds);
  if (all > 0 && all < 1) return `${sign}${number(all, 3)} s`;
  const days = Math.floor(all / 86400);
  const hours = Math.floor(all / 3600) % 24;
  const minutes = Math.floor(all / 60) % 60;
  const rest = all % 60;
  const two = (value) => String(value).padStart(2, "0");
  const tail = Number.isInteger(rest) ? two(rest) : rest.toFixed(1).padStart(4, "0");
  if (days) return `${sign}${days}d ${two(hours)}:${two(minutes)}`;
  return hours ? `${sign}${hours}:${two(minutes)}:${two(Math.floor(rest))}` : `${sign}${minutes}:${tail}`;
}

/** Date and time of seconds since 1970, in the reader's own zone; today without the date. */
export function moment(seconds) {
  if (seconds === null || seconds === undefined) return MISSING;
  const date = new Date(seconds * 1000);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (date.toDateString() === new Date().toDateString()) return `today ${time}`;
  const year = date.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  return `${date.toLocaleDateString([], { day: "numeric", month: "short", ...year })} ${time}`;
}

/** A value of a config, on one line. */
export function setting(value) {
  if (value === null || value === undefined) return MISSING;
  if (typeof value === "number") return number(value, 7);
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** An axis label: few digits, thousands as k, millions as M where the step of the axis allows. */
export function tick(value, step) {
  const size = Math.abs(value);
  if (size >= 1e15 || (size > 0 && size < 1e-4)) return minus(value.toExponential().replace(/(\.\d{2})\d+/, "$1"));
  for (const [unit, suffix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit && places(step / unit) < 2) return minus(`${trimmed(value / unit, step / unit)}${suffix}`);
  }
  return minus(trimmed(value, step));
}

/** Decimal places that a step needs: 0.25 needs two. */
function places(step) {
  const size = Math.abs(step) || 1;
  const found = Math.max(0, Math.min(12, Math.ceil(-Math.log10(size) - 1e-9)));
  const whole = size * 10 ** found;
  return found < 12 && Math.abs(whole - Math.round(whole)) > 1e-3 ? found + 1 : found;
}

function trimmed(value, step) {
  const digits = places(step);
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

const UNITS = [
  [/(^|[_/])system\/cpu$/, "cores busy"],
  [/(^|[_/])system\/load$/, "processes, mean of a minute"],
  [/(^|[_/])system\/peak_memory$/, "MB"],
  [/_per_second$/, "1/s"],
];

/** What a series is counted in, where its name tells; empty where it does not. */
export function unit(name) {
  return UNITS.find(([pattern]) => pattern.test(name))?.[1] ?? "";
}

/** "1 run", "3 runs". */
export function plural(amount, one, many = `${one}s`) {
  return `${amount.toLocaleString("en")} ${amount === 1 ? one : many}`;
}
