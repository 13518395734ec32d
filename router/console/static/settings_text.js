// The settings of a queue as the texts of a form, and the body of the call that changes them.

import { DURATION_HINT, readDuration, writeDuration } from "./durations.js";
import { FieldError } from "./field_error.js";

/** @typedef {import("./views/queue.js").Queue} Queue */

const UNLIMITED = "unlimited";

/** @type {import("./widgets/form.js").Field[]} */
export const FIELDS = [
  {
    name: "rate",
    label: "Rate",
    hint: `such as 40/s, 90/min or 2000/h; ${UNLIMITED}; or 250 ms between two leases`,
  },
  { name: "burst", label: "Burst", hint: "1 to 1,000,000: leases back to back when the queue is late" },
  {
    name: "pin",
    label: "Rate against enqueues",
    options: [
      ["no", "an enqueue may change it"],
      ["yes", "pinned: enqueues do not change it"],
    ],
  },
  { name: "max_leased", label: "Most leases at a time", hint: "empty: any number" },
  {
    name: "caps",
    label: "Caps",
    hint: "up to 3 names, with commas: limits shared with other queues; empty: none",
  },
  { name: "weight", label: "Weight", hint: "1 to 100: jobs in its turn among the queues of its type" },
  { name: "window", label: "Window", hint: "no job leaves outside of it; empty: none", suggestions: [] },
  { name: "retry.delay", label: "Wait after a failed attempt", hint: `${DURATION_HINT}; empty: none` },
  { name: "retry.factor", label: "Growth with each attempt", hint: "1 to 10" },
  { name: "retry.max", label: "Longest wait", hint: DURATION_HINT },
  { name: "retry.jitter", label: "Share left to chance", hint: "0 to 1" },
  { name: "expires", label: "Jobs expire after", hint: `${DURATION_HINT}; empty: never` },
  {
    name: "on_expiry",
    label: "Expired jobs",
    options: [
      ["", "as the type says"],
      ["dead", "become dead letters"],
      ["drop", "are dropped"],
    ],
  },
];

const RETRY = ["retry.delay", "retry.factor", "retry.max", "retry.jitter"];

/**
 * Return the texts of all fields for the state of a queue. A null queue does not exist yet.
 *
 * @param {Queue | null} queue
 * @returns {Record<string, string>}
 */
export function settingTexts(queue) {
  const retry = queue?.retry;
  return {
    rate: queue === null ? "" : queue.interval === 0 ? UNLIMITED : rateText(queue),
    burst: text(queue?.burst),
    pin: queue?.pinned ? "yes" : "no",
    max_leased: text(queue?.max_leased),
    caps: queue?.caps?.join(", ") ?? "",
    weight: text(queue?.weight),
    window: queue?.window ?? "",
    "retry.delay": retry ? writeDuration(retry.delay) : "",
    "retry.factor": text(retry?.factor),
    "retry.max": retry ? writeDuration(retry.max) : "",
    "retry.jitter": text(retry?.jitter),
    expires: queue?.expires == null ? "" : writeDuration(queue.expires),
    on_expiry: queue?.on_expiry ?? "",
  };
}

/**
 * Return the body that makes the changes, with null for what is cleared.
 *
 * @param {Record<string, string>} before
 * @param {Record<string, string>} after
 * @returns {Record<string, unknown>} empty if nothing changes
 * @throws {FieldError} a duration cannot be read
 */
export function settingsBody(before, after) {
  const changed = new Set(Object.keys(after).filter((name) => before[name] !== after[name]));
  /** @type {Record<string, unknown>} */
  const body = {};
  if (changed.has("rate")) Object.assign(body, rateChange(after.rate ?? ""));
  for (const name of ["burst", "max_leased", "weight"])
    if (changed.has(name)) body[name] = numberOf(after[name]);
  for (const name of ["window", "on_expiry"]) if (changed.has(name)) body[name] = after[name] || null;
  if (changed.has("caps")) body.caps = namesOf(after.caps ?? "");
  if (changed.has("pin")) body.pin = after.pin === "yes";
  if (changed.has("expires")) body.expires = durationOf("expires", after.expires);
  if (RETRY.some((name) => changed.has(name))) body.retry = retryOf(before, after);
  return body;
}

