/** The table of backends: how each one is now, and what may be done about it. */

import { Refused, askIfSure, change } from "./changes.js";
import { byId, el, keep, say, set } from "./dom.js";
import { NONE, amount, isNumber, latency, percent, share, span } from "./format.js";
import { swatch } from "./graph.js";
import { slotOf } from "./palette.js";
import { isInService, shape, word } from "./states.js";

/** CPU usage that is worth a warning, in percent. */
const CPU_HIGH = 85;

/** The table, with what can be done in it. */
export class Table {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    this.body = byId("table").tBodies[0];
    view.addEventListener("data", () => this.draw());
  }

  /** Brings the rows up to date. What somebody is typing stays. */
  draw() {
    const { present } = this.view;
    if (present === null) return;
    say(byId("backends-title"), this.view.history.latest.upstreams.length > 1 ? `Backends of ${present.name}` : "Backends");
    const all = present.backends.reduce((sum, { sample }) => sum + (rate(sample) ?? 0), 0);
    keep(this.body, present.backends.map((backend, position) => ({ backend, position })), {
      key: ({ backend }) => `${present.name}/${backend.name}`,
      make: ({ backend, position }) => this.#row(present.name, backend.name, slotOf(backend.name, position)),
      update: (row, { backend }) => this.#update(row, backend, all),
    });
  }

  #row(upstream, name, slot) {
    const cell = (what, label, ...inside) =>
      el("td", { role: "cell", class: what, "data-label": label }, ...inside);
    const weight = el("input", {
      type: "number", min: 0, max: 1000, step: 1, required: true, "aria-label": `Weight of ${name}`,
      onkeydown: (event) => event.key === "Escape" && this.draw(weight.blur()),
    });
    const service = el("button", { type: "button", onclick: () => this.#serve(upstream, name, service.value) });
    const give = (event) => {
      event.preventDefault();
      this.#ask(upstream, name, "weight", { weight: weight.valueAsNumber }, () => weight.blur());
    };
    return el("tr", { role: "row" },
      el("th", { scope: "row", role: "rowheader" }, swatch(`b${slot}`), el("span", { class: "who" }, name),
        el("small", { class: "address" })),
      cell("is", "State", el("span", { class: "state" }), el("small")),
      cell("num rps", "Requests/s"), cell("num part", "Share", el("span"), el("small")), cell("num p99", "p99"),
      cell("num failed", "Failed/s"), cell("num load", "In flight"), cell("num cpu", "CPU"),
      cell("check", "Last check", el("span"), el("small")),
      cell("weight", "Weight", el("form", { onsubmit: give }, weight, el("button", { type: "submit" }, "Set")), el("small")),
      cell("service", "Service", service));
  }

  #update(row, backend, all) {
    const { sample } = backend;
    const find = (selector) => row.querySelector(selector);
    set(row, "class", `of-${backend.state}`);
    say(find(".address"), backend.address ?? `${backend.lookup?.host ?? ""}: no address`);
    set(find(".is span"), "class", `state of-${backend.state}`);
    say(find(".is span"), `${shape(backend.state)} ${word(backend.state)}`);
    say(find(".is small"), this.#why(backend));
    say(find(".rps"), amount(rate(sample)));
    say(find(".part span"), share(all > 0 && sample ? rate(sample) / all : null));
    say(find(".part small"), `of ${share(backend.share)}`);
    say(find(".p99"), latency(sample?.p99_ms));
    say(find(".failed"), amount(sample?.failed));
    set(find(".failed"), "data-level", sample?.failed > 0 ? "bad" : null);
    const { in_flight: load, in_flight_limit: limit } = backend;
    say(find(".load"), limit === null ? amount(load) : `${load} of ${limit}`);
    say(find(".cpu"), isNumber(sample?.cpu) ? percent(sample.cpu) : NONE);
    set(find(".cpu"), "data-level", sample?.cpu > CPU_HIGH ? "bad" : null);
    this.#check(find(".check"), backend);
    this.#weigh(row, backend);
    const button = find(".service button");
    const drains = backend.drained_by.includes("operator");
    button.value = drains ? "ready" : "drain";
    say(button, drains ? "Make ready" : "Drain");
    set(button, "aria-label", drains ? `Make ${backend.name} ready` : `Drain ${backend.name}`);
  }

  /** Since when it is so, and what else there is to say. */
  #why({ since, state, suspect, ejection, drained_by, slow_start }) {
    const words = [`for ${span((this.view.history.now ?? Date.now()) - Date.parse(since))}`];
    if (state === "ejected" && ejection) words.push(ejection.reason.replaceAll("_", " "));
    if (drained_by.length > 0) words.push(`drained by ${drained_by.join(" and ")}`);
    if (state === "slow_start" && slow_start !== null) words.push(`${Math.round(slow_start * 100)} %`);
    if (suspect) words.push("suspect");
    return words.join(", ");
  }

  #check(cell, { last_check: last }) {
    set(cell, "data-level", last && last.result !== "pass" ? "bad" : null);
    say(cell.firstElementChild, last ? last.words : "none");
    const now = this.view.history.now ?? Date.now();
    say(cell.lastElementChild, last ? `${span(now - Date.parse(last.at))} ago` : "");
  }

  #weigh(row, { weight, effective_weight, configured_weight: configured }) {
    const field = row.querySelector("input");
    field.readOnly = this.view.access?.changes === "refused";
    if (document.activeElement !== field && field.value !== String(weight)) field.value = weight;
    const words = [];
    if (isNumber(configured) && configured !== weight) words.push(`file: ${configured}`);
    if (effective_weight !== weight) words.push(`effective ${amount(effective_weight)}`);
    say(row.querySelector(".weight small"), words.join(", "));
  }

  async #serve(upstream, name, verb) {
    const { present } = this.view;
    const others = present.backends.filter((backend) => backend.name !== name && isInService(backend.state));
    if (verb === "drain" && others.length === 0) {
      const sure = await askIfSure(`No other backend of ${upstream} takes work. Without ${name}, nobody does.`);
      if (!sure) return;
    }
    await this.#ask(upstream, name, verb);
  }

  async #ask(upstream, name, verb, body, then = () => {}) {
    try {
      const now = await change(upstream, name, verb, body);
      const drained = verb === "ready" && now.drained_by.length > 0;
      const still = drained ? `, still drained by ${now.drained_by.join(" and ")}` : "";
      const is = verb === "weight" ? `has weight ${now.weight}` : `is ${word(now.state)}`;
      this.#tell(`${name} ${is}, ${now.in_flight} in flight${still}.`, false);
      then();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#tell(`${name}: ${error.message}.`, true);
    }
  }

  #tell(words, failed) {
    const said = byId("said");
    set(said, "data-level", failed ? "bad" : "good");
    say(said, words);
  }
}

function rate(sample) {
  return sample ? sample.success + sample.redirect + sample.client_error + sample.server_error : null;
}
