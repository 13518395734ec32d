// A card that can be closed or folded, and a list of facts.

import { h } from "../dom.js";

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
  const body = h("div", { class: isWide ? "card-flush" : "card-body stack" }, children);
  const shown = isFolded
    ? h("details", null, h("summary", { class: "card-head" }, heading, note), body)
    : [h("div", { class: "card-head" }, heading, note, close), body];
  return h("section", { class: "card", "aria-label": title }, shown);
}

/**
 * Make a list of names and values. A value that is null or undefined is left out with its name.
 *
 * @param {[string, import("../dom.js").Child][]} pairs
 * @param {{isTight?: boolean}} [options] `isTight`: the values are short
 * @returns {HTMLElement}
 */
export function factList(pairs, { isTight = false } = {}) {
  const present = pairs.filter(([, value]) => value !== null && value !== undefined);
  return h(
    "dl",
    { class: isTight ? "facts tight" : "facts" },
    present.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
  );
}
