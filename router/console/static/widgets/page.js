// The head of a page and its cards.

import { h } from "../dom.js";

/** @typedef {import("../dom.js").Child} Child */

/**
 * Make the head of a page.
 *
 * @param {string} title
 * @param {{trail?: {label: string, href: string}[], actions?: import("../dom.js").Piece[]}} [options] `trail`: the pages above this one
 * @returns {HTMLElement}
 */
export function pageHead(title, { trail = [], actions = [] } = {}) {
  const steps = trail.map(({ label, href }) => h("li", null, h("a", { href }, label)));
  return h(
    "header",
    { class: "page-head" },
    h(
      "div",
      null,
      trail.length > 0 ? h("nav", { "aria-label": "Above this page" }, h("ol", { class: "trail" }, steps)) : null,
      h("h1", null, title),
    ),
    actions.length > 0 ? h("div", { class: "actions" }, actions) : null,
  );
}

/**
 * Make a card with a heading. The heading takes the focus if a reader opened the card.
 *
 * @param {string} title
 * @param {{onClose?: () => void, isWide?: boolean, note?: import("../dom.js").Piece, isFolded?: boolean}} options
 *     `isWide`: what it holds reaches its edges, such as a table; `isFolded`: it is opened by its heading, beside which
 *     the note stands
 * @param {...import("../dom.js").Piece} children
 * @returns {HTMLElement}
 */
export function card(title, { onClose, isWide = false, note, isFolded = false }, ...children) {
  const close = onClose && h("button", { type: "button", class: "quiet", onclick: onClose }, "Close");
  const heading = h("h2", { tabindex: onClose ? -1 : null }, title);
  const body = h("div", { class: isWide ? null : "card-body stack" }, children);
  const shown = isFolded
    ? h("details", null, h("summary", { class: "card-head" }, heading, note), body)
    : [h("div", { class: "card-head" }, heading, note, close), body];
  return h("section", { class: "card", "aria-label": title }, shown);
}

/**
 * Make a list of names and values. A value that is null or undefined is left out with its name.
 *
 * @param {[string, Child][]} pairs
 * @param {{isTight?: boolean}} [options] `isTight`: the values are short
 * @returns {HTMLElement}
 */
export function facts(pairs, { isTight = false } = {}) {
  const present = pairs.filter(([, value]) => value !== null && value !== undefined);
  return h(
    "dl",
    { class: isTight ? "facts tight" : "facts" },
    present.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
  );
}

/**
 * Make a badge. The word says what the colour says.
 *
 * @param {string} text
 * @param {"well" | "watch" | "bad" | "idle"} tone
 * @returns {HTMLElement}
 */
export function badge(text, tone) {
  return h("span", { class: "badge", "data-tone": tone }, text);
}
