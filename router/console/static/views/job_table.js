// The table of a queue's jobs. It keeps a line of each, and no payload.

import { count, dateTime } from "../format.js";
import { table } from "../widgets/table.js";

/**
 * @typedef {object} Row
 * @property {string} job_id
 * @property {number} attempt
 * @property {number | undefined} priority
 * @property {number | undefined} enqueued_at ms since the epoch
 * @property {string} next what comes next, or what came last for a dead letter
 * @property {string} error
 */

/**
 * Make the table.
 *
 * @param {(row: Row) => void} onOpen
 */
export function jobTable(onOpen) {
  return table({
    columns: [
      { name: "job", label: "Job", cell: (/** @type {Row} */ row) => row.job_id, isMain: true },
      { name: "attempt", label: "Attempts", cell: (row) => count(row.attempt), isNumber: true },
      { name: "priority", label: "Priority", cell: (row) => row.priority ?? "", isNumber: true },
      { name: "enqueued", label: "Enqueued", cell: (row) => dateTime(row.enqueued_at) },
      { name: "next", label: "Next", cell: (row) => row.next },
      { name: "error", label: "Latest error", cell: (row) => row.error },
    ],
    key: (row) => row.job_id,
    caption: "Jobs of the queue",
    empty: "No such jobs.",
    onOpen,
  });
}

/**
 * Return what the list shows of a job; its payload is not kept.
 *
 * @param {Record<string, any>} job
 * @returns {Row}
 */
export function rowOf(job) {
  const { job_id, attempt: attempts, priority, enqueued_at, error = "" } = job;
  return { job_id, attempt: attempts, priority, enqueued_at, error: firstLine(error), next: nextOf(job) };
}

/**
 * @param {Record<string, any>} job
 * @returns {string}
 */
function nextOf(job) {
  if (job.delayed_until) return `due ${dateTime(job.delayed_until)}`;
  if (job.lease_expires_at) return `lease ends ${dateTime(job.lease_expires_at)}`;
  if (job.opens_at) return `window opens ${dateTime(job.opens_at)}`;
  return job.dead_at ? `died ${dateTime(job.dead_at)}` : "";
}

/** @param {string} text */
function firstLine(text) {
  const [line = ""] = text.split("\n", 1);
  return line.length > 120 ? `${line.slice(0, 120)}…` : line;
}
