/** What somebody looks for among the decisions, as the balancer is asked for it. */

/** The trace id alone, or the whole `traceparent` that it stands in. */
const TRACE = /^(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?$/i;

const STATUS = /^[1-5](?:\d\d|xx)$/i;

/**
 * Returns the parameters for a text: a status or a class of them, a trace id, a backend by its name, else a request id.
 * Who looks for one request means it whether it is notable or not.
 * @param {string} text
 * @param {string} notable `true` when only notable ones are looked at
 * @param {{name: string, backends: {name: string}[]}[]} upstreams
 */
export function questionFor(text, notable, upstreams) {
  if (text === "") return { notable };
  if (STATUS.test(text)) return { notable, status: text.toLowerCase() };
  const trace = TRACE.exec(text)?.[1];
  if (trace) return { notable: "false", trace: trace.toLowerCase() };
  for (const { name: upstream, backends } of upstreams) {
    for (const { name: backend } of backends) {
      if (text === backend) return { notable, backend };
      if (text === `${upstream}/${backend}`) return { notable, upstream, backend };
    }
  }
  return { notable: "false", id: text };
}

/**
 * Returns what a link to this page looks for, as in `#why=4bf92f3577b34da6a3ce929d0e0e4736`; null if it looks for nothing.
 * @param {string} hash
 */
export function linkedIn(hash) {
  return new URLSearchParams(hash.slice(1)).get("why")?.trim() || null;
}
