// A schedule as the values of a form, and its next firings.

import { readDuration, writeDuration, DURATION_HINT } from "./durations.js";
import { parseExactly, writeExactly } from "./exact.js";
import { FieldError } from "./field_error.js";

/**
 * @typedef {object} Schedule
 * @property {string} name
 * @property {string | null} cron
 * @property {number | null} every ms
 * @property {string} tz
 * @property {Record<string, any>} [job]
 * @property {boolean} paused
 * @property {number | null} next_at ms since the epoch
 */

const SHOWN_FIRINGS = 3;

/**
 * Return the times of a schedule in words.
 *
 * @param {{cron: string | null, every: number | null, tz: string | null}} schedule
 * @returns {string}
 */
export function timesText({ cron, every, tz }) {
  return every === null ? `${cron} (${tz})` : `every ${writeDuration(every)}`;
}

/**
 * Return the next firings that are known. The server tells the next one; those of an `every` follow from it, and those
 * of a cron expression only the server can reckon.
 *
 * @param {{every: number | null, next_at: number | null}} schedule
 * @returns {number[]} ms since the epoch
 */
export function nextFirings({ every, next_at }) {
  if (next_at === null) return [];
  if (every === null) return [next_at];
  return Array.from({ length: SHOWN_FIRINGS }, (_, index) => next_at + index * every);
}

/**
 * Return the values of the form for a schedule.
 *
 * @param {Schedule | null} schedule null: a new one
 * @param {string} type the queue type of a new one
 * @returns {Record<string, string>}
 */
export function scheduleValues(schedule, type) {
  const { queue_type, queue_id, payload, ...rest } = schedule?.job ?? {
    queue_type: type,
    queue_id: "",
    payload: {},
  };
  const every = schedule?.every;
  return {
    schedule: schedule?.name ?? "",
    cron: schedule?.cron ?? "",
    every: every === null || every === undefined ? "" : writeDuration(every),
    tz: schedule?.cron ? schedule.tz : "",
    "job.queue_type": queue_type,
    "job.queue_id": queue_id,
    "job.payload": writeExactly(payload),
    job: Object.keys(rest).length === 0 ? "" : writeExactly(rest),
  };
}

/**
 * Return the body that defines a schedule.
 *
 * @param {Record<string, string>} values
 * @returns {Record<string, unknown>}
 * @throws {FieldError} a field cannot be read
 */
export function scheduleBody(values) {
  const { cron = "", every = "", tz = "" } = values;
  const rest = values.job ? readJson("job", values.job) : {};
  if (rest === null || typeof rest !== "object" || Array.isArray(rest)) {
    throw new FieldError("job", 'expected a JSON object, such as {"rate": "40/s", "priority": 3}');
  }
  if (every && cron)
    throw new FieldError("every", "expected a cron expression or a time between two, got both");
  const ms = every ? readDuration(every) : null;
  if (every && ms === null) throw new FieldError("every", `expected a duration, ${DURATION_HINT}`);
  return {
    ...(ms === null ? { cron } : { every: ms }),
    ...(tz ? { tz } : {}),
    job: {
      ...rest,
      queue_type: values["job.queue_type"],
      queue_id: values["job.queue_id"],
      payload: readJson("job.payload", values["job.payload"] ?? ""),
    },
  };
}

/**
 * @param {string} field
 * @param {string} text
 * @returns {unknown}
 */
function readJson(field, text) {
  try {
    return parseExactly(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new FieldError(field, `expected JSON: ${error.message}`);
    throw error;
  }
}
