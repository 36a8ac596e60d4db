/**
 * One graph: lines, or areas on top of each other, over the time axis that all graphs share, with a legend that tells the
 * values at the instant that is looked at. Drawn as SVG, so that the theme's colours apply by themselves.
 */

import { el, keep, say, set, svg } from "./dom.js";
import { isNumber, span as spanText } from "./format.js";
import { linear, roundUp, timeTicks } from "./scale.js";
import { isInService } from "./states.js";

/** The room for the numbers at the left, in pixels. The axis has the same. */
export const GUTTER = 46;

/** The room at the right, in pixels. */
export const MARGIN = 8;

const TOP = 8;
const BOTTOM = 6;

/** Seconds that are further apart than this are not joined by a line: nobody looked in between. */
const GAP = 2500;

/**
 * @typedef {object} Series
 * @property {string} key
 * @property {string} name
 * @property {string} look the class that gives it its colour
 * @property {(number|null)[]} values as long as the times
 * @property {boolean} [told] only in the legend
 */

/**
 * @typedef {object} Kind
 * @property {string} id
 * @property {string} title
 * @property {string} about what it shows, in a sentence
 * @property {"lines"|"stack"|"share"} form
 * @property {(value: number) => string} format
 * @property {number} least the smallest upper end of its scale
 * @property {number} [line] a value that is worth a dashed line
 * @property {(view: import("./view.js").View) => Series[]} series
 */

/** A graph of one kind, with its legend. */
export class Graph {
  /** @param {Kind} kind */
  constructor(kind) {
    this.kind = kind;
    this.series = [];
    this.told = 0;
    this.grid = svg("g", { class: "grid" });
    this.curves = svg("g", { class: "curves" });
    this.marks = svg("g", { class: "marks" });
    this.cursor = svg("line", { class: "cursor", visibility: "hidden" });
    this.picture = svg("svg", { class: "plot", role: "img" }, this.grid, this.curves, this.marks, this.cursor);
    this.legend = el("dl", { class: "legend" });
    const title = el("h3", { id: `graph-${kind.id}`, title: kind.about }, kind.title);
    this.element = el("section", { class: "graph", "aria-labelledby": title.id, id: `of-${kind.id}` }, title,
      this.picture, this.legend);
  }

  /** Draws everything anew. */
  draw(view) {
    const { width, height } = this.#size();
    if (width === 0 || view.now === null) return;
    const times = view.times;
    this.series = this.kind.series(view);
    const shown = this.series.filter((series) => !series.told);
    const first = Math.max(0, times.findIndex((at) => at >= view.from) - 1);
    const stacked = this.kind.form === "lines" ? null : stack(shown, first, this.kind.form === "share");
    const top = this.kind.form === "share" ? 1 : roundUp(highest(shown, stacked, first, times.length), this.kind.least);
    const x = linear([view.from, view.now], [GUTTER, width - MARGIN]);
    const y = linear([0, top], [height - BOTTOM, TOP]);
    this.scale = { x, width, height };
    this.#drawGrid(view, top, y);
    const paths = stacked ? areas(shown, stacked, times, first, x, y) : lines(shown, times, first, x, y);
    keep(this.curves, paths, {
      key: (path) => path.key,
      make: (path) => svg("path", { class: `${stacked ? "area" : "line"} ${path.look}` }),
      update: (element, path) => set(element, "d", path.d),
    });
    this.#drawMarks(view);
    this.point(view);
    this.#describe(view, shown, first, times.length);
  }

  /** Shows the values at the instant that is looked at. */
  point(view) {
    if (!this.scale) return;
    const at = view.position;
    keep(this.legend, this.series, {
      key: (series) => series.key,
      make: (series) => el("div", {}, el("dt", {}, swatch(series.look), el("span", {}, series.name)), el("dd")),
      update: (row, series) => {
        say(row.querySelector("dt span"), series.name);
        say(row.lastElementChild, this.kind.format(valueAt(series, at, this.kind, this.series)));
      },
    });
    placeCursor(this.cursor, view, this.scale);
  }

  /** Says what is seen, in words: what a screen reader has instead of the picture. */
  #describe(view, shown, first, end) {
    // Not each second: who listens to it should hear the end of the sentence.
    const now = Date.now();
    const seen = `${view.wanted} ${view.present?.name}`;
    if (now - this.told < 10_000 && this.describes === seen) return;
    [this.told, this.describes] = [now, seen];
    const { format, title } = this.kind;
    const texts = shown.map((series) => {
      const values = series.values.slice(first, end).filter(isNumber);
      if (values.length === 0) return `${series.name} none`;
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return `${series.name} now ${format(series.values[end - 1])}, from ${format(low)} to ${format(high)}`;
    });
    set(this.picture, "aria-label", `${title}, the last ${spanText(view.span)}: ${texts.join("; ") || "nothing yet"}`);
  }

  #size() {
    const width = this.picture.clientWidth;
    const height = this.picture.clientHeight;
    set(this.picture, "viewBox", `0 0 ${width} ${height}`);
    return { width, height };
  }

  #drawGrid(view, top, y) {
    const { width, height, x } = this.scale;
    const values = this.kind.form === "share" ? [0, 0.5, 1] : [0, top / 2, top];
    const across = values.map((value) => ({ key: `y${value}`, y: y(value).toFixed(1), text: this.kind.format(value) }));
    const limit = this.kind.line !== undefined && this.kind.line <= top
      ? [{ key: "limit", y: y(this.kind.line).toFixed(1), text: "" }] : [];
    const down = timeTicks(view.from, view.now, width).map((at) => ({ key: `x${at}`, x: x(at).toFixed(1) }));
    keep(this.grid, [...across, ...limit, ...down], {
      key: (line) => line.key,
      make: ({ key }) =>
        svg("g", { class: key === "limit" ? "limit" : "rule" }, svg("line"), svg("text", { x: GUTTER - 6 })),
      update: (group, line) => {
        const [rule, text] = group.children;
        const ends = line.x ? { x1: line.x, x2: line.x, y1: TOP, y2: height - BOTTOM }
          : { x1: GUTTER, x2: width - MARGIN, y1: line.y, y2: line.y };
        for (const [name, value] of Object.entries(ends)) set(rule, name, value);
        set(text, "y", line.y ?? null);
        say(text, line.text ?? "");
      },
    });
  }

  #drawMarks(view) {
    const { x, height } = this.scale;
    drawMarks(this.marks, view, x, [TOP, height - BOTTOM]);
  }
}

