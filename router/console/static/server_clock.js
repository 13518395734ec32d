// Knows the clock of the server, so that "in 5 min" is right on a device whose clock is not.

import { h, setText } from "./dom.js";
import { duration } from "./format.js";
import { watch } from "./stream.js";

/** A difference that a reader would notice. */
const NOTICED_MS = 5000;

let offsetMs = 0;

watch({}, (name, data) => {
  if (name === "snapshot") offsetMs = data.at - Date.now();
});

/** Return the present time of the server in ms since the epoch, as of the latest snapshot of the stream. */
export function serverNow() {
  return Date.now() + offsetMs;
}

/**
 * Make a line that says how far the clock of this device is from the server's, if that is far.
 *
 * @param {AbortSignal} signal
 * @returns {HTMLElement}
 */
export function clockNote(signal) {
  const node = h("p", { class: "note", hidden: true });
  const stop = watch({}, (name) => {
    if (name !== "snapshot") return;
    const away = Math.abs(offsetMs);
    node.hidden = away < NOTICED_MS;
    const side = offsetMs > 0 ? "ahead of" : "behind";
    setText(
      node,
      `The server's clock is ${duration(away)} ${side} the clock of this device. Times here count by the clock of the store.`,
    );
  });
  signal.addEventListener("abort", stop, { once: true });
  return node;
}
