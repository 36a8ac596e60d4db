/**
 * The live page: puts the parts together.
 *
 *     feed ──▶ history ──▶ view ──▶ story · table · panel (lanes, graphs, axis) · transitions · decisions
 *     changes ──▶ the balancer, which tells what came of it through the feed
 *
 * Nothing here is built, bundled or fetched from elsewhere: these files are what runs.
 */

import { Access } from "./access.js";
import { Decisions } from "./decisions.js";
import { byId, el, keep, say, set } from "./dom.js";
import { Feed } from "./feed.js";
import { clock, plural } from "./format.js";
import { History } from "./history.js";
import { Panel } from "./panel.js";
import { Story } from "./story.js";
import { Table } from "./table.js";
import { Transitions } from "./transitions.js";
import { SPANS, View } from "./view.js";

const view = new View();
const panel = new Panel(view);
new Story(view);
new Access(view);
new Table(view);
const transitions = new Transitions(view, (time) => panel.show(time));
new Decisions(view);

/** The upstreams to choose from, each with how many of its backends take work. */
function drawUpstreams() {
  const upstreams = view.history.latest?.upstreams ?? [];
  byId("upstreams").hidden = upstreams.length < 2;
  keep(byId("upstreams"), upstreams, {
    key: ({ name }) => name,
    make: ({ name }) => el("button", { type: "button", onclick: () => view.change({ upstream: name }) }),
    update: (button, { name, available, configured }) => {
      set(button, "aria-pressed", String(name === view.present?.name));
      set(button, "data-level", available === 0 ? "bad" : available < configured ? "warn" : "good");
      say(button, `${name} ${available}/${configured}`);
      set(button, "aria-label", `${name}, ${available} of ${plural(configured, "backend")} available`);
    },
  });
  const version = view.history.latest?.process.version;
  if (version) say(byId("version"), version);
}

function offerSpans() {
  byId("span").append(...SPANS.map((minutes) => {
    const choose = () => view.change({ wanted: minutes * 60_000 });
    const checked = minutes * 60_000 === view.wanted && "checked";
    return el("label", {}, el("input", { type: "radio", name: "span", value: minutes, checked, onchange: choose }),
      el("span", {}, `${minutes} min`));
  }));
}

function offerPause() {
  const button = byId("pause");
  button.addEventListener("click", () => {
    view.change({ frozen: view.frozen === null ? view.history.now : null });
    set(button, "aria-pressed", String(view.frozen !== null));
  });
}

const CONNECTION = {
  connecting: () => "connecting",
  live: () => "live",
  lost: (since) => `no answer from the balancer since ${clock(since)}; trying again`,
  ended: () => "the balancer has ended; trying again",
};

function connection(is, since) {
  const place = byId("connection");
  set(place, "data-is", is);
  say(place, CONNECTION[is](since));
}

offerSpans();
offerPause();
view.addEventListener("data", drawUpstreams);
new Feed({
  access(data) {
    view.change({ access: data }, "access");
  },
  history(data) {
    view.history = new History(data);
  },
  tick(data) {
    view.history.tick(data);
    view.change({});
  },
  transition(data) {
    if (!view.history.transition(data)) return;
    view.change({});
    transitions.announce(data);
  },
  connection,
}).open();
