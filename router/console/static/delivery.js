// Computes what was promised and what was delivered over time. Pure, and tested without a browser.

import { stair } from "./scales.js";

/**
 * @typedef {import("./scales.js").Point} Point
 * @typedef {{at: number, delivered: number | null, promised: number | null}} Rates in jobs per second, from `at` on; null
 *     for what is not known
 * @typedef {{from: number, to: number, delivered: number}} Piece jobs that left in a stretch of time
 */

const MINUTE_MS = 60_000;

/** The stretch that a chart shows. */
export const WINDOW_MS = 10 * MINUTE_MS;

/** Live values further apart than this are not joined: the tab slept, or the server was away. */
const GAP_MS = 20_000;

/** A live rate is the mean of at least this long; one of a slow queue covers some of its intervals. */
const MEAN_MS = 10_000;
const INTERVALS_OF_MEAN = 4;

/**
 * @typedef {object} Counts of one queue, as of `GET /metrics/<type>/<id>/`
 * @property {Record<string, number>} enqueued minute → jobs
 * @property {Record<string, number>} delivered the same
 * @property {number} waiting jobs that wait now
 * @property {number} intervalMs the rate at present; 0 is unlimited
 */

/**
 * Return the rates of the complete minutes of a queue.
 *
 * What could have left in a minute is what left in it and what still waited at its end, so the promise is the rate, but
 * no more than that (as `promised` of `GET /queues/<type>/`). What waited at the end of each minute follows backwards
 * from what waits now.
 *
 * @param {Counts} counts
 * @returns {Rates[]} by time; the current minute is left out; an unlimited queue promises nothing
 */
export function ratesByMinute(counts) {
  return possibleByMinute(counts).map(({ at, delivered, possible }) => {
    return { at, delivered: delivered / 60, promised: counts.intervalMs > 0 ? possible / 60 : null };
  });
}

/**
 * Return the rates of the complete minutes of a gathered type: it promises what its queues could give, up to its cap.
 *
 * @param {Counts[]} queues
 * @param {number | null} cap jobs per second; null: the type promises nothing of its own
 * @returns {Rates[]} by time
 */
export function typeRatesByMinute(queues, cap) {
  /** @type {Map<number, {delivered: number, possible: number}>} */
  const sums = new Map();
  for (const { at, delivered, possible } of queues.flatMap(possibleByMinute)) {
    const sum = sums.get(at) ?? { delivered: 0, possible: 0 };
    sums.set(at, { delivered: sum.delivered + delivered, possible: sum.possible + possible });
  }
  const minutes = [...sums].sort(([a], [b]) => a - b);
  return minutes.map(([at, { delivered, possible }]) => {
    return { at, delivered: delivered / 60, promised: cap === null ? null : Math.min(cap, possible / 60) };
  });
}

/**
 * @param {Counts} counts
 * @returns {{at: number, delivered: number, possible: number}[]} jobs in each complete minute, by time
 */
function possibleByMinute({ enqueued, delivered, waiting, intervalMs }) {
  const minutes = Object.keys(delivered)
    .map(Number)
    .sort((a, b) => b - a);
  const rate = intervalMs > 0 ? MINUTE_MS / intervalMs : Infinity;
  let left = waiting;
  return minutes
    .map((at) => {
      const out = delivered[at] ?? 0;
      const possible = Math.max(out, Math.min(rate, out + left));
      left = Math.max(0, left - (enqueued[at] ?? 0) + out);
      return { at, delivered: out, possible };
    })
    .slice(1)
    .reverse();
}

/** The rates of one queue or type over the last ten minutes: by minute before it was watched, then live. */
export class RateHistory {
  constructor() {
    /** @type {Rates[]} */
    this.minutes = [];
    /** @type {Rates[]} */
    this.live = [];
  }

  /**
   * Set what is known from before.
   *
   * @param {Rates[]} minutes by time
   */
  seed(minutes) {
    this.minutes = minutes;
  }

  /**
   * Add a live value; those that left the window are dropped.
   *
   * @param {Rates} rates
   */
  add(rates) {
    const last = this.live[this.live.length - 1];
    if (last !== undefined && rates.at - last.at > GAP_MS) {
      this.live.push({ at: last.at + 1, delivered: null, promised: null });
    }
    this.live.push(rates);
    while ((this.live[0]?.at ?? rates.at) < rates.at - WINDOW_MS) this.live.shift();
    this.minutes = this.minutes.filter(({ at }) => at + MINUTE_MS > rates.at - WINDOW_MS);
  }