/**
 * Return a line for each change, such as "Rate: 30/s → 40/s".
 *
 * @param {Record<string, string>} before
 * @param {Record<string, string>} after
 */
export function changeLines(before, after) {
  return FIELDS.filter(({ name }) => before[name] !== after[name]).map(
    ({ name, label, options }) =>
      `${label}: ${shown(before[name] ?? "", options)} → ${shown(after[name] ?? "", options)}`,
  );
}

/**
 * Return the most important settings in a line.
 *
 * @param {Queue | null} queue
 */
export function summaryText(queue) {
  if (queue === null) return "";
  const parts = [queue.interval === 0 ? UNLIMITED : rateText(queue), `burst ${queue.burst}`];
  if (queue.pinned) parts.push("pinned");
  if (queue.max_leased !== null) parts.push(`at most ${queue.max_leased} leased`);
  if (queue.caps?.length) parts.push(`caps ${queue.caps.join(", ")}`);
  if (queue.weight !== 1) parts.push(`weight ${queue.weight}`);
  if (queue.window !== null) parts.push(`window ${queue.window}`);
  return parts.join(", ");
}

/**
 * Return which settings an enqueue does not change.
 *
 * @param {Queue | null} queue
 */
export function originText(queue) {
  const names = (queue?.settings ?? []).map((name) =>
    name === "interval" ? "rate" : name.replaceAll("_", " "),
  );
  if (queue?.pinned) return "The rate, burst and most leases are pinned: no enqueue changes them.";
  if (names.length === 0)
    return "Enqueues set the rate, the burst and the most leases; what is set here holds over them.";
  return `Set by operators, over what enqueues say: ${names.join(", ")}.`;
}

/** @param {Queue} queue */
function rateText(queue) {
  return queue.rate ?? `${queue.interval} ms`;
}

/** @param {number | null | undefined} value */
function text(value) {
  return value === null || value === undefined ? "" : String(value);
}

/**
 * @param {string} value
 * @param {import("./widgets/form.js").Field["options"]} options
 */
function shown(value, options) {
  return options?.find(([option]) => option === value)?.[1] ?? (value || "none");
}

/** @param {string} rate */
function rateChange(rate) {
  if (rate === "") return { rate: null };
  if (rate === UNLIMITED || rate === "0") return { interval: 0 };
  const interval = readDuration(rate);
  return interval === null ? { rate } : { interval };
}

/** @param {string} names */
function namesOf(names) {
  const given = names.split(/[\s,]+/).filter((name) => name !== "");
  return given.length === 0 ? null : given;
}

/**
 * Return a number, or the text as it is if it is none, so that the server says what it may be.
 *
 * @param {string | undefined} value
 */
function numberOf(value) {
  if (!value) return null;
  return Number.isFinite(Number(value)) ? Number(value) : value;
}

/**
 * @param {string} field
 * @param {string | undefined} value
 */
function durationOf(field, value) {
  if (!value) return null;
  const ms = readDuration(value);
  if (ms === null) throw new FieldError(field, `expected a duration, ${DURATION_HINT}`);
  return ms;
}

/**
 * @param {Record<string, string>} before
 * @param {Record<string, string>} after
 */
function retryOf(before, after) {
  const delay = durationOf("retry.delay", after["retry.delay"]);
  if (delay === null) {
    const [, ...rest] = RETRY;
    if (!before["retry.delay"] && rest.some((name) => after[name])) {
      throw new FieldError("retry.delay", "expected a duration, since another field of the policy is given");
    }
    return null;
  }
  const given = {
    factor: numberOf(after["retry.factor"]),
    max: durationOf("retry.max", after["retry.max"]),
    jitter: numberOf(after["retry.jitter"]),
  };
  return { delay, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null)) };
}
