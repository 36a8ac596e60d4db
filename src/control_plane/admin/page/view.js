/**
 * What is looked at: which upstream, which span of time, which instant. The views draw what this says; the controls change
 * it.
 */

import { History } from "./history.js";
import { nearest } from "./scale.js";
import { slotOf } from "./palette.js";

/** The spans that one may choose, in minutes. */
export const SPANS = [1, 5, 15];

/** The shortest span, in milliseconds. */
const SPAN_MIN = 60_000;

/** How many backends are drawn one by one; the others together. */
const DRAWN_MAX = 12;

/** How many of those that changed their state come before the order of the configuration. */
const TROUBLED_MAX = 6;

/** What is looked at. `data`, `cursor` and `access` are the events that tell of changes. */
export class View extends EventTarget {
  constructor() {
    super();
    this.history = new History();
    /** The name of the upstream that is shown; null before any is known. */
    this.upstream = null;
    /** The span that is wanted, in milliseconds. */
    this.wanted = 5 * 60_000;
    /** The instant that is looked at, in milliseconds since 1970; null for the present. */
    this.cursor = null;
    /** What this viewer may change; told by the balancer. */
    this.access = null;
    /** The last moment that is shown while the display stands still; null while it moves. */
    this.frozen = null;
  }

  /** Changes what is looked at, and tells those who draw: `data` when everything may be different, else what it is. */
  change(what, kind = "data") {
    Object.assign(this, what);
    this.dispatchEvent(new Event(kind));
  }

  /** The right end of the graphs. A display that stands still moves on once what it shows is no longer remembered. */
  get now() {
    const { times, now } = this.history;
    const oldest = times[0] ?? 0;
    if (this.frozen === null) return now;
    return this.frozen >= oldest ? this.frozen : Math.min(now, oldest + SPAN_MIN);
  }

  /** The span that is shown, in milliseconds: what is wanted, or what there is if that is less, but a minute at least. */
  get span() {
    const known = this.now === null ? 0 : this.now - this.history.times[0];
    return Math.min(this.wanted, Math.max(SPAN_MIN, known));
  }

  /** The left end of the graphs. */
  get from() {
    return this.now === null ? null : this.now - this.span;
  }

  /** When each second was that is shown, or older: the times of the history, up to where the display stands still. */
  get times() {
    const { times } = this.history;
    return this.frozen === null ? times : times.slice(0, nearest(times, this.now) + 1);
  }

  /** The position of the second that is looked at; -1 when there is none. */
  get position() {
    return this.times.length === 0 ? -1 : nearest(this.times, this.cursor ?? this.now);
  }

  /** What is true now of the upstream that is shown; null while nothing is known. */
  get present() {
    const upstreams = this.history.latest?.upstreams ?? [];
    return upstreams.find((upstream) => upstream.name === this.upstream) ?? upstreams[0] ?? null;
  }

  /** The track of the sum that is shown: everything, if there is but one upstream. */
  get total() {
    const { latest } = this.history;
    const alone = latest !== null && latest.upstreams.length === 1;
    return this.history.track(alone ? null : (this.present?.name ?? null));
  }

  /** The transitions of the upstream that is shown, within the span, oldest first. */
  get transitions() {
    const upstream = this.present?.name;
    const shown = (past) => past.upstream === upstream && past.time >= this.from && past.time <= this.now + 1000;
    return this.history.transitions.filter(shown);
  }

  /**
   * The backends that are drawn, with their tracks: those of the configuration in its order, and of a large upstream
   * those first that changed their state. The last one may stand for all others.
   * @returns {{name: string, slot: number|null, track: object, others?: object[]}[]}
   */
  get drawn() {
    const upstream = this.present?.name;
    if (upstream === undefined) return [];
    const all = this.history.backends(upstream).map((name, position) => ({
      name,
      slot: slotOf(name, position),
      track: this.history.track(upstream, name),
    }));
    const known = all.filter((backend) => backend.track !== null);
    if (known.length <= DRAWN_MAX) return known;
    const troubled = new Set(this.transitions.map((past) => past.backend));
    const first = known.filter((backend) => troubled.has(backend.name)).slice(-TROUBLED_MAX);
    const rest = known.filter((backend) => !first.includes(backend));
    const alone = new Set([...first, ...rest.slice(0, DRAWN_MAX - first.length)]);
    const others = known.filter((backend) => !alone.has(backend));
    return [
      ...known.filter((backend) => alone.has(backend)),
      { name: `${others.length} others`, slot: null, track: null, others: others.map((other) => other.track) },
    ];
  }
}
