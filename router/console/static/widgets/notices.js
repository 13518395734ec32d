// Says what a change did, at the edge of the page and to screen readers.

import { ApiError } from "../api.js";
import { h } from "../dom.js";

const DONE_MS = 8000;
const MOST_NOTICES = 4;

/**
 * Say something. What failed stays until it is dismissed, or until it is said again.
 *
 * @param {string} text
 * @param {"done" | "failed"} outcome
 * @param {string} [key] what makes two notices the same; the text by default
 */
export function say(text, outcome, key = text) {
  const list = region();
  for (const said of [...list.children]) if (said.getAttribute("data-key") === key) said.remove();
  const notice = h(
    "div",
    { class: `notice notice-${outcome}`, "data-key": key },
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
  // Each answer has a request id of its own, but is the same failure for the reader.
  say(textOf(error), "failed", error instanceof Error ? error.message : String(error));
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
