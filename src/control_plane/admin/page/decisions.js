/**
 * The latest decisions of the balancer about single requests: where each went, why, and how that ended. Asked for only
 * when there is something new.
 */

import { byId, el, keep, say, set } from "./dom.js";
import { Explanation } from "./explanation.js";
import { clock, latency } from "./format.js";
import { linkedIn, questionFor } from "./question.js";

/** How many are shown. */
const SHOWN = 12;

/** How long after one question the next may follow, in milliseconds. */
const PAUSE = 2000;

/** How long after the last key a search begins, in milliseconds. */
const TYPING = 300;

/** What one may look at. */
const CHOICES = [
  {
    value: "true", text: "Notable",
    none: "No request has failed, been slow or repeated, or been sent where it would rather not.",
  },
  { value: "false", text: "All", none: "No request has come yet." },
];

/** What is said when a search finds nothing. */
const NOT_FOUND = "None that is remembered fits: of those that went as usual only a sample is. The access log, where it " +
  "is on, has a line of each, with its ids.";

/** The list of decisions. */
export class Decisions {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    this.choice = CHOICES[0];
    this.sought = "";
    this.asked = 0;
    this.due = true;
    this.waiting = false;
    /** How many are open. While one is, the list stands still, so that nobody loses what they are reading. */
    this.open = 0;
    this.#offer();
    this.#search();
    view.addEventListener("data", () => this.#look());
  }

  #offer() {
    const pick = (choice) => () => this.#turnTo({ choice });
    byId("which").append(...CHOICES.map((choice, at) => el("label", {},
      el("input", {
        type: "radio", name: "which", value: choice.value, checked: at === 0 && "checked", onchange: pick(choice),
      }),
      el("span", {}, choice.text))));
  }

  #search() {
    const field = byId("sought");
    const search = () => this.sought !== field.value.trim() && this.#turnTo({ sought: field.value.trim() });
    let typing;
    field.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(search, TYPING);
    });
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      search();
    });
    const follow = () => {
      const linked = linkedIn(location.hash);
      if (linked === null) return;
      field.value = linked;
      search();
      byId("decisions-title").scrollIntoView();
    };
    addEventListener("hashchange", follow);
    follow();
  }

  /** Asks something else, at once. */
  #turnTo(what) {
    Object.assign(this, what);
    this.due = true;
    this.#ask();
  }

  /** Asks when the last second has brought something that may be told. */
  #look() {
    const total = this.view.history.latest?.total;
    const notable =
      total && total.client_error + total.server_error + total.failed + total.retries + total.rescues > 0;
    const any = this.choice.value === "false" || this.sought !== "" || slowest(total);
    this.due ||= notable || (any && total && total.success + total.redirect > 0);
    const still = this.open > 0 || this.view.frozen !== null;
    if (this.due && !this.waiting && !still && Date.now() - this.asked >= PAUSE) this.#ask();
  }

  async #ask() {
    this.waiting = true;
    this.asked = Date.now();
    const question = questionFor(this.sought, this.choice.value, this.view.history.latest?.upstreams ?? []);
    const asks = (this.asks = new URLSearchParams({ ...question, limit: SHOWN }).toString());
    try {
      const answer = await fetch(`/api/v1/why?${asks}`);
      // Somebody may have asked something else meanwhile.
      if (!answer.ok || asks !== this.asks) return;
      this.due = false;
      this.#draw((await answer.json()).exchanges);
    } catch {
      // The balancer does not answer, which the connection says already; the question stays due.
    } finally {
      this.waiting = false;
    }
  }

  #draw(exchanges) {
    say(byId("no-decisions"), this.sought === "" ? this.choice.none : NOT_FOUND);
    byId("no-decisions").hidden = exchanges.length > 0;
    const several = (this.view.history.latest?.upstreams.length ?? 0) > 1;
    keep(byId("decisions"), exchanges, { key: keyOf, make: (exchange) => this.#item(exchange, several) });
    this.#count();
  }

  #item(exchange, several) {
    const { at, method, path, status, upstream, duration_ms: duration, words } = exchange;
    const time = el("time", { class: "when", datetime: at }, clock(Date.parse(at)));
    const code = el("span", { class: "status" }, String(status));
    set(code, "data-class", status >= 500 ? "c5" : status >= 400 ? "c4" : status >= 300 ? "c3" : "c2");
    const place = el("div", { class: "explanation", hidden: true });
    const more = el("button", {
      type: "button", class: "more", "aria-expanded": "false",
      "aria-label": `Explain ${method} ${path} at ${clock(Date.parse(at))}`,
      onclick: () => this.#open(exchange, more, place),
    }, "Explain");
    return el("li", {}, time, el("div", {},
      el("p", { class: "asked" }, several && upstream !== null ? el("b", {}, `${upstream} `) : null,
        el("code", {}, `${method} ${path}`), " ", code, ` ${latency(duration)}`, more),
      el("p", { class: "quiet" }, `${words}.`), place));
  }

  #open(exchange, button, place) {
    const opens = button.getAttribute("aria-expanded") === "false";
    set(button, "aria-expanded", String(opens));
    place.hidden = !opens;
    place.replaceChildren(...(opens ? new Explanation(exchange).elements : []));
    this.#count();
  }

  #count() {
    this.open = byId("decisions").querySelectorAll('[aria-expanded="true"]').length;
    byId("still").hidden = this.open === 0;
  }
}

/** Whether anything in the last second took so long that it may have been slow. */
function slowest(total) {
  return (total?.p99_ms ?? 0) >= 100;
}

function keyOf({ at, request_id: id, method, path, words }) {
  return [at, id, method, path, words].join(" ");
}
