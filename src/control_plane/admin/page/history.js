/**
 * The history as the page knows it: times, a track of numbers for each name, and the latest transitions. It begins with
 * the event `history` and grows with each `tick`. Pure: nothing here touches the page.
 */

/** How many seconds are kept; as many as the balancer keeps. */
const SECONDS_MAX = 900;

/** How many transitions are kept; as many as the balancer keeps. */
const TRANSITIONS_MAX = 256;

/** A second that is so many milliseconds before the last one was not just told twice. */
const CLOCK_SET_BACK = 2000;

/** The numbers of a sample. */
export const COLUMNS = [
  "success", "redirect", "client_error", "server_error", "p50_ms", "p99_ms", "failed", "retries", "rescues",
  "in_flight", "weight", "share", "cpu", "state",
];

/** One name's numbers, each list as long as the times. */
class Track {
  constructor(length) {
    this.columns = Object.fromEntries(COLUMNS.map((name) => [name, new Array(length).fill(null)]));
  }

  /** Adds one second; null for one of which nothing is known. */
  push(sample) {
    for (const name of COLUMNS) this.columns[name].push(sample?.[name] ?? null);
  }

  /** Forgets the oldest second. */
  shift() {
    for (const name of COLUMNS) this.columns[name].shift();
  }

  /** Whether any of its seconds is known. */
  get isKnown() {
    return this.columns.in_flight.some((value) => value !== null);
  }

  /** All answers in the second at this position. */
  rate(at) {
    const { success, redirect, client_error, server_error } = this.columns;
    return success[at] === null ? null : success[at] + redirect[at] + client_error[at] + server_error[at];
  }
}

/** The key of a track. Names hold no line breaks. */
function keyOf(upstream, backend) {
  return `${upstream ?? ""}\n${backend ?? ""}`;
}

/** Everything that is remembered. */
export class History {
  /** @param {{times: number[], tracks: object[], transitions: object[]}} event the data of `history` */
  constructor(event = { times: [], tracks: [], transitions: [] }) {
    /** When each second was, in milliseconds since 1970. */
    this.times = [...event.times];
    /** @type {Map<string, Track>} */
    this.tracks = new Map();
    for (const told of event.tracks) this.tracks.set(keyOf(told.upstream, told.backend), this.#track(told));
    this.transitions = event.transitions.map(withTime);
    /** The data of the last tick. */
    this.latest = null;
  }

  #track(told) {
    const track = new Track(this.times.length);
    for (const name of COLUMNS) {
      (told[name] ?? []).forEach((value, at) => (track.columns[name][told.from + at] = value));
    }
    return track;
  }

  /**
   * Takes in one second. One that is known already only brings what is true now. One from long before means that the
   * balancer's clock was set back: it has begun anew, and so does this.
   */
  tick(event) {
    this.latest = event;
    if (event.at !== null && event.at < (this.now ?? 0) - CLOCK_SET_BACK) this.#beginAnew();
    if (event.at === null || event.at <= (this.times.at(-1) ?? 0)) return;
    const samples = new Map([[keyOf(null, null), event.total]]);
    for (const upstream of event.upstreams) {
      samples.set(keyOf(upstream.name, null), upstream.sample);
      for (const backend of upstream.backends) samples.set(keyOf(upstream.name, backend.name), backend.sample);
    }
    for (const key of samples.keys()) {
      if (!this.tracks.has(key)) this.tracks.set(key, new Track(this.times.length));
    }
    this.times.push(event.at);
    for (const [key, track] of this.tracks) track.push(samples.get(key));
    if (this.times.length > SECONDS_MAX) this.#forget();
  }

  #beginAnew() {
    this.times = [];
    this.tracks.clear();
  }

  #forget() {
    this.times.shift();
    for (const [key, track] of this.tracks) {
      track.shift();
      if (!track.isKnown) this.tracks.delete(key);
    }
  }

  /** Takes in a transition; one that is known already is left out. Returns whether it is new. */
  transition(event) {
    const same = (known) =>
      known.at === event.at && known.upstream === event.upstream && known.backend === event.backend &&
      known.to === event.to;
    if (this.transitions.some(same)) return false;
    this.transitions.push(withTime(event));
    if (this.transitions.length > TRANSITIONS_MAX) this.transitions.shift();
    return true;
  }

  /** Returns the track of a backend, of an upstream (no backend), or of everything (no upstream). */
  track(upstream = null, backend = null) {
    return this.tracks.get(keyOf(upstream, backend)) ?? null;
  }

  /** Returns the names of all backends of an upstream that are remembered: those of now first, in their order. */
  backends(upstream) {
    const now = this.latest?.upstreams.find((known) => known.name === upstream)?.backends ?? [];
    const names = now.map((backend) => backend.name);
    const before = [...this.tracks.keys()].map((key) => key.split("\n"));
    const gone = before.filter(([of, name]) => of === upstream && name !== "" && !names.includes(name));
    return [...names, ...gone.map(([, name]) => name)];
  }

  /** Returns the moment of the last second. */
  get now() {
    return this.times.at(-1) ?? null;
  }

  /**
   * Adds up what a rate came to since `from`: rates are per second, and seconds are not all of the same length.
   * @param {Track|null} track
   * @param {string} name of the column
   * @param {number} from milliseconds since 1970
   */
  sum(track, name, from) {
    let sum = 0;
    for (let at = this.times.length - 1; at > 0 && this.times[at] > from; at -= 1) {
      sum += (track?.columns[name][at] ?? 0) * Math.min(5, (this.times[at] - this.times[at - 1]) / 1000);
    }
    return sum;
  }
}

function withTime(transition) {
  return { ...transition, time: Date.parse(transition.at) };
}
