/**
 * The state of each backend over time: a lane for each, with a mark where it changed. A state has a colour, a shape and a
 * word; a slow start is drawn as what it is, a share that grows.
 */

import { el, keep, say, set, svg } from "./dom.js";
import { clock, exactClock } from "./format.js";
import { GUTTER, MARGIN, placeCursor } from "./graph.js";
import { linear } from "./scale.js";
import { because, shape, stateOf, word } from "./states.js";

const HEIGHT = 20;

/** The room that a shape, and one with its word, needs in pixels. */
const FOR_SHAPE = 14;
const FOR_WORD = 74;

/** The lanes of all backends that are drawn. */
export class Lanes {
  constructor() {
    this.list = el("ul", { class: "lanes" });
    const title = el("h3", { id: "graph-state", title: "Who got traffic when, and when that changed" }, "State");
    this.element = el("section", { class: "graph", "aria-labelledby": title.id, id: "of-state" }, title, this.list);
  }

  /** Draws everything anew. */
  draw(view) {
    if (view.now === null) return;
    const shown = view.drawn.filter(({ track }) => track !== null);
    keep(this.list, shown, {
      key: ({ name }) => name,
      make: lane,
      update: (element, backend) => drawLane(element, backend, view),
    });
    this.point(view);
  }

  /** Shows the states at the instant that is looked at. */
  point(view) {
    for (const element of this.list.children) {
      const at = view.position;
      const state = stateOf(view.history.track(view.present?.name, element.dataset.key)?.columns.state[at]);
      const text = element.querySelector(".is");
      set(text, "class", `is state of-${state}`);
      say(text, state === null ? "" : `${shape(state)} ${word(state)}`);
      const picture = element.querySelector("svg.lane");
      if (element.scale) placeCursor(picture.querySelector(".cursor"), view, element.scale);
    }
  }
}

function lane({ name }) {
  const picture = svg("svg", { class: "lane", role: "img", height: HEIGHT }, svg("g", { class: "segments" }),
    svg("g", { class: "changes" }), svg("line", { class: "cursor", visibility: "hidden" }));
  const label = el("p", { class: "lane-name" }, el("span", { class: "who" }, name), el("span", { class: "is" }));
  return el("li", {}, picture, label);
}

function drawLane(element, { name, slot, track }, view) {
  const picture = element.querySelector("svg.lane");
  set(element.querySelector(".who"), "class", `who b${slot}`);
  const width = picture.clientWidth;
  if (width === 0) return;
  set(picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
  const x = linear([view.from, view.now], [GUTTER, width - MARGIN]);
  element.scale = { x, height: HEIGHT };
  const past = view.transitions.filter((transition) => transition.backend === name);
  const segments = segmentsOf(track, past, view);
  const [groups, changes] = picture.children;
  keep(groups, segments, {
    key: (segment) => String(segment.begin),
    make: () => svg("g", {}, svg("path"), svg("text", { y: 14 })),
    update: (group, segment) => drawSegment(group, segment, x),
  });
  keep(changes, past, {
    key: (transition) => `${transition.time} ${transition.to}`,
    make: (transition) => svg("path", { class: `change of-${transition.to}` }, svg("title", {}, told(transition))),
    update: (mark, transition) => {
      const place = x(transition.time);
      set(mark, "d", `M${(place - 4).toFixed(1)} 0h8l-4 5Z`);
    },
  });
  const until = (to) => (to === view.now ? "now" : clock(to));
  const texts = segments.map(({ state, from, to }) => `${word(state)} from ${clock(from)} to ${until(to)}`);
  set(picture, "aria-label", `${name}: ${texts.join(", ") || "nothing is known"}`);
}

function drawSegment(group, { state, from, to, begin }, x) {
  const [left, right] = [x(from), x(to)];
  set(group, "class", `segment of-${state}`);
  const [path, text] = group.children;
  const top = begin < from || state !== "slow_start" ? 5 : 17;
  set(path, "d", `M${left.toFixed(1)} ${top}L${right.toFixed(1)} 5V19H${left.toFixed(1)}Z`);
  const room = right - left;
  set(text, "x", (left + 5).toFixed(1));
  say(text, room > FOR_WORD ? `${shape(state)} ${word(state)}` : room > FOR_SHAPE ? shape(state) : "");
}

function told(transition) {
  const { from, to, time } = transition;
  return `${exactClock(time)}: ${word(from)} → ${word(to)}. ${because(transition)}`;
}

/**
 * Puts together what each second showed and when exactly each transition was: the second says that it is so, the
 * transition since when.
 */
function segmentsOf(track, transitions, view) {
  const { times } = view;
  const known = times.map((time, at) => ({ time, state: stateOf(track.columns.state[at]) }));
  const seen = [...known, ...transitions.map(({ time, to }) => ({ time, state: to }))];
  seen.sort((one, other) => one.time - other.time);
  const segments = [];
  for (const { time, state } of seen) {
    const last = segments.at(-1);
    if (last) last.to = time;
    if (last?.state !== state) segments.push({ state, from: time, to: time, begin: time });
  }
  const visible = segments.filter(({ state, to }) => state !== null && to >= view.from);
  for (const segment of visible) segment.from = Math.max(segment.from, view.from);
  const last = visible.at(-1);
  // What was last seen is so until something else is.
  if (last && last === segments.at(-1)) last.to = Math.max(last.to, view.now);
  return visible.map((segment) => ({ ...segment, to: Math.min(segment.to, view.now) }));
}
