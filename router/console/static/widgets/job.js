// One job: what it is and why it failed, its payload on demand, and what may be done with it.

import { call, path } from "../api.js";
import { h, replace } from "../dom.js";
import { DURATION_HINT, readDuration, writeDuration } from "../durations.js";
import { exactMembers } from "../exact.js";
import { count } from "../format.js";
import { moment } from "../times.js";
import { change, changeButton, forbid, refusal } from "./change.js";
import { FieldError } from "../field_error.js";
import { Form } from "./form.js";
import { textOf } from "./notices.js";
import { badge } from "./badge.js";
import { card, factList } from "./card.js";
import { behindLiveJob, dropLetter } from "./letter.js";
import { jsonBlock, textBlock } from "./payload.js";

/**
 * @typedef {{queue_type: string, queue_id: string, job_id: string}} JobKey
 * @typedef {Record<string, any>} Job the answer of GET /job/…/
 */

const REASONS = /** @type {Record<string, string>} */ ({
  limit: "It failed more often than its requeue limit allows.",
  expired: "It expired before it was leased.",
});

const LIVE = ["queued", "delayed", "leased"];

const CHANGERS = /** @type {import("../session.js").Word[]} */ (["operate", "produce"]);

/**
 * Show a job in a panel, and let it be changed.
 *
 * @param {JobKey} key
 * @param {object} options
 * @param {AbortSignal} options.signal
 * @param {() => void} options.onChange called after each change
 * @param {() => void} options.onClose
 * @param {boolean} [options.isLetter] the dead letter of this id is meant, and not a live job of the same id
 * @returns {HTMLElement}
 */
export function jobPanel(key, { signal, onChange, onClose, isLetter = false }) {
  const body = h("div", { class: "stack" }, h("p", { class: "soft" }, "Loading the job."));
  const panel = card(`Job ${key.job_id}`, { onClose }, body);

  async function load() {
    try {
      const parse = exactMembers("payload", "result", "progress");
      const job = await call("GET", path("job", key.queue_type, key.queue_id, key.job_id), { signal, parse });
      if (isLetter && LIVE.includes(job.state)) {
        replace(body, behindLiveJob(key, job, reload));
        return;
      }
      const isWaiting = job.state === "queued" || job.state === "delayed";
      const form = isWaiting ? changeForm(key, job, reload) : null;
      replace(body, state(job), failure(job), actions(key, job, reload), values(job), form);
    } catch (error) {
      if (signal.aborted) return;
      replace(body, h("p", { class: "failure" }, textOf(error)));
    }
  }

  // The buttons of a new state are new, so that the focus would be lost with the old ones.
  const loadAndFocus = () => void load().then(() => panel.querySelector("h2")?.focus());

  function reload() {
    onChange();
    loadAndFocus();
  }

  loadAndFocus();
  return panel;
}

/** @param {Job} job */
function state(job) {
  const now = Date.now();
  /** @param {number | undefined} at */
  const time = (at) => at && moment(at, { now });
  return factList([
    ["State", badge(job.state, job.state === "dead" ? "bad" : "plain")],
    ["Attempts", `${count(job.attempt)}${limitText(job.requeue_limit)}`],
    ["Enqueued", time(job.enqueued_at)],
    ["Place in its queue", job.position && count(job.position)],
    ["Due", time(job.delayed_until)],
    ["Window opens", time(job.opens_at)],
    ["Lease ends", time(job.lease_expires_at)],
    ["Died", time(job.dead_at)],
    ["Expires", time(job.expires_at)],
    ["When expired", job.on_expiry],
    ["Priority", job.priority],
    ["Cost", job.cost],
    ["Retry", job.retry && retryText(job.retry)],
    ["Window", job.ignore_window ? "ignores windows" : job.window],
    ["Batch", job.batch],
    ["Trace", job.traceparent],
  ]);
}

/** @param {number | undefined} limit */
function limitText(limit) {
  if (limit === undefined) return "";
  return limit < 0
    ? ", may come back for ever"
    : `, may come back ${limit === 1 ? "once" : `${count(limit)} times`}`;
}

/** @param {{delay: number, factor: number, max: number, jitter: number}} retry */
function retryText({ delay, factor, max, jitter }) {
  const chance = jitter > 0 ? `, less up to ${Math.round(jitter * 100)} % by chance` : "";
  return `${writeDuration(delay)}, times ${factor} for each attempt, at most ${writeDuration(max)}${chance}`;
}

/**
 * Show why a job died, and what the latest release said.
 *
 * @param {Job} job
 */
function failure(job) {
  return [
    job.reason ? h("p", { class: "verdict" }, REASONS[job.reason] ?? `It died: ${job.reason}.`) : null,
    job.error === undefined
      ? null
      : h(
          "div",
          null,
          h("h3", null, `Error of attempt ${count(job.error_attempt)}`),
          h("p", { class: "soft" }, moment(job.error_at)),
          textBlock(job.error, "Error"),
        ),
  ];
}

