// Shows the whole: is it well, and who is not?

import { h, replace } from "../dom.js";
import { compact, duration, rate } from "../format.js";
import { watch } from "../stream.js";
import { figure } from "../widgets/sparkline.js";

/** @typedef {import("../snapshot.js").Snapshot} Snapshot */

/**
 * Show the overview until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} _parameters
 * @param {{signal: AbortSignal}} context
 */
export async function show(root, _parameters, { signal }) {
  const figures = {
    enqueued: figure({ label: "Enqueued", format: rate }),
    delivered: figure({ label: "Delivered", format: rate }),
    queued: figure({ label: "Waiting", format: compact }),
    delay: figure({ label: "Ready delay, 99 %", format: duration }),
  };
  replace(
    root,
    h("h1", { class: "unseen" }, "Overview"),
    h(
      "ul",
      { class: "figures" },
      Object.values(figures).map(({ node }) => node),
    ),
  );
  const stop = watch({}, (name, data) => {
    if (name !== "snapshot") return;
    const { at, totals } = /** @type {Snapshot} */ (data);
    figures.enqueued.add(at, totals.enqueued_per_s);
    figures.delivered.add(at, totals.delivered_per_s);
    figures.queued.add(at, totals.queued);
    figures.delay.add(at, totals.ready_delay_p99_ms);
  });
  signal.addEventListener("abort", stop, { once: true });
}
