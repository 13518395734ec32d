// The settings of one queue: a form of all of them, of which only what was changed is sent.

import { call, path } from "../api.js";
import { DURATION_HINT, readDuration, writeDuration } from "../durations.js";
import { change, forbid, refusal } from "../widgets/change.js";
import { FieldError, Form } from "../widgets/form.js";
import { h, setText } from "../dom.js";

/**
 * @typedef {import("./queue.js").Queue} Queue
 * @typedef {import("./queue.js").QueueKey} QueueKey
 */

const UNLIMITED = "unlimited";

/** @type {import("../widgets/form.js").Field[]} */
const FIELDS = [
  { name: "rate", label: "Rate", hint: `such as 40/s, 90/min or 2000/h; ${UNLIMITED}; or 250 ms between two leases` },
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
  for (const name of ["burst", "max_leased", "weight"]) if (changed.has(name)) body[name] = numberOf(after[name]);
  for (const name of ["window", "on_expiry"]) if (changed.has(name)) body[name] = after[name] || null;
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
 * Make the form of a queue's settings.
 *
 * @param {QueueKey} key
 * @param {Queue | null} queue
 * @param {ReadonlyArray<string>} windows the names to suggest
 * @param {(queue: Queue) => void} onChange is given the new state
 */
export function settingsForm(key, queue, windows, onChange) {
  let before = settingTexts(queue);
  const fields = FIELDS.map((field) => ({
    ...field,
    value: before[field.name] ?? "",
    ...(field.suggestions ? { suggestions: windows } : {}),
  }));
  const form = new Form({ fields, action: "Review changes", label: "Settings", onSubmit });
  const reason = refusal(["operate"], key.queue_type);
  if (reason !== null) forbid(form.button, reason);
  const unchanged = h("p", { class: "soft", role: "status" });
  form.foot.append(unchanged);
  const note = h("p", { class: "soft" }, summaryText(queue));

  /** @param {Record<string, string>} after */
  async function onSubmit(after) {
    const body = settingsBody(before, after);
    const lines = changeLines(before, after);
    if (lines.length === 0) {
      setText(unchanged, "Nothing is changed.");
      return;
    }
    setText(unchanged, "");
    const answer = await change({
      title: `Change ${key.queue_id}?`,
      text: lines.join("\n"),
      action: "Change",
      perform: () => call("POST", path("queue", key.queue_type, key.queue_id), { body }),
      done: () => `${key.queue_id}: changed. ${lines.join(". ")}.`,
    });
    if (answer === null) return;
    before = settingTexts(answer);
    form.fill(before);
    onChange(answer);
  }

  return {
    node: form.node,
    note,
    /** @param {Queue} newer */
    refresh(newer) {
      before = settingTexts(newer);
      form.refresh(before);
      setText(note, summaryText(newer));
    },
  };
}

/**
 * Return the most important settings in a line.
 *
 * @param {Queue | null} queue
 */
function summaryText(queue) {
  if (queue === null) return "";
  const parts = [queue.interval === 0 ? UNLIMITED : rateText(queue), `burst ${queue.burst}`];
  if (queue.pinned) parts.push("pinned");
  if (queue.max_leased !== null) parts.push(`at most ${queue.max_leased} leased`);
  if (queue.weight !== 1) parts.push(`weight ${queue.weight}`);
  if (queue.window !== null) parts.push(`window ${queue.window}`);
  return parts.join(", ");
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
 * @param {import("../widgets/form.js").Field["options"]} options
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

/**
 * Return a number, or the text as it is if it is none, so that the server says what it may be.
 *
 * @param {string | undefined} value
 */
function numberOf(value) {
  if (!value) return null;
  return Number.isNaN(Number(value)) ? value : Number(value);
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
