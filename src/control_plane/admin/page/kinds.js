/** Which graphs there are, in their order, and where their numbers come from. */

import { amount, latency, percent, share } from "./format.js";

/** CPU usage above which a backend has little left, in percent. */
const CPU_HIGH = 85;

/** One series for each backend that is drawn. The others are added up; on `each` one's own scale, they have their mean. */
function ofBackends(view, read, each = false) {
  return view.drawn.map(({ name, slot, track, others }) => ({
    key: name,
    name: track || !each ? name : `${name}, each`,
    look: slot === null ? "others" : `b${slot}`,
    values: track ? read(track) : together(others.map(read), each),
  }));
}

/** Adds lists of numbers, or takes their mean; of what all know nothing, so does the result. */
function together(lists, mean) {
  return (lists[0] ?? []).map((_, at) => {
    const known = lists.map((values) => values[at]).filter((value) => value !== null);
    const sum = known.reduce((sum, value) => sum + value, 0);
    return known.length === 0 ? null : mean ? sum / known.length : sum;
  });
}

/** The CPU of those backends that an agent speaks for. */
function usages(view) {
  const drawn = ofBackends(view, (track) => track.columns.cpu, true);
  return drawn.filter(({ values }) => values.some((usage) => usage !== null));
}

function rates(track) {
  return track.columns.success.map((_, at) => track.rate(at));
}

/** Series of the sum that is shown, as `[column, name, look]`. */
function ofTotal(view, ...columns) {
  const track = view.total;
  if (track === null) return [];
  return columns.map(([column, name, look]) => ({ key: column, name, look, values: track.columns[column] }));
}

/** @type {import("./graph.js").Kind[]} */
export const KINDS = [
  {
    id: "rps",
    title: "Requests per second",
    about: "Answers that each backend gave, whatever their status",
    form: "lines",
    format: amount,
    least: 1,
    series: (view) => ofBackends(view, rates, true),
  },
  {
    id: "share",
    title: "Share of traffic",
    about: "The part of all answers that each backend gave",
    form: "share",
    format: share,
    least: 1,
    series: (view) => ofBackends(view, rates),
  },
  {
    id: "cpu",
    title: "CPU",
    about: "What the agent beside each backend tells, and what the balancer's workers use; 100 % is one core of theirs",
    form: "lines",
    format: percent,
    least: 100,
    line: CPU_HIGH,
    series: (view) => [
      ...usages(view),
      { key: "\nplimsoll", name: "plimsoll", look: "ours", values: view.history.track()?.columns.cpu ?? [] },
    ],
  },
  {
    id: "total",
    title: "All requests per second",
    about: "Final answers to clients by class",
    form: "stack",
    format: amount,
    least: 1,
    series: (view) =>
      ofTotal(view, ["success", "2xx", "c2"], ["redirect", "3xx", "c3"], ["client_error", "4xx", "c4"],
        ["server_error", "5xx", "c5"]),
  },
  {
    id: "latency",
    title: "Latency",
    about: "Time from the first byte of a request to the last byte of its answer: median, and what 99 % do not exceed",
    form: "lines",
    format: latency,
    least: 1,
    series: (view) => ofTotal(view, ["p50_ms", "p50", "p50"], ["p99_ms", "p99", "p99"]),
  },
  {
    id: "errors",
    title: "Errors and retries per second",
    about: "Answers 5xx to clients; attempts that failed; attempts repeated elsewhere; requests rescued by another backend",
    form: "lines",
    format: amount,
    least: 1,
    series: (view) =>
      ofTotal(view, ["server_error", "5xx to clients", "c5"], ["failed", "failed attempts", "c4"],
        ["retries", "retries", "retried"], ["rescues", "rescued", "rescued"]),
  },
];