/** Draws a thin line where a backend went out of service within the span, and where one came back. */
export function drawMarks(group, view, x, [top, bottom]) {
  keep(group, view.transitions.filter(({ from, to }) => isInService(from) !== isInService(to)), {
    key: (past) => `${past.time} ${past.backend} ${past.to}`,
    make: (past) => svg("line", { class: `mark of-${past.to}`, y1: top, y2: bottom }),
    update: (line, past) => {
      const place = x(past.time).toFixed(1);
      set(line, "x1", place);
      set(line, "x2", place);
    },
  });
}

/** Puts the line of the cursor where it belongs, or hides it. */
export function placeCursor(line, view, { x, height }) {
  const at = view.cursor === null ? null : view.times[view.position];
  set(line, "visibility", at === null || at < view.from ? "hidden" : "visible");
  if (at === null) return;
  const place = x(at).toFixed(1);
  for (const [name, value] of Object.entries({ x1: place, x2: place, y1: 0, y2: height })) set(line, name, value);
}

/** A piece of a line as it is drawn, for legends. */
export function swatch(look) {
  return svg("svg", { class: "swatch", viewBox: "0 0 18 10", "aria-hidden": "true" },
    svg("path", { class: `line ${look}`, d: "M1 5H17" }));
}

function valueAt(series, at, kind, all) {
  const value = series.values[at] ?? null;
  if (kind.form !== "share" || value === null) return value;
  const sum = all.reduce((sum, other) => sum + (other.values[at] ?? 0), 0);
  return sum > 0 ? value / sum : null;
}

/** Returns the sum of the series below each series, and with it, second by second. */
function stack(series, first, whole) {
  const length = series[0]?.values.length ?? 0;
  const below = series.map(() => new Array(length).fill(0));
  const above = series.map(() => new Array(length).fill(0));
  for (let at = first; at < length; at += 1) {
    const sum = series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0);
    const unit = whole ? (sum > 0 ? 1 / sum : 0) : 1;
    let level = 0;
    series.forEach(({ values }, index) => {
      below[index][at] = level;
      level += (values[at] ?? 0) * unit;
      above[index][at] = level;
    });
  }
  return { below, above };
}

function highest(series, stacked, first, end) {
  const lists = stacked ? stacked.above : series.map(({ values }) => values);
  return Math.max(0, ...lists.map((values) => Math.max(0, ...values.slice(first, end).filter(isNumber))));
}

function lines(series, times, first, x, y) {
  return series.map(({ key, look, values }) => {
    let d = "";
    let last = null;
    for (let at = first; at < times.length; at += 1) {
      if (!isNumber(values[at])) {
        last = null;
        continue;
      }
      const point = `${x(times[at]).toFixed(1)} ${y(values[at]).toFixed(1)}`;
      // A second alone is drawn as a point: a line without length, with round ends.
      d += last === null || times[at] - last > GAP ? `M${point}l0 0` : `L${point}`;
      last = times[at];
    }
    return { key, look, d };
  });
}

function areas(series, { below, above }, times, first, x, y) {
  return series.map(({ key, look, values }, index) => {
    let d = "";
    for (const [from, to] of runs(values, times, first)) {
      const edge = (levels) => (at) => `${x(times[at]).toFixed(1)} ${y(levels[at]).toFixed(1)}`;
      const seconds = Array.from({ length: to - from + 1 }, (_, step) => from + step);
      const upper = seconds.map(edge(above[index]));
      const lower = seconds.reverse().map(edge(below[index]));
      d += `M${upper.join("L")}L${lower.join("L")}Z`;
    }
    return { key, look, d };
  });
}

/** Returns the runs of seconds that are known and follow each other, as their first and last positions. */
function runs(values, times, first) {
  const found = [];
  for (let at = first; at < times.length; at += 1) {
    const joined = at > first && isNumber(values[at - 1]) && times[at] - times[at - 1] <= GAP;
    if (!isNumber(values[at])) continue;
    if (joined && found.length > 0) found.at(-1)[1] = at;
    else found.push([at, at]);
  }
  return found;
}
