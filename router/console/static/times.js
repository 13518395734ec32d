// Writes moments with the zone of their clock, and how far away they are.

import { h } from "./dom.js";
import { duration, UNKNOWN } from "./format.js";

/** The zone of the reader's clock, such as `Europe/Paris`. */
export const HERE = new Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The zones that this browser knows, to be suggested. */
export const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/**
 * Write a moment by the clock of a zone.
 *
 * @param {number} ms since the epoch
 * @param {string} [zone] that of the reader if left out
 * @returns {string} such as `Mon 30 Nov 2026, 08:00 GMT-5`, with seconds unless they are 0
 * @throws {RangeError} this browser does not know the zone
 */
export function zoned(ms, zone = HERE) {
  const format = formats.get(zone) ?? formatOf(zone);
  formats.set(zone, format);
  const text = format.format(ms).replace(",", "");
  return ms % 60_000 === 0 ? text.replace(/(:\d\d):00/, "$1") : text;
}

/**
 * Write how far away a moment is.
 *
 * @param {number} ms since the epoch
 * @param {number} now since the epoch
 * @returns {string} such as `in 5 min` or `3 h ago`
 */
export function distance(ms, now) {
  const away = Math.abs(ms - now);
  if (away < 1000) return "now";
  const text = duration(Math.round(away / 1000) * 1000);
  return ms > now ? `in ${text}` : `${text} ago`;
}

/**
 * Show a moment by the reader's clock, and on a second line by that of another zone, if that differs.
 *
 * @param {number | null | undefined} ms since the epoch
 * @param {{now?: number, zone?: string}} [options]
 * @returns {Node}
 */
export function moment(ms, { now = Date.now(), zone = HERE } = {}) {
  if (ms === null || ms === undefined) return document.createTextNode(UNKNOWN);
  const here = zoned(ms);
  const there = zone === HERE ? here : zonedIfKnown(ms, zone);
  return h(
    "time",
    { datetime: new Date(ms).toISOString() },
    distance(ms, now),
    h("span", { class: "moment" }, here),
    there === here
      ? null
      : h("span", { class: "moment" }, there.includes(zone) ? there : `${there} (${zone})`),
  );
}

/**
 * @param {number} ms
 * @param {string} zone the server may know zones that this browser does not
 * @returns {string}
 */
function zonedIfKnown(ms, zone) {
  try {
    return zoned(ms, zone);
  } catch (error) {
    if (error instanceof RangeError) return `${zone} is no zone of this browser`;
    throw error;
  }
}

/**
 * @param {string} zone
 * @returns {Intl.DateTimeFormat}
 */
function formatOf(zone) {
  return new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZoneName: "short",
  });
}