/** @param {Job} job */
function values(job) {
  return [
    job.progress === undefined
      ? null
      : h("div", null, h("h3", null, "Progress"), jsonBlock(job.progress, "Progress")),
    job.result === undefined
      ? null
      : h("div", null, h("h3", null, "Result"), jsonBlock(job.result, "Result")),
    Object.hasOwn(job, "payload") ? payload(job.payload) : null,
  ];
}

/** @param {unknown} value */
function payload(value) {
  const place = h("div", null);
  const show = h("button", { type: "button", class: "plain" }, "Show the payload");
  show.addEventListener("click", () => {
    const block = jsonBlock(value, "Payload");
    replace(place, h("h3", null, "Payload"), block);
    (block.matches("pre") ? block : block.querySelector("pre"))?.focus();
  });
  return replace(place, show);
}

/**
 * @param {JobKey} key
 * @param {Job} job
 * @param {() => void} reload
 * @returns {HTMLElement | null}
 */
function actions(key, job, reload) {
  const address = path("job", key.queue_type, key.queue_id, key.job_id);
  const dead = path("dead", key.queue_type, key.queue_id, key.job_id);
  const type = key.queue_type;
  /** @type {(question: Parameters<typeof change<any>>[0]) => Promise<void>} */
  const ask = async (question) => {
    if ((await change(question)) !== null) reload();
  };
  const cancel = () =>
    ask({
      title: `Cancel the job ${key.job_id}?`,
      text:
        job.state === "leased"
          ? "A worker holds it. Its lease is lost, and what the worker has done by then is done."
          : "It leaves its queue and is never leased.",
      action: "Cancel the job",
      isDangerous: true,
      perform: () => call("DELETE", address, { query: job.state === "leased" ? { force: true } : {} }),
      done: (answer) => `${key.job_id} is cancelled. It was ${answer.was}.`,
    });
  const redrive = () =>
    ask({
      title: `Retry the job ${key.job_id}?`,
      text: "It is queued again at the end of its queue, with attempts from 0 and without its expiry.",
      action: "Retry",
      perform: () => call("POST", `${dead}redrive/`),
      done: () => `${key.job_id} is queued again.`,
    });
  const drop = async () => {
    if ((await dropLetter(key)) !== null) reload();
  };
  if (job.state === "dead") {
    return h(
      "div",
      { class: "actions" },
      changeButton("Retry", { words: ["operate"], type, onClick: redrive }),
      changeButton("Drop", { words: ["operate"], type, isDangerous: true, onClick: drop }),
    );
  }
  if (!LIVE.includes(job.state)) return null;
  const button = changeButton("Cancel the job", {
    words: CHANGERS,
    type,
    isDangerous: true,
    onClick: cancel,
  });
  return h("div", { class: "actions" }, button);
}

/**
 * @param {JobKey} key
 * @param {Job} job
 * @param {() => void} reload
 * @returns {HTMLElement}
 */
function changeForm(key, job, reload) {
  const priority = String(job.priority ?? 5);
  const form = new Form({
    fields: [
      { name: "priority", label: "Priority", hint: "1 to 9; 1 leaves first", value: priority },
      { name: "delay", label: "Due from now in", hint: `${DURATION_HINT}; 0: at once; empty: as it is` },
    ],
    action: "Change the job",
    label: `Change ${key.job_id}`,
    onSubmit,
  });
  const reason = refusal(CHANGERS, key.queue_type);
  if (reason !== null) forbid(form.button, reason);

  /** @param {Record<string, string>} values */
  async function onSubmit(values) {
    const body = jobBody(values, priority);
    const lines = [
      ...("priority" in body ? [`Priority: ${priority} → ${body.priority}`] : []),
      ...("delay" in body
        ? [`Due ${body.delay === 0 ? "at once" : `in ${values.delay}`}, at the end of its queue`]
        : []),
    ];
    if (lines.length === 0) throw new FieldError("priority", "nothing is changed");
    const answer = await change({
      title: `Change the job ${key.job_id}?`,
      text: lines,
      action: "Change",
      perform: () => call("PATCH", path("job", key.queue_type, key.queue_id, key.job_id), { body }),
      done: (changed) =>
        `${key.job_id} is changed. It is ${changed.state}, with priority ${changed.priority}.`,
    });
    if (answer !== null) reload();
  }

  return form.node;
}

/**
 * Return the body of a change of a job.
 *
 * @param {Record<string, string>} values
 * @param {string} before the present priority
 * @returns {Record<string, unknown>} empty if nothing changes
 * @throws {FieldError} the delay cannot be read
 */
export function jobBody(values, before) {
  /** @type {Record<string, unknown>} */
  const body = {};
  const priority = values.priority ?? "";
  if (priority !== before)
    body.priority = priority !== "" && Number.isFinite(Number(priority)) ? Number(priority) : priority;
  if (values.delay) {
    const delay = readDuration(values.delay);
    if (delay === null) throw new FieldError("delay", `expected a duration, ${DURATION_HINT}`);
    body.delay = delay;
  }
  return body;
}
