/** What there is to know in one sentence and a few numbers: who is out and since when, and whether clients noticed. */

import { byId, el, keep, say, set } from "./dom.js";
import { amount, count, latency, plural, share, span } from "./format.js";
import { isInService, word } from "./states.js";

/** The sentence at the top, and the tiles below it. */
export class Story {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    view.addEventListener("data", () => this.draw());
  }

  /** Tells it anew. */
  draw() {
    const { latest } = this.view.history;
    if (latest === null) return;
    const { level, text } = verdict(latest, this.#noticed(), this.view.history.now ?? Date.now());
    set(byId("story"), "data-level", level);
    say(byId("story"), text);
    keep(byId("tiles"), this.#tiles(), {
      key: ({ name }) => name,
      make: ({ name, about }) => el("div", { title: about }, el("dt", {}, name), el("dd")),
      update: (tile, { value, level: is }) => {
        set(tile, "data-level", is ?? null);
        say(tile.lastElementChild, value);
      },
    });
  }

  /** What clients have noticed within the span that is shown: of all upstreams, and of what had none. */
  #noticed() {
    const { history, span: shown } = this.view;
    const total = history.track();
    const from = (history.now ?? 0) - shown;
    const sums = Object.fromEntries(["success", "redirect", "client_error", "server_error", "rescues"]
      .map((name) => [name, Math.round(history.sum(total, name, from))]));
    const all = sums.success + sums.redirect + sums.client_error + sums.server_error;
    const known = (history.now ?? 0) - (history.times[0] ?? 0);
    return { all, failed: sums.server_error, rescued: sums.rescues, span: Math.min(shown, known) };
  }

  #tiles() {
    const { view } = this;
    const { present, total } = view;
    const at = view.history.times.length - 1;
    const value = (name) => total?.columns[name][at] ?? null;
    const noticed = this.#noticed();
    const inService = present?.backends.filter((backend) => isInService(backend.state)).length ?? 0;
    return [
      { name: "Requests/s", value: amount(at < 0 ? null : total?.rate(at)), about: "Answers to clients in the last second" },
      { name: "Success", value: share(noticed.all > 0 ? 1 - noticed.failed / noticed.all : null),
        about: "All but 5xx, within the time that is shown", level: noticed.failed > 0 ? "bad" : null },
      { name: "Failed", value: count(noticed.failed), about: "Answers 5xx to clients, within the time that is shown",
        level: noticed.failed > 0 ? "bad" : null },
      { name: "Rescued", value: count(noticed.rescued),
        about: "Requests that another backend answered after one had failed, within the time that is shown" },
      { name: "p99", value: latency(value("p99_ms")), about: "99 % of the requests of the last second took no longer" },
      { name: "In service", value: present ? `${inService} of ${present.configured}` : "–",
        about: "Backends that get new work", level: present && inService < present.configured ? "bad" : null },
      { name: "In flight", value: amount(value("in_flight")), about: "Requests that backends have to answer now" },
    ];
  }
}

/**
 * Puts the state of everything into a sentence or two. Pure.
 * @param {object} latest the data of a tick
 * @param {{all: number, failed: number, rescued: number, span: number}} noticed
 * @param {number} now milliseconds since 1970
 * @returns {{level: "good"|"warn"|"bad", text: string}}
 */
export function verdict(latest, noticed, now) {
  const several = latest.upstreams.length > 1;
  const backends = latest.upstreams.flatMap((upstream) => upstream.backends.map((backend) => ({ ...backend, upstream })));
  const out = backends.filter((backend) => backend.state !== "up");
  const who = (backend) => (several ? `${backend.name} of ${backend.upstream.name}` : backend.name);
  const clauses = out.slice(0, 3).map((backend) =>
    `${who(backend)} is ${word(backend.state)} for ${span(now - Date.parse(backend.since))}${reason(backend)}.`);
  if (out.length > 3) clauses.push(`${plural(out.length - 3, "other")} ${out.length === 4 ? "is" : "are"} not up either.`);
  if (backends.length === 0) clauses.push("No backend is configured.");
  else if (out.length === 0) clauses.push(allUp(backends.length));
  const alone = latest.upstreams.filter((upstream) => upstream.available === 0 && upstream.backends.length > 0);
  for (const { name, fail_open } of alone) {
    clauses.push(`Nobody is available in ${name}: ${fail_open ? "all are tried" : "requests are refused"}.`);
  }
  if (!latest.process.ready) clauses.unshift("The balancer takes no new traffic.");
  clauses.push(clients(noticed));
  const serious = alone.length > 0 || noticed.failed > 0 || !latest.process.ready;
  return { level: serious ? "bad" : out.length > 0 ? "warn" : "good", text: clauses.join(" ") };
}

function allUp(number) {
  return number === 1 ? "The only backend is up." : `All ${number} backends are up.`;
}

function reason({ state, drained_by, ejection, last_check, slow_start }) {
  if (state === "draining" && drained_by.length > 0) return ` (by ${drained_by.join(" and ")})`;
  if (state === "ejected" && ejection) return ` (${ejection.reason.replaceAll("_", " ")})`;
  if (state === "slow_start" && slow_start !== null) return ` (${Math.round(slow_start * 100)} % done)`;
  if (state === "down" && last_check) return ` (${last_check.words})`;
  return "";
}

function clients({ all, failed, rescued, span: shown }) {
  if (all === 0) return "No request has come yet.";
  const within = `in the last ${span(shown)}`;
  if (failed === 0) {
    const were = rescued === 1 ? "was" : "were";
    const saved = rescued > 0 ? `; ${plural(rescued, "request")} ${were} rescued by another backend` : "";
    return `No request failed ${within}${saved}.`;
  }
  return `${plural(failed, "request")} of ${count(all)} failed ${within}.`;
}
