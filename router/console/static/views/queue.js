// One queue: its state, what it promises and delivers, what may be done with it, its settings and its jobs.

import { ApiError, call, path } from "../api.js";
import { replace } from "../dom.js";
import { href } from "../routes.js";
import { watch } from "../stream.js";
import { card } from "../widgets/card.js";
import { attempt } from "../widgets/change.js";
import { queueDelivery } from "../widgets/delivery_chart.js";
import { heading, panel } from "../widgets/heading.js";
import { sayError } from "../widgets/notices.js";
import { JobList } from "./queue_jobs.js";
import { settingsForm } from "./queue_settings.js";
import { QueueState } from "./queue_state.js";

/**
 * @typedef {{queue_type: string, queue_id: string}} QueueKey
 * @typedef {object} Queue the answer of GET /queue/…/
 * @property {number} interval ms
 * @property {string | null} rate
 * @property {number} burst
 * @property {boolean} pinned
 * @property {boolean} paused
 * @property {number} queued
 * @property {number} delayed
 * @property {number} leased
 * @property {number} dead
 * @property {number | null} max_leased
 * @property {number} weight
 * @property {number | null} held_until ms since the epoch
 * @property {{delay: number, factor: number, max: number, jitter: number} | null} retry
 * @property {number | null} expires ms
 * @property {"dead" | "drop" | null} on_expiry
 * @property {string | null} window
 * @property {string[]} [caps] absent from an older router
 * @property {string[]} settings
 * @property {string | null} blocked_by
 * @property {number | null} next_ready_in ms
 * @property {number | null} oldest_age ms
 */

/**
 * Show a queue until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} parameters `queue_type`, `queue_id`, and perhaps `state` and `job`
 * @param {{signal: AbortSignal}} context
 */
export async function show(root, parameters, { signal }) {
  const key = { queue_type: parameters["queue_type"] ?? "", queue_id: parameters["queue_id"] ?? "" };
  const [queue, windows, drawing] = await Promise.all([
    readQueue(key, signal),
    windowNames(signal),
    queueDelivery(key.queue_type, key.queue_id, { signal }),
  ]);
  const readAgain = () => void attempt(async () => draw(await readQueue(key, signal)));
  const state = new QueueState(key, readAgain);
  const settings = settingsForm(key, queue, windows, draw);
  const jobs = new JobList(key, { parameters, signal, onChange: readAgain });

  /** @param {Queue | null} newer */
  function draw(newer) {
    state.update(newer);
    if (newer === null) return;
    settings.refresh(newer);
    jobs.update(newer);
  }

  const crumbs = [
    { label: "Types", href: href("types") },
    { label: key.queue_type, href: href("type", [key.queue_type]) },
    { label: "Customers", href: href("customers", [key.queue_type]) },
  ];
  replace(
    root,
    heading({ title: key.queue_id, crumbs, note: state.sign }),
    state.node,
    panel("Promised and delivered", {}, drawing),
    card("Settings", { isFolded: true, note: settings.note }, settings.node),
    jobs.node,
  );
  draw(queue);
  void jobs.load();
  const stop = watch(key, (name, data) => {
    const event = /** @type {import("../snapshot.js").QueueEvent} */ (data);
    if (name === "queue" && event.queue_type === key.queue_type && event.queue_id === key.queue_id) {
      draw(/** @type {Queue | null} */ (event.queue));
    }
  });
  signal.addEventListener("abort", stop, { once: true });
}

/**
 * Return the names of the windows, which the settings suggest. Without them the rest of the view works, too.
 *
 * @param {AbortSignal} signal
 * @returns {Promise<string[]>}
 */
async function windowNames(signal) {
  try {
    const answer = await call("GET", "/windows/", { query: { limit: 1000 }, signal });
    return answer.windows.map((/** @type {{name: string}} */ window) => window.name);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    sayError(error);
    return [];
  }
}

/**
 * Return the state of a queue; null if there is none.
 *
 * @param {QueueKey} key
 * @param {AbortSignal} signal
 * @returns {Promise<Queue | null>}
 */
async function readQueue(key, signal) {
  try {
    return await call("GET", path("queue", key.queue_type, key.queue_id), { signal });
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}
