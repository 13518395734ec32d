// The reasons for which a queue or a type gives no job, in words. docs/limits.md lists them.

/** @type {Record<string, string>} */
const REASONS = {
  all_paused: "Everything is paused.",
  type_paused: "The type is paused.",
  paused: "The queue is paused.",
  type_hold: "The type is held.",
  hold: "The queue is held.",
  empty: "There is no job.",
  delayed: "All its jobs wait for a time of their own.",
  window: "The window of its jobs is closed.",
  quota: "A quota of the type is used up.",
  type_max_leased: "The type has as many leases as it may.",
  max_leased: "The queue has as many leases as it may.",
  type_rate: "A limit of the type is not ready.",
  rate: "Its rate lets the next job leave later.",
};

/**
 * Return why a queue gives no job now, as a sentence.
 *
 * @param {string | null | undefined} reason `blocked_by` of an answer; null: a job is ready
 * @param {number} queued jobs that wait
 * @returns {string}
 */
export function blockedText(reason, queued) {
  if (reason) return REASONS[reason] ?? `Held back: ${reason}.`;
  return queued > 0 ? "A job is ready for a worker." : "There is no job.";
}
