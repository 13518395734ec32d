// Draws states as short words, and shares of a limit as bars. A colour only repeats what the words say.

import { assign, h, setText } from "../dom.js";
import { percent } from "../format.js";

/** @typedef {"well" | "watch" | "bad" | "plain"} Tone */

/**
 * Make a badge.
 *
 * @param {string} text
 * @param {Tone} [tone]
 * @param {string} [title]
 * @returns {HTMLElement}
 */
export function badge(text, tone = "plain", title) {
  return h("span", { class: "badge", "data-tone": tone, title }, text);
}

/**
 * Make the bar of a share.
 *
 * @param {{share: number, text?: string, name?: string, isLimitGood?: boolean}} options `share` of 1; `text` is the share
 *     in percent if left out; `isLimitGood`: a full bar is what is wanted
 * @returns {HTMLElement}
 */
export function shareBar({ share, text, name, isLimitGood = false }) {
  const shown = Math.max(0, Math.min(1, share));
  const tone = isLimitGood ? "plain" : share >= 0.999 ? "bad" : share >= 0.9 ? "watch" : "plain";
  return h(
    "span",
    { class: "share", "data-tone": tone },
    name === undefined ? null : h("span", { class: "share-name" }, name),
    h(
      "span",
      { class: "share-track", "aria-hidden": "true" },
      h("span", { class: "share-fill", style: { "--share": String(shown) } }),
    ),
    h("span", { class: "share-text" }, text ?? percent(share)),
  );
}

/**
 * Make a list of facts, whose values can be set again.
 *
 * @param {string[]} labels
 * @returns {{node: HTMLElement, set: (label: string, value: string) => void}}
 */
export function facts(labels) {
  const values = new Map(labels.map((label) => [label, h("dd")]));
  const node = h(
    "dl",
    { class: "facts" },
    [...values].map(([label, value]) => h("div", null, h("dt", null, label), value)),
  );
  return {
    node,
    set(label, value) {
      const place = /** @type {HTMLElement} */ (values.get(label));
      setText(place, value);
      assign(/** @type {Element} */ (place.parentElement), { hidden: value === "" });
    },
  };
}
