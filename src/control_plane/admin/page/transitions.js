/** The latest changes of backends' states, newest first, each with its cause in words. New ones are read out. */

import { byId, el, keep, say } from "./dom.js";
import { clock, exactClock } from "./format.js";
import { because, shape, word } from "./states.js";

/** How many are shown. */
const SHOWN = 50;

/** The list of transitions. */
export class Transitions {
  /**
   * @param {import("./view.js").View} view
   * @param {(time: number) => void} show what happens when somebody wants to see one in the graphs
   */
  constructor(view, show) {
    this.view = view;
    this.show = show;
    view.addEventListener("data", () => this.draw());
  }

  /** Brings the list up to date. */
  draw() {
    const past = this.view.history.transitions.slice(-SHOWN).reverse();
    byId("no-transitions").hidden = past.length > 0;
    const several = (this.view.history.latest?.upstreams.length ?? 0) > 1;
    keep(byId("transitions"), past, {
      key: ({ at, upstream, backend, to }) => `${at} ${upstream}/${backend} ${to}`,
      make: (transition) => this.#item(transition, several),
    });
  }

  /** Has screen readers say what has just happened. */
  announce(transition) {
    const { backend, to } = transition;
    say(byId("announced"), `${backend} is ${word(to)}. ${because(transition)}.`);
  }

  #item(transition, several) {
    const { time, upstream, backend, from, to } = transition;
    const name = several ? `${upstream}/${backend}` : backend;
    const when = el("button", { type: "button", class: "when", title: `${exactClock(time)}: show it in the graphs`,
      onclick: () => this.show(time) }, clock(time), el("span", { class: "unseen" }, ", show it in the graphs"));
    const after = el("span", { class: `state of-${to}` }, `${shape(to)} ${word(to)}`);
    return el("li", { class: `of-${to}` }, when, el("div", {},
      el("p", {}, el("b", {}, name), ` ${word(from)} → `, after),
      el("p", { class: "quiet" }, because(transition))));
  }
}
