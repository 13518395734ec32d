// The ranges of a window as lines of text, and as minutes of a week.

import { FieldError } from "./field_error.js";

/**
 * @typedef {{days: string, from: string, to: string}} Range
 * @typedef {{begin: number, end: number}} Span minutes of the day, 0 to 1440
 */

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

export const RANGE_HINT = "a line for each, such as mon-sat 08:00-20:00 or daily 22:00-03:00";

const DAY_MINUTES = 1440;

/**
 * Write ranges, a line for each.
 *
 * @param {Range[]} open
 * @returns {string}
 */
export function writeRanges(open) {
  return open.map(({ days, from, to }) => `${days} ${from}-${to}`).join("\n");
}

/**
 * Read ranges from lines. The server checks the days and times.
 *
 * @param {string} text
 * @returns {Range[]}
 * @throws {FieldError} a line has another form
 */
export function readRanges(text) {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return lines.map((line) => {
    const match = /^(\S+)\s+([\d:]+)\s*[-–]\s*([\d:]+)$/.exec(line);
    if (match === null) throw new FieldError("open", `expected ${RANGE_HINT}; got ${line}`);
    return { days: match[1] ?? "", from: match[2] ?? "", to: match[3] ?? "" };
  });
}

/**
 * Return when the ranges are open on each day of a week, Monday first. A range that passes midnight has its end on the
 * next day.
 *
 * @param {Range[]} open
 * @returns {Span[][]}
 */
export function weekSpans(open) {
  /** @type {Span[][]} */
  const week = DAYS.map(() => []);
  for (const { days, from, to } of open) {
    const begin = minutes(from);
    const end = minutes(to);
    for (const day of dayNumbers(days)) {
      week[day]?.push({ begin, end: end > begin ? end : DAY_MINUTES });
      if (end <= begin && end > 0) week[(day + 1) % 7]?.push({ begin: 0, end });
    }
  }
  return week;
}

/**
 * Return the numbers of the days that a range names, 0 for Monday.
 *
 * @param {string} days `daily`, a span such as `sat-mon`, or a list such as `mon,wed`
 * @returns {number[]}
 */
export function dayNumbers(days) {
  if (days === "daily") return DAYS.map((_, index) => index);
  const [first = "", last] = days.split("-");
  if (last === undefined)
    return days
      .split(",")
      .map((day) => DAYS.indexOf(day))
      .filter((day) => day >= 0);
  const begin = DAYS.indexOf(first);
  const length = ((DAYS.indexOf(last) - begin + 7) % 7) + 1;
  return Array.from({ length }, (_, index) => (begin + index) % 7);
}

/** @param {string} time `HH:MM` */
function minutes(time) {
  const [hours = "0", rest = "0"] = time.split(":");
  return Number(hours) * 60 + Number(rest);
}
