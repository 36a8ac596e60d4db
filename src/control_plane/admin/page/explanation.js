/** One request, explained: which way it took, what each try spent its time on, and whom else it could have been given to. */

import { el, svg } from "./dom.js";
import { NONE, amount, isNumber, latency, plural, share } from "./format.js";
import { shape, word } from "./states.js";

/** How many units the time of the whole request is wide. */
const WIDTH = 1000;

/** The least width of a stage that was there at all. */
const LEAST = 3;

/** The stages of a try, in their order. */
const STAGES = ["connect", "send", "wait", "relay"];

/** How many milliseconds apart two stages may be drawn that follow each other. */
const EXACT = 0.001;

/** What is told of one exchange, as `elements`. */
export class Explanation {
  constructor(exchange) {
    const ends = exchange.tries.map(({ start_ms: start, total_ms: total }) => start + (total ?? 0));
    this.exchange = exchange;
    this.span = Math.max(exchange.duration_ms, ...ends, EXACT);
    this.elements = [this.#way(), ...this.#tries(), ...exchange.candidates.flatMap(candidates)];
  }

  #way() {
    const { listener, route, upstream, balance, request_id: request, trace_id: trace } = this.exchange;
    const way = [listener ?? "a listener that is gone", route === null ? "no route" : `route ${route}`];
    if (upstream !== null) way.push(`${upstream} (${plain(balance ?? "").replace("ewma", "EWMA")})`);
    return el("dl", { class: "way" }, fact("Way", way.join(" → ")), request && fact("Request", el("code", {}, request)),
      trace && fact("Trace", el("code", {}, trace)));
  }

  #tries() {
    const { tries, tries_left_out: leftOut, queued_ms: queued } = this.exchange;
    if (tries.length === 0 && queued === 0) return [];
    const items = tries.map((one) => this.#try(one));
    if (queued > 0) items.unshift(this.#queue(tries, queued));
    if (leftOut > 0) items.splice(-1, 0, el("li", { class: "quiet" }, `${plural(leftOut, "more try", "more tries")}`));
    return [el("h3", {}, `Tries within ${latency(this.span)}`), el("ol", { class: "tries" }, ...items)];
  }

  #queue(tries, queued) {
    const from = Math.max(0, (tries[0]?.start_ms ?? this.span) - queued);
    return el("li", {}, el("p", {}, el("b", {}, "Queue"), ` waited ${latency(queued)} for a backend to have room`),
      this.#bar([{ stage: "queue", from, took: queued }]));
  }

  #try(one) {
    const stages = placed(one);
    const outcome = one.outcome === null ? "cut off" : plain(one.outcome);
    const told = stages.map(({ stage, took }) => el("span", {}, key(stage), `${stage} ${latency(took)}`));
    const from = one.dialled ? "a new connection" : "a connection from the pool";
    const others = one.in_flight === 0 ? "nothing else in flight" : `${one.in_flight} others in flight`;
    return el("li", {},
      el("p", {}, el("b", {}, `${one.number}. ${one.backend ?? "a backend that is gone"}`), " ",
        el("span", { class: "outcome", "data-level": one.outcome === "ok" ? "good" : "bad" }, outcome),
        isNumber(one.total_ms) ? ` after ${latency(one.total_ms)}` : null,
        el("span", { class: "quiet" }, `: ${plain(one.pick)} at ${latency(one.start_ms)}, ${from}, ${others}`)),
      this.#bar(stages), el("p", { class: "stages" }, ...told));
  }

  /** For eyes alone: the same is told in words. */
  #bar(stages) {
    const at = (time) => (Math.min(time, this.span) / this.span) * WIDTH;
    const parts = stages.map(({ stage, from, took }) => {
      const width = Math.max(at(from + took) - at(from), LEAST);
      return svg("rect", { class: `stage of-${stage}`, x: Math.min(at(from), WIDTH - width), width, y: 0, height: 10 });
    });
    return svg("svg", { class: "waterfall", viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "whole", x: 0, width: WIDTH, y: 4, height: 2 }), ...parts);
  }
}

/** The stages that a try came to, each with its beginning. An answer that came early began before all was sent. */
export function placed(one) {
  let from = one.start_ms;
  const stages = [];
  for (const stage of STAGES) {
    const took = one[`${stage}_ms`];
    if (!isNumber(took)) continue;
    if (stage === "relay" && isNumber(one.total_ms)) from = one.start_ms + one.total_ms - took;
    stages.push({ stage, from, took });
    from += took;
  }
  return stages;
}

/** The backends as they stood at one moment. */
function candidates({ before_try: before, at_ms: at, backends, others, others_in: othersIn }) {
  const when = before === null ? "at the end" : `before try ${before}`;
  const withLatency = backends.some(({ latency_ms: known }) => isNumber(known));
  const head = ["Backend", "State", "In flight", "Share", ...(withLatency ? ["Latency"] : [])];
  const rows = backends.map((one) => el("tr", {},
    el("th", { scope: "row" }, one.backend ?? "gone", notes(one)),
    el("td", {}, el("span", { class: `state of-${one.state}` }, `${shape(one.state)} ${word(one.state)}`)),
    el("td", { class: "num" }, one.limit === null ? amount(one.in_flight) : `${one.in_flight} of ${one.limit}`),
    el("td", { class: "num" }, one.share > 0 ? share(one.share) : NONE),
    withLatency ? el("td", { class: "num" }, latency(one.latency_ms)) : null));
  const some = othersIn === others ? "all" : othersIn;
  const rest = others === 0 ? null
    : el("p", { class: "quiet" }, `${plural(others, "other backend")}, ${some} with a share of new work.`);
  return [el("h3", {}, `Backends ${when}, ${latency(at)} after it began`),
    el("table", { class: "candidates" },
      el("thead", {}, el("tr", {}, ...head.map((name, place) =>
        el("th", { scope: "col", class: place > 1 && "num" }, name)))),
      el("tbody", {}, ...rows)),
    ...(rest === null ? [] : [rest])];
}

function notes({ picked, tried, suspect, full }) {
  const words = [tried && "tried before", suspect && "suspect", full && "full"].filter(Boolean);
  const small = words.length > 0 ? el("small", {}, ` ${words.join(", ")}`) : "";
  return el("span", {}, picked ? el("b", { class: "picked" }, " ✓ picked") : "", small);
}

function fact(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

function key(stage) {
  return svg("svg", { class: "key", viewBox: "0 0 10 10", "aria-hidden": "true" },
    svg("rect", { class: `stage of-${stage}`, width: 10, height: 10 }));
}

function plain(text) {
  return text.replaceAll("_", " ");
}
