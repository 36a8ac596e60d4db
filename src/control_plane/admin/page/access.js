/** What this viewer may change: said before anything is tried, and where nothing may be changed, not offered. */

import { byId, say } from "./dom.js";

/** Says above the table what may be changed. */
export class Access {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    view.addEventListener("access", () => this.draw(view.access));
  }

  /** @param {{changes: "allowed"|"token"|"refused", words: string|null}} access */
  draw({ changes, words }) {
    const text = { allowed: "", token: "To change something from here takes the token; you will be asked for it.",
      refused: `Nothing can be changed from here: ${words}.` }[changes];
    say(byId("may"), text);
    byId("may").hidden = changes === "allowed";
    byId("table").classList.toggle("to-look-at", changes === "refused");
  }
}
