/** Scales: from values to places on a graph, and the values that are worth a line. Pure. */

/**
 * Returns the smallest round number that is not below `value`: 1, 2, 2.5 or 5 times a power of ten.
 * @param {number} value
 * @param {number} least what is returned for anything smaller
 */
export function roundUp(value, least = 1) {
  if (!(value > least)) return least;
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= value * (1 - 1e-9));
  return factor * power;
}

/** Returns a function that maps `from[0]…from[1]` to `to[0]…to[1]`. */
export function linear(from, to) {
  const slope = (to[1] - to[0]) / (from[1] - from[0]);
  return (value) => to[0] + (value - from[0]) * slope;
}

/** Steps of a time axis, in milliseconds. */
const STEPS = [5, 10, 15, 30, 60, 120, 300, 600].map((seconds) => seconds * 1000);

/**
 * Returns the round times between `from` and `to` that fit on an axis of so many pixels, in the viewer's time zone.
 * @param {number} from milliseconds since 1970
 * @param {number} to milliseconds since 1970
 * @param {number} width pixels
 */
export function timeTicks(from, to, width) {
  const room = Math.max(2, Math.floor(width / 90));
  const step = STEPS.find((step) => (to - from) / step <= room) ?? STEPS[STEPS.length - 1];
  const zone = new Date(to).getTimezoneOffset() * 60_000;
  const first = Math.ceil((from - zone) / step) * step + zone;
  const ticks = [];
  for (let at = first; at <= to; at += step) ticks.push(at);
  return ticks;
}

/**
 * Returns the position of the time that is nearest to `at` in a sorted list. -1 for an empty one.
 * @param {number[]} times
 * @param {number} at
 */
export function nearest(times, at) {
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low > 0 && at - times[low - 1] < times[low] - at ? low - 1 : high;
}
