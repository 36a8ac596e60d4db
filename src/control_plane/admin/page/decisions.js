/**
 * The latest decisions of the balancer about single requests: where each went, why, and how that ended. Asked for only
 * when there is something new.
 */

import { byId, el, keep, say, set } from "./dom.js";
import { clock, latency } from "./format.js";

/** How many are shown. */
const SHOWN = 12;

/** How long after one question the next may follow, in milliseconds. */
const PAUSE = 2000;

/** What one may look at. */
const CHOICES = [
  { value: "true", text: "Notable", none: "No request has failed, been repeated or been sent where it would rather not." },
  { value: "false", text: "All", none: "No request has come yet." },
];

/** The list of decisions. */
export class Decisions {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    this.choice = CHOICES[0];
    this.asked = 0;
    this.due = true;
    this.waiting = false;
    this.#offer();
    view.addEventListener("data", () => this.#look());
  }

  #offer() {
    const pick = (choice) => () => {
      this.choice = choice;
      this.due = true;
      this.#ask();
    };
    byId("which").append(...CHOICES.map((choice, at) => el("label", {},
      el("input", {
        type: "radio", name: "which", value: choice.value, checked: at === 0 && "checked", onchange: pick(choice),
      }),
      el("span", {}, choice.text))));
  }

  /** Asks when the last second has brought something that may be told. */
  #look() {
    const total = this.view.history.latest?.total;
    const notable = total && total.server_error + total.failed + total.retries + total.rescues > 0;
    this.due ||= notable || (this.choice.value === "false" && total && total.success > 0);
    if (this.due && !this.waiting && this.view.frozen === null && Date.now() - this.asked >= PAUSE) this.#ask();
  }

  async #ask() {
    this.waiting = true;
    this.asked = Date.now();
    try {
      const answer = await fetch(`/api/v1/why?limit=${SHOWN}&notable=${this.choice.value}`);
      if (!answer.ok) return;
      this.due = false;
      this.#draw((await answer.json()).exchanges);
    } catch {
      // The balancer does not answer, which the connection says already; the question stays due.
    } finally {
      this.waiting = false;
    }
  }

  #draw(exchanges) {
    say(byId("no-decisions"), this.choice.none);
    byId("no-decisions").hidden = exchanges.length > 0;
    keep(byId("decisions"), exchanges, {
      key: ({ at, method, path, words, tries }) => [at, method, path, words, JSON.stringify(tries)].join(" "),
      make: item,
    });
  }
}

function item({ at, method, path, status, duration_ms: duration, words }) {
  const level = status >= 500 ? "c5" : status >= 400 ? "c4" : status >= 300 ? "c3" : "c2";
  const time = el("time", { class: "when", datetime: at }, clock(Date.parse(at)));
  const code = el("span", { class: "status" }, String(status));
  set(code, "data-class", level);
  return el("li", {}, time, el("div", {},
    el("p", {}, el("code", {}, `${method} ${path}`), " ", code, ` ${latency(duration)}`),
    el("p", { class: "quiet" }, `${words}.`)));
}
