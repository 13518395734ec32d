// Draws what was promised against what was delivered, for one queue or one gathered type.

import { ApiError, call, path } from "../api.js";
import {
  capOf,
  LiveRate,
  promisedNow,
  RateHistory,
  ratesByMinute,
  shareDelivered,
  typeRatesByMinute,
} from "../delivery.js";
import { h, setText } from "../dom.js";
import { percent, rate, rateLevels, rateOfInterval } from "../format.js";
import { watch } from "../stream.js";
import { lineChart } from "./chart.js";
import { sayError } from "./notices.js";

/**
 * @typedef {import("../snapshot.js").QueueEvent} QueueEvent
 * @typedef {import("../snapshot.js").TypeEvent} TypeEvent
 * @typedef {import("../delivery.js").Rates} Rates
 */

/** The past of a type with more queues than this is not read: it takes a call for each. */
const MOST_QUEUES = 50;

/** The number of live values for which a type that stood at its cap counts as held by it. */
const CAP_MEMORY = 5;

/**
 * Make the drawing of one queue: ten minutes back by minute, then live, until the signal aborts.
 *
 * @param {string} queueType
 * @param {string} queueId
 * @param {{signal: AbortSignal}} context
 * @returns {Promise<HTMLElement>}
 * @throws {ApiError} the history cannot be read
 */
export async function queueDelivery(queueType, queueId, { signal }) {
  const drawing = deliveryDrawing(`Promised and delivered jobs of ${queueId}`);
  const [counts, queue] = await Promise.all([
    call("GET", path("metrics", queueType, queueId), { signal }),
    readQueue(queueType, queueId, signal),
  ]);
  if (queue !== null) {
    drawing.seed(ratesByMinute(countsOf(counts, queue.queued, queue.interval), Date.now()));
    drawing.say(promiseOf(queue.interval));
  }
  const live = new LiveRate();
  const stop = watch({ queue_type: queueType, queue_id: queueId }, (name, data) => {
    if (name !== "queue") return;
    const event = /** @type {QueueEvent} */ (data);
    if (event.queue_type !== queueType || event.queue_id !== queueId || event.queue === null) return;
    const { interval, queued } = event.queue;
    const delivered = live.add(event.at, event.minute, event.delivered, interval);
    drawing.say(promiseOf(interval));
    if (delivered === null) return;
    const promised = promisedNow(interval > 0 ? 1000 / interval : null, delivered, queued);
    drawing.add({ at: event.at, delivered: delivered.perSecond, promised });
  });
  signal.addEventListener("abort", stop, { once: true });
  return drawing.node;
}

/**
 * Make the drawing of one gathered type, live until the signal aborts.
 *
 * @param {string} queueType
 * @param {{signal: AbortSignal}} context
 * @returns {HTMLElement}
 */
export function typeDelivery(queueType, { signal }) {
  const drawing = deliveryDrawing(`Promised and delivered jobs of ${queueType}`);
  /** @type {boolean[]} */
  const heldByCap = [];
  void readPast(queueType, signal).then(drawing.seed, (error) => {
    if (!signal.aborted) sayError(error);
  });
  const stop = watch({ queue_type: queueType }, (name, data) => {
    if (name !== "type") return;
    const event = /** @type {TypeEvent} */ (data);
    if (event.queue_type !== queueType || event.numbers === null) return;
    const { delivered_per_s: delivered, queued } = event.numbers;
    if (delivered === null) return;
    const cap = event.state === null ? null : capOf(event.state.limits);
    // The rates of its queues may hold a type below its cap; then it promises no more than they give.
    const reason = event.state?.blocked_by ?? null;
    heldByCap.push(queued > 0 && (reason === null || reason === "type_rate"));
    if (heldByCap.length > CAP_MEMORY) heldByCap.shift();
    const promised = cap === null ? null : heldByCap.includes(true) ? cap : Math.min(cap, delivered);
    drawing.say(
      cap === null ? "No limit that counts jobs: nothing is promised." : `The cap is ${rate(cap)}.`,
    );
    drawing.add({ at: event.at, delivered, promised });
  });
  signal.addEventListener("abort", stop, { once: true });
  return drawing.node;
}

/**
 * Read the past minutes of a type, which are the sums over its queues.
 *
 * @param {string} queueType
 * @param {AbortSignal} signal
 * @returns {Promise<Rates[]>} empty for a type with too many queues to ask them all
 */
async function readPast(queueType, signal) {
  const [state, list] = await Promise.all([
    call("GET", path("type", queueType), { signal }),
    call("GET", path("queues", queueType), { query: { limit: MOST_QUEUES }, signal }),
  ]);
  if (list.cursor !== null) return [];
  /** @type {import("../delivery.js").Counts[]} */
  const counts = [];
  // One after the other: the past is not worth a burst of calls.
  for (const { queue_id, queued, interval } of list.queues) {
    const answer = await call("GET", path("metrics", queueType, queue_id), { signal });
    counts.push(countsOf(answer, queued, interval));
  }
  return typeRatesByMinute(counts, capOf(state.limits), Date.now());
}

/**
 * @param {{enqueue_counts: Record<string, number>, dequeue_counts: Record<string, number>}} answer
 * @param {number} waiting
 * @param {number} intervalMs
 * @returns {import("../delivery.js").Counts}
 */
function countsOf(answer, waiting, intervalMs) {
  return { enqueued: answer.enqueue_counts, delivered: answer.dequeue_counts, waiting, intervalMs };
}

/** @param {string} title */
function deliveryDrawing(title) {
  const history = new RateHistory();
  const chart = lineChart({ title, format: rate, levelsOf: rateLevels });
  const kept = h("strong");
  const promise = h("span", { class: "soft" });
  const node = h(
    "div",
    { class: "delivery" },
    h("p", { class: "delivery-line" }, kept, " ", promise),
    chart.node,
  );

  function draw(to = Date.now()) {
    const { promised, delivered, from } = history.lines(to);
    chart.update({
      from,
      to,
      series: [
        { label: "Promised", look: "promised", points: promised },
        { label: "Delivered", look: "delivered", points: delivered },
      ],
    });
    const share = shareDelivered(promised, delivered);
    setText(kept, share === null ? "" : `${percent(share)} of the promised jobs were delivered.`);
  }

  return {
    node,
    /** @param {Rates[]} minutes */
    seed(minutes) {
      history.seed(minutes);
      draw();
    },
    /** @param {Rates} rates */
    add(rates) {
      history.add(rates);
      draw(rates.at);
    },
    /** @param {string} text */
    say(text) {
      setText(promise, text);
    },
  };
}

/** @param {number} intervalMs */
function promiseOf(intervalMs) {
  return intervalMs > 0
    ? `The rate is ${rateOfInterval(intervalMs)}.`
    : "The rate is unlimited: nothing is promised.";
}

/**
 * @param {string} queueType
 * @param {string} queueId
 * @param {AbortSignal} signal
 * @returns {Promise<{interval: number, queued: number} | null>} null if there is no such queue
 */
async function readQueue(queueType, queueId, signal) {
  try {
    return await call("GET", path("queue", queueType, queueId), { signal });
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}
