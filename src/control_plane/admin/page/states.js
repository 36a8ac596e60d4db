/** The states of a backend: words, shapes and what is worse than what. Colour never stands alone. */

/** In the order of `plimsoll_backend_state`. */
export const STATES = ["down", "up", "draining", "slow_start", "ejected"];

const WORDS = { down: "down", up: "up", draining: "draining", slow_start: "slow start", ejected: "ejected" };

/** One character for each state, that reads without colour. */
const SHAPES = { down: "✕", up: "●", draining: "◐", slow_start: "◔", ejected: "▲" };

/** Returns the state of this number; null for none. */
export function stateOf(number) {
  return number === null || number === undefined ? null : (STATES[number] ?? null);
}

/** Returns the word for people. */
export function word(state) {
  return WORDS[state] ?? "unknown";
}

/** Returns the shape. */
export function shape(state) {
  return SHAPES[state] ?? "?";
}

/** Whether a backend in this state gets new work. */
export function isInService(state) {
  return state === "up" || state === "slow_start";
}

/** What brought a transition about, where the words that come with it do not say so. */
const CAUSES = {
  check: "Health checks",
  traffic: "Live traffic",
  outlier: "Compared with its peers",
  agent: "Its agent",
  readmission: "A probe was answered",
  configuration: "The configuration",
};

/** Returns the cause of a transition for people: `Health checks: connection refused`. */
export function because({ cause, words }) {
  const plain = words.replace(/\.$/, "");
  const lower = /^[A-Z][a-z]/.test(plain) ? plain[0].toLowerCase() + plain.slice(1) : plain;
  return cause in CAUSES ? `${CAUSES[cause]}: ${lower}` : plain[0].toUpperCase() + plain.slice(1);
}
