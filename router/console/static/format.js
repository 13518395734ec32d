// Writes numbers, times, durations and rates as text. What is not known is a dash.

import { ticks } from "./scales.js";

export const UNKNOWN = "–";

const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/**
 * Write a count with its thousands apart.
 *
 * @param {number | null | undefined} value
 * @returns {string} such as `12,345`
 */
export function count(value) {
  return isKnown(value) ? COUNT.format(value) : UNKNOWN;
}

/**
 * Write a number in at most three digits and a letter, for figures that must stay narrow.
 *
 * @param {number | null | undefined} value
 * @returns {string} such as `12.3k`
 */
export function compact(value) {
  if (!isKnown(value)) return UNKNOWN;
  const steps = [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  for (const [size, letter] of /** @type {[number, string][]} */ (steps)) {
    if (Math.abs(value) >= size * 0.9995) return `${digits(value / size)}${letter}`;
  }
  return digits(value);
}

/**
 * Write a number in at most three digits, or as many as its whole part has.
 *
 * @param {number} value
 * @returns {string}
 */
export function digits(value) {
  const size = Math.abs(value);
  const places = size >= 99.95 || size === 0 ? 0 : size >= 9.995 ? 1 : 2;
  return String(Number(value.toFixed(places)));
}

/**
 * Write a rate in the unit in which it is at least 1.
 *
 * @param {number | null | undefined} perSecond
 * @returns {string} such as `40/s`, `30/min` or `2/h`
 */
export function rate(perSecond) {
  return isKnown(perSecond) ? inUnit(perSecond, rateUnit(perSecond)) : UNKNOWN;
}

/**
 * Return the levels of an axis of rates: round numbers from 0 to at least a largest rate, all in one unit.
 *
 * @param {number} largest per second
 * @returns {{value: number, text: string}[]} the rates per second, and what names them
 */
export function rateLevels(largest) {
  const unit = rateUnit(largest);
  return ticks(largest * unit.seconds).map((level) => {
    const value = level / unit.seconds;
    return { value, text: inUnit(value, unit) };
  });
}

/**
 * @typedef {{seconds: number, name: string}} RateUnit
 * @param {number} perSecond
 * @returns {RateUnit}
 */
function rateUnit(perSecond) {
  if (perSecond === 0 || perSecond >= 0.995) return { seconds: 1, name: "/s" };
  return perSecond * 60 >= 0.995 ? { seconds: 60, name: "/min" } : { seconds: 3600, name: "/h" };
}

/**
 * @param {number} perSecond
 * @param {RateUnit} unit
 */
function inUnit(perSecond, { seconds, name }) {
  return `${compact(perSecond * seconds)}${name}`;
}

/**
 * Write the rate of an interval.
 *
 * @param {number | null | undefined} intervalMs 0 is unlimited
 * @returns {string}
 */
export function rateOfInterval(intervalMs) {
  if (!isKnown(intervalMs)) return UNKNOWN;
  return intervalMs === 0 ? "unlimited" : rate(1000 / intervalMs);
}

/**
 * Write a duration in its two largest units.
 *
 * @param {number | null | undefined} ms
 * @returns {string} such as `850 ms`, `12 s`, `3 min 20 s` or `2 d 4 h`
 */
export function duration(ms) {
  if (!isKnown(ms)) return UNKNOWN;
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < 999.5) return `${ms >= 10 ? Math.round(ms) : digits(ms)} ms`;
  if (ms < 9_950) return `${digits(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return twoUnits(seconds, 60, "min", "s");
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return twoUnits(minutes, 60, "h", "min");
  return twoUnits(Math.round(minutes / 60), 24, "d", "h");
}

/**
 * @param {number} value in the small unit
 * @param {number} size how many small units the large one has
 * @param {string} large
 * @param {string} small
 * @returns {string}
 */
function twoUnits(value, size, large, small) {
  const rest = value % size;
  return `${Math.floor(value / size)} ${large}${rest === 0 ? "" : ` ${rest} ${small}`}`;
}

/**
 * Write a moment's time of day, by the clock of the reader.
 *
 * @param {number | null | undefined} ms since the epoch
 * @param {{withSeconds?: boolean}} [options]
 * @returns {string} such as `14:03:07`
 */
export function clock(ms, { withSeconds = true } = {}) {
  if (!isKnown(ms)) return UNKNOWN;
  const date = new Date(ms);
  const parts = [date.getHours(), date.getMinutes(), ...(withSeconds ? [date.getSeconds()] : [])];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

/**
 * Write a moment as date and time, by the clock of the reader.
 *
 * @param {number | null | undefined} ms since the epoch
 * @returns {string} such as `2026-11-29 14:03:07`
 */
export function dateTime(ms) {
  if (!isKnown(ms)) return UNKNOWN;
  const date = new Date(ms);
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  return `${day.map((part) => String(part).padStart(2, "0")).join("-")} ${clock(ms)}`;
}

/**
 * Write a share of 1 in percent.
 *
 * @param {number | null | undefined} share
 * @returns {string} such as `98 %`
 */
export function percent(share) {
  if (!isKnown(share)) return UNKNOWN;
  const value = share * 100;
  // A share that is not whole is never rounded to all or to nothing: 99.7 % is a promise that was not kept.
  if (value > 99 && value < 100) return `${(Math.floor(value * 10) / 10).toFixed(1)} %`;
  if (value > 0 && value < 1) return "< 1 %";
  return `${Math.round(value)} %`;
}

/**
 * Write a count with its noun.
 *
 * @param {number | null} value
 * @param {string} singular
 * @param {string} [plural] the singular and an s if left out
 * @returns {string} such as `1 job` or `2 jobs`
 */
export function amount(value, singular, plural = `${singular}s`) {
  return `${count(value)} ${value === 1 ? singular : plural}`;
}

/**
 * @param {number | null | undefined} value
 * @returns {value is number}
 */
function isKnown(value) {
  return typeof value === "number" && Number.isFinite(value);
}
