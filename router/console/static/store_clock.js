// Knows the clock of the store, by which windows open, schedules fire and leases end.

import { h, setText } from "./dom.js";
import { duration } from "./format.js";
import { watch } from "./stream.js";

/** A difference that a reader would notice. */
const NOTICED_MS = 5000;

let offsetMs = 0;

/** Return the present time of the store in ms since the epoch, as of the latest snapshot of the stream. */
export function storeNow() {
  return Date.now() + offsetMs;
}

/**
 * Make a line that says how far the store's clock is from the reader's, if that is far.
 *
 * @param {AbortSignal} signal
 * @returns {HTMLElement}
 */
export function clockNote(signal) {
  const node = h("p", { class: "note", hidden: true });
  const stop = watch({}, (name, data) => {
    if (name !== "snapshot") return;
    offsetMs = data.at - Date.now();
    const away = Math.abs(offsetMs);
    node.hidden = away < NOTICED_MS;
    const side = offsetMs > 0 ? "ahead of" : "behind";
    setText(node, `The store's clock is ${duration(away)} ${side} the clock of this device. The store's clock counts here.`);
  });
  signal.addEventListener("abort", stop, { once: true });
  return node;
}
