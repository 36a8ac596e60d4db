/**
 * All graphs under each other, on one time axis with one cursor: pointing at one of them, or moving along the axis by the
 * keys, shows what all of them were at that instant.
 */

import { byId, el, keep, say, set, svg } from "./dom.js";
import { clock, span as spanText } from "./format.js";
import { GUTTER, Graph, MARGIN, placeCursor } from "./graph.js";
import { KINDS } from "./kinds.js";
import { Lanes } from "./lanes.js";
import { linear, timeTicks } from "./scale.js";
import { stateOf, word } from "./states.js";

/** How far a key moves, in seconds. */
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageUp: -10, PageDown: 10 };

/** The graphs, the lanes and their axis. */
export class Panel {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    this.views = [new Lanes(), ...KINDS.map((kind) => new Graph(kind))];
    /** Whether the instant stays when the pointer leaves. */
    this.pinned = false;
    this.axis = axis();
    const container = byId("graphs");
    container.append(this.axis, ...this.views.map(({ element }) => element));
    view.addEventListener("data", () => this.draw());
    view.addEventListener("cursor", () => this.point());
    new ResizeObserver(() => this.draw()).observe(container);
    this.#listen(container);
  }

  /** Draws everything anew. */
  draw() {
    if (this.view.now === null) return;
    if (this.view.cursor !== null && this.view.cursor < this.view.from) this.#look(null);
    this.#drawAxis();
    for (const view of this.views) view.draw(this.view);
    this.#tell();
  }

  /** Shows the instant that is looked at. */
  point() {
    for (const view of this.views) view.point(this.view);
    placeCursor(this.axis.querySelector(".cursor"), this.view, this.scale);
    this.#tell();
  }

  #drawAxis() {
    const picture = this.axis.firstElementChild;
    const [width, height] = [picture.clientWidth, picture.clientHeight];
    if (width === 0) return;
    set(picture, "viewBox", `0 0 ${width} ${height}`);
    const x = linear([this.view.from, this.view.now], [GUTTER, width - MARGIN]);
    this.scale = { x, width, height };
    const ticks = timeTicks(this.view.from, this.view.now, width).filter((at) => x(at) < width - 24);
    keep(picture.querySelector(".ticks"), ticks, {
      key: String,
      make: (at) => svg("text", { y: 14 }, clock(at)),
      update: (text, at) => set(text, "x", x(at).toFixed(1)),
    });
    placeCursor(picture.querySelector(".cursor"), this.view, this.scale);
  }

  /** Says which instant is shown, to eyes and to screen readers. */
  #tell() {
    const { view } = this;
    const ago = view.cursor === null ? 0 : Math.round((view.now - view.times[view.position]) / 1000);
    const when = view.cursor === null ? "now" : `${clock(view.times[view.position])}, ${spanText(ago * 1000)} ago`;
    say(byId("instant"), view.cursor === null ? `the last ${spanText(view.span)}` : `at ${when}`);
    set(this.axis, "aria-valuemin", -Math.round(view.span / 1000));
    set(this.axis, "aria-valuenow", -ago);
    set(this.axis, "aria-valuetext", `${when}. ${this.#summary()}`);
  }

  #summary() {
    const at = this.view.position;
    const backends = this.view.drawn.filter(({ track }) => track !== null).map(({ name, track }) => {
      const state = stateOf(track.columns.state[at]);
      const rate = track.rate(at);
      return `${name} ${state === null ? "unknown" : word(state)}${rate === null ? "" : `, ${Math.round(rate)} per second`}`;
    });
    const errors = this.view.total?.columns.server_error[at] ?? 0;
    return `${backends.join("; ")}; ${Math.round(errors)} errors per second`;
  }

  #look(at) {
    this.view.change({ cursor: at }, "cursor");
  }

  #listen(container) {
    const under = (event) => {
      const { left, width } = this.axis.firstElementChild.getBoundingClientRect();
      const place = linear([left + GUTTER, left + width - MARGIN], [this.view.from, this.view.now])(event.clientX);
      return place < this.view.from || place > this.view.now + 2000 ? null : place;
    };
    const inPlot = (event) => event.target.closest(".plot, .lane, .axis") !== null && this.view.now !== null;
    container.addEventListener("pointermove", (event) => {
      if (this.pinned || event.pointerType !== "mouse") return;
      this.#look(inPlot(event) ? under(event) : null);
    });
    container.addEventListener("pointerleave", (event) => {
      if (!this.pinned && event.pointerType === "mouse") this.#look(null);
    });
    container.addEventListener("click", (event) => {
      if (!inPlot(event)) return;
      const unpin = this.pinned && event.pointerType === "mouse";
      this.pinned = !unpin;
      this.#look(under(event));
    });
    this.axis.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    const { view } = this;
    if (view.now === null) return;
    const last = view.times.length - 1;
    const oldest = Math.max(0, view.times.findIndex((at) => at >= view.from));
    let position = null;
    if (event.key in STEPS) position = Math.max(oldest, view.position + STEPS[event.key]);
    else if (event.key === "Home") position = oldest;
    else if (event.key !== "End" && event.key !== "Escape") return;
    event.preventDefault();
    const now = position === null || position >= last;
    this.pinned = !now;
    this.#look(now ? null : view.times[position]);
  }

  /** Looks at a moment, and brings the graphs into sight: of a transition that somebody wants to see. */
  show(at) {
    this.pinned = true;
    this.#look(at);
    byId("graphs-title").scrollIntoView({ block: "start" });
    this.axis.focus({ preventScroll: true });
  }
}

function axis() {
  const picture = svg("svg", { class: "axis", "aria-hidden": "true" }, svg("g", { class: "ticks" }),
    svg("line", { class: "cursor", visibility: "hidden" }));
  return el("div", {
    class: "axis-bar", role: "slider", tabindex: "0", "aria-label": "Instant that the graphs tell", "aria-valuemax": "0",
    "aria-describedby": "axis-help",
  }, picture, el("span", { class: "axis-hint", "aria-hidden": "true" }, "← → Page Up Page Down Esc"));
}
