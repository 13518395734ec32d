// The rates at which the slots of named caps are used, from two answers of the server about them.

import { percent, rate } from "./format.js";

/** A rate is measured over so long at least. */
const MEASURED_MS = 4_000;

/**
 * @typedef {object} UsedCap
 * @property {string} name
 * @property {{interval?: number, unit: "job" | "cost"}[]} limits
 * @property {number} slots_used since the cap was defined
 */

export class CapUsage {
  /** @type {Map<string, {used: number, at: number, perSecond: number | null}>} */
  #byName = new Map();

  /**
   * Note an answer.
   *
   * @param {UsedCap[]} caps
   * @param {number} now ms of a clock that is never set
   */
  note(caps, now) {
    const former = this.#byName;
    this.#byName = new Map(caps.map((cap) => [cap.name, noted(cap.slots_used, former.get(cap.name), now)]));
  }

  /**
   * Write the rate of a cap, and the share of its lowest limit in jobs that it is.
   *
   * @param {UsedCap} cap
   * @returns {string} such as `38.5/s (96 %)`; empty before the second answer, and without the share if only costs are limited
   */
  text({ name, limits }) {
    const perSecond = this.#byName.get(name)?.perSecond ?? null;
    if (perSecond === null) return "";
    const intervals = limits.filter(({ unit }) => unit === "job").map(({ interval }) => interval ?? 0);
    const share = (perSecond * Math.max(0, ...intervals)) / 1000;
    return intervals.length === 0 ? rate(perSecond) : `${rate(perSecond)} (${percent(Math.min(1, share))})`;
  }
}

/**
 * @param {number} used
 * @param {{used: number, at: number, perSecond: number | null} | undefined} last
 * @param {number} now
 */
function noted(used, last, now) {
  if (last === undefined || used < last.used) return { used, at: now, perSecond: null };
  if (now - last.at < MEASURED_MS) return last;
  return { used, at: now, perSecond: ((used - last.used) * 1000) / (now - last.at) };
}
