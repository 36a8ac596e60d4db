/**
 * The connection to the balancer: server-sent events, taken up again by itself when they end. A tab that nobody sees for
 * a while lets go of its connection, since the history tells it everything when it is looked at again.
 */

/** How long after a failure the balancer is asked again, in milliseconds. */
const RETRY = 1000;

/** A balancer that says nothing for so long is not answering; it says something every second. */
const SILENCE = 4000;

/** How long a tab must be out of sight until it lets go. */
const OUT_OF_SIGHT = 30_000;

/** The connection; a listener hears what comes through it. */
export class Feed {
  #source = null;
  #retry = 0;
  #watchdog = 0;
  #hidden = 0;

  /**
   * @param {{access: (data) => void, history: (data) => void, tick: (data) => void, transition: (data) => void,
   *   connection: (is: "connecting"|"live"|"lost"|"ended", since: number) => void}} listener
   */
  constructor(listener) {
    this.listener = listener;
    this.lastHeard = null;
    this.ended = false;
    document.addEventListener("visibilitychange", () => this.#seen(!document.hidden));
  }

  /** Connects, and stays connected. */
  open() {
    this.close();
    const source = new EventSource("/api/v1/live");
    this.#source = source;
    const on = (name, does) => source.addEventListener(name, (event) => this.#heard(does, event));
    on("access", (data) => this.listener.access(data));
    on("history", (data) => this.listener.history(data));
    on("tick", (data) => this.listener.tick(data));
    on("transition", (data) => this.listener.transition(data));
    on("bye", () => (this.ended = true));
    source.addEventListener("error", () => this.#lost());
    this.#expect();
  }

  /** Lets go of the connection. */
  close() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#retry);
    clearTimeout(this.#watchdog);
  }

  #heard(does, event) {
    this.lastHeard = Date.now();
    this.ended = false;
    does(JSON.parse(event.data));
    if (!this.ended) this.listener.connection("live", this.lastHeard);
    this.#expect();
  }

  #expect() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#lost(), SILENCE);
  }

  #lost() {
    this.close();
    const is = this.ended ? "ended" : this.lastHeard === null ? "connecting" : "lost";
    this.listener.connection(is, this.lastHeard);
    this.#retry = setTimeout(() => this.open(), RETRY);
  }

  #seen(visible) {
    clearTimeout(this.#hidden);
    if (!visible) this.#hidden = setTimeout(() => this.close(), OUT_OF_SIGHT);
    else if (this.#source === null) this.open();
  }
}
