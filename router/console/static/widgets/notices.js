// Says what a change did, at the edge of the page and to screen readers.

import { ApiError } from "../api.js";
import { h } from "../dom.js";

const DONE_MS = 8000;
const MOST_NOTICES = 4;

/**
 * Say something. What failed stays until it is dismissed.
 *
 * @param {string} text
 * @param {"done" | "failed"} outcome
 */
export function say(text, outcome) {
  const list = region();
  const notice = h(
    "div",
    { class: `notice notice-${outcome}` },
    h("span", { class: "notice-sign", "aria-hidden": "true" }, outcome === "done" ? "✓" : "!"),
    h("p", null, h("span", { class: "unseen" }, outcome === "done" ? "Done: " : "Failed: "), text),
    h("button", { type: "button", class: "quiet", onclick: () => notice.remove() }, "Dismiss"),
  );
  list.append(notice);
  while (list.children.length > MOST_NOTICES) list.firstElementChild?.remove();
  if (outcome === "done") setTimeout(() => notice.remove(), DONE_MS);
}

/**
 * Say that something failed, with the server's message and the request id, which the server's log has, too.
 *
 * @param {unknown} error
 */
export function sayError(error) {
  console.error(error);
  say(textOf(error), "failed");
}

/**
 * Return an error's message, with the request id if the server answered.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function textOf(error) {
  if (error instanceof ApiError && error.requestId !== null)
    return `${error.message} (request ${error.requestId})`;
  return error instanceof Error ? error.message : String(error);
}

/** @returns {Element} */
function region() {
  const outer = /** @type {HTMLElement} */ (document.getElementById("notices"));
  if (outer.firstElementChild === null) outer.append(h("div", { role: "status", "aria-live": "polite" }));
  return /** @type {Element} */ (outer.firstElementChild);
}
