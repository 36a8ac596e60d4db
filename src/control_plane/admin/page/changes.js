/**
 * Changes: asks the balancer to drain a backend, to bring it back, or to give it another weight. Where that needs a token,
 * it is asked for once and kept until the tab is closed.
 */

import { byId, say } from "./dom.js";

/** Where the tab keeps the token. */
const KEPT = "plimsoll-token";

/** The balancer has not done what it was asked. */
export class Refused extends Error {}

/**
 * Asks for a change of a backend.
 * @param {string} upstream
 * @param {string} backend
 * @param {"drain"|"ready"|"weight"} verb
 * @param {object} [body]
 * @returns {Promise<object>} what the backend is now
 * @throws {Refused} with the reason for people
 */
export async function change(upstream, backend, verb, body) {
  const path = `/api/v1/upstreams/${encodeURIComponent(upstream)}/backends/${encodeURIComponent(backend)}/${verb}`;
  for (;;) {
    const answer = await post(path, body);
    const told = await answer.json().catch(() => ({}));
    if (answer.ok) return told;
    const error = told.error ?? `the balancer answers ${answer.status}`;
    if (answer.status !== 401) throw new Refused(error);
    sessionStorage.removeItem(KEPT);
    if (!(await askForToken(error))) throw new Refused("nothing was changed");
  }
}

async function post(path, body) {
  const token = sessionStorage.getItem(KEPT);
  const headers = {};
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  try {
    return await fetch(path, { method: "POST", headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused("the balancer does not answer");
  }
}

/** Asks for the token; returns whether there is one now. */
async function askForToken(why) {
  say(byId("ask-token-why"), `${why[0].toUpperCase()}${why.slice(1)}.`);
  const field = byId("token");
  field.value = "";
  const used = await ask("ask-token");
  if (used && field.value !== "") sessionStorage.setItem(KEPT, field.value);
  field.value = "";
  return sessionStorage.getItem(KEPT) !== null;
}

/** Asks whether the last backend in service is to be drained. */
export function askIfSure(words) {
  say(byId("ask-sure-why"), words);
  return ask("ask-sure");
}

/** Shows a dialog, and returns whether it was confirmed. */
function ask(id) {
  const dialog = byId(id);
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "use"), { once: true });
  });
}