  /**
   * Return the lines of the window that ends at a time.
   *
   * @param {number} to ms since the epoch
   * @returns {{promised: Point[], delivered: Point[], from: number, to: number}}
   */
  lines(to) {
    const from = to - WINDOW_MS;
    const end = this.live[0]?.at ?? to;
    const before = this.minutes.filter(({ at }) => at < end);
    /** @param {(rates: Rates) => number | null} value */
    const line = (value) => [
      ...stair(
        before.map((rates) => ({ at: Math.max(rates.at, from), value: value(rates) })),
        Math.min(end, lastEnd(before, end)),
      ),
      // What left between the last complete minute and the first live value is not known.
      ...(before.length > 0 && this.live.length > 0 ? [{ at: Math.min(end, lastEnd(before, end)), value: null }] : []),
      ...this.live.map((rates) => ({ at: rates.at, value: value(rates) })),
    ];
    return {
      promised: line((rates) => rates.promised),
      delivered: line((rates) => rates.delivered),
      from,
      to,
    };
  }
}

/**
 * @param {Rates[]} minutes
 * @param {number} end
 */
function lastEnd(minutes, end) {
  const last = minutes[minutes.length - 1];
  return last === undefined ? end : last.at + MINUTE_MS;
}

/** Computes a queue's live rate from its count of the current minute. */
export class LiveRate {
  constructor() {
    /** @type {Piece[]} */
    this.pieces = [];
    /** @type {{at: number, minute: number, delivered: number} | null} */
    this.last = null;
  }

  /**
   * Add a count and return the rate.
   *
   * @param {number} at when it was read, ms since the epoch
   * @param {number} minute the start of the minute that is counted
   * @param {number} delivered jobs in it so far
   * @param {number} intervalMs of the queue
   * @returns {{perSecond: number, overMs: number} | null} null until two counts of one minute are known
   */
  add(at, minute, delivered, intervalMs) {
    const last = this.last;
    this.last = { at, minute, delivered };
    if (last === null || at <= last.at) return this.#mean();
    // What left between the last count of one minute and its end is not known, so that this stretch is left out.
    if (last.minute === minute)
      this.pieces.push({ from: last.at, to: at, delivered: Math.max(0, delivered - last.delivered) });
    else if (at > minute) this.pieces.push({ from: Math.max(minute, last.at), to: at, delivered });
    const meanMs = Math.min(WINDOW_MS, Math.max(MEAN_MS, INTERVALS_OF_MEAN * intervalMs));
    while ((this.pieces[0]?.to ?? at) <= at - meanMs) this.pieces.shift();
    return this.#mean();
  }

  #mean() {
    const overMs = this.pieces.reduce((sum, { from, to }) => sum + to - from, 0);
    if (overMs <= 0) return null;
    return {
      perSecond: (this.pieces.reduce((sum, piece) => sum + piece.delivered, 0) * 1000) / overMs,
      overMs,
    };
  }
}

/**
 * Return what a rate promises at present: all of it while jobs wait, and otherwise what there was to give.
 *
 * @param {number | null} perSecond the rate; null if it is unlimited, which promises nothing
 * @param {{perSecond: number, overMs: number}} delivered
 * @param {number} waiting jobs that could have left
 * @returns {number | null} jobs per second
 */
export function promisedNow(perSecond, delivered, waiting) {
  if (perSecond === null) return null;
  return Math.min(perSecond, delivered.perSecond + (waiting * 1000) / delivered.overMs);
}

/**
 * Return the lowest rate of a type's limits.
 *
 * @param {{interval: number, unit: string}[]} limits as of `GET /type/<type>/`
 * @returns {number | null} jobs per second; null if no limit counts jobs
 */
export function capOf(limits) {
  const rates = limits
    .filter(({ unit, interval }) => unit === "job" && interval > 0)
    .map(({ interval }) => 1000 / interval);
  return rates.length === 0 ? null : Math.min(...rates);
}

/**
 * Return which share of the promised jobs was delivered, over the time in which both are known.
 *
 * @param {Point[]} promised by time
 * @param {Point[]} delivered at the same times
 * @returns {number | null} at most 1; null if nothing was promised
 */
export function shareDelivered(promised, delivered) {
  let jobsPromised = 0;
  let jobsDelivered = 0;
  for (let index = 1; index < promised.length; index += 1) {
    const { at: from = 0, value: wanted } = promised[index - 1] ?? { value: null };
    const given = delivered[index - 1]?.value ?? null;
    const ms = (promised[index]?.at ?? from) - from;
    if (wanted === null || given === null) continue;
    jobsPromised += wanted * ms;
    jobsDelivered += given * ms;
  }
  return jobsPromised > 0 ? Math.min(1, jobsDelivered / jobsPromised) : null;
}
