/** Numbers, times and spans as people read them: no line breaks before a unit, and a dash where there is no number. */

/** Stands for no number. */
export const NONE = "–";

/** Whether there is a number. */
export function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** A rate or a count: 0, 0.4, 12, 3.4k. */
export function amount(value) {
  if (!isNumber(value)) return NONE;
  if (value >= 1e6) return `${digits(value / 1e6, 1)}M`;
  if (value >= 1e4) return `${digits(value / 1e3, 1)}k`;
  return digits(value, value < 10 ? 1 : 0);
}

/** A whole number with separators: 12,345. */
export function count(value) {
  return isNumber(value) ? Math.round(value).toLocaleString("en") : NONE;
}

/** A span of milliseconds as a latency: 0.42 ms, 12 ms, 1.2 s. */
export function latency(value) {
  if (!isNumber(value)) return NONE;
  if (value >= 1000) return `${digits(value / 1000, 2)}\u00a0s`;
  return `${digits(value, value < 1 ? 2 : value < 10 ? 1 : 0)}\u00a0ms`;
}

/** A share of 0 to 1: 33 %. All but the whole is never shown as the whole. */
export function share(value) {
  if (!isNumber(value)) return NONE;
  const percent = value * 100;
  if (percent < 100 && percent > 99) return `${digits(Math.min(percent, 99.99), 2)}\u00a0%`;
  return `${digits(percent, percent < 10 ? 1 : 0)}\u00a0%`;
}

/** Percent: 12 %. */
export function percent(value) {
  return isNumber(value) ? `${digits(value, value < 10 ? 1 : 0)}\u00a0%` : NONE;
}

/** A span of time in milliseconds: 4 s, 3 min 12 s, 2 h 5 min, 3 d 4 h. */
export function span(value) {
  const seconds = Math.max(0, Math.round(value / 1000));
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  if (days > 0) return join(days, "d", hours % 24, "h");
  if (hours > 0) return join(hours, "h", minutes % 60, "min");
  if (minutes > 0) return join(minutes, "min", seconds % 60, "s");
  return `${seconds}\u00a0s`;
}

function join(many, unit, few, smaller) {
  return few > 0 ? `${many}\u00a0${unit} ${few}\u00a0${smaller}` : `${many}\u00a0${unit}`;
}

/** A point in time on the viewer's clock: 14:03:59. */
export function clock(at) {
  return parts(at, false);
}

/** The same with milliseconds: 14:03:59.012. */
export function exactClock(at) {
  return parts(at, true);
}

function parts(at, exact) {
  const date = new Date(at);
  const two = (value) => String(value).padStart(2, "0");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return exact ? `${time}.${String(date.getMilliseconds()).padStart(3, "0")}` : time;
}

/** One backend, two backends. */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

function digits(value, behind) {
  const text = value.toFixed(behind);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
