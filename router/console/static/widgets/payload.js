// Shows a JSON value of a job as text. A long one is cut, and shown whole on demand.

import { h, setText } from "../dom.js";
import { writeExactly } from "../exact.js";
import { count } from "../format.js";

const MAX_SHOWN = 4000;
const MAX_LINES = 40;

/**
 * Show a value as indented JSON.
 *
 * @param {unknown} value as of parseExactly
 * @param {string} label what the value is, such as `Payload`
 * @returns {HTMLElement}
 */
export function jsonBlock(value, label) {
  return textBlock(writeExactly(value), label);
}

/**
 * Show a text as it is, its line breaks too.
 *
 * @param {string} text
 * @param {string} label
 * @returns {HTMLElement}
 */
export function textBlock(text, label) {
  const short = cut(text);
  // What scrolls must be reachable by keyboard.
  const block = h("pre", { class: "payload", tabindex: 0, role: "group", "aria-label": label }, short);
  if (short.length === text.length) return block;
  const note = h(
    "span",
    { class: "soft" },
    `${count(short.length)} of ${count(text.length)} characters are shown.`,
  );
  const more = h("button", { type: "button", class: "plain" }, "Show all");
  const foot = h("p", { class: "payload-foot" }, note, " ", more);
  more.addEventListener("click", () => {
    setText(block, text);
    foot.remove();
    block.focus();
  });
  return h("div", null, block, foot);
}

/**
 * Return the first lines of a text.
 *
 * @param {string} text
 * @returns {string}
 */
export function cut(text) {
  const lines = text.slice(0, MAX_SHOWN).split("\n");
  const kept = lines.slice(0, MAX_LINES).join("\n");
  // A pair of surrogates is one character; half of one is shown as a question mark.
  return /[\uD800-\uDBFF]$/.test(kept) && kept.length < text.length ? kept.slice(0, -1) : kept;
}
