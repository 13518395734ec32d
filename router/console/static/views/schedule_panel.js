// One schedule: its next firings, a form to define and change it, and what pauses, resumes and deletes it.

import { call, path } from "../api.js";
import { h } from "../dom.js";
import { DURATION_HINT } from "../durations.js";
import { amount } from "../format.js";
import { nextFirings, scheduleBody, scheduleValues } from "../schedule_text.js";
import { serverNow } from "../server_clock.js";
import { isTaken } from "../taken.js";
import { moment, zoned, ZONES } from "../times.js";
import { badge } from "../widgets/badge.js";
import { card, factList } from "../widgets/card.js";
import { change, changeButton, forbid, refusal } from "../widgets/change.js";
import { FieldError } from "../field_error.js";
import { Form } from "../widgets/form.js";

/** @typedef {import("./schedules.js").Schedule} Schedule */

const WORDS = /** @type {import("../session.js").Word[]} */ (["operate"]);

const OUTCOMES = /** @type {Record<string, string>} */ ({
  queued: "queued",
  duplicate: "was there already",
  full: "refused: the queue was full",
  no_interval: "refused: the queue has no rate",
  unknown_window: "refused: the window does not exist",
  too_many_windows: "refused: too many windows",
  batch_cancelled: "refused: the batch is cancelled",
});

/**
 * Show a schedule with its form.
 *
 * @param {Schedule | null} schedule null: a new one
 * @param {string} type
 * @param {{onClose: () => void, onChange: (name: string | null) => void}} options `onChange` is given the schedule to
 *     show next
 * @returns {HTMLElement}
 */
export function schedulePanel(schedule, type, { onClose, onChange }) {
  return card(
    schedule?.name ?? "New schedule",
    { onClose },
    schedule && summary(schedule),
    schedule && buttons(schedule, type, onChange),
    scheduleForm(schedule, type, onChange),
  );
}

/** @param {Schedule} schedule */
function summary(schedule) {
  const firings = nextFirings(schedule).map((at) =>
    h("li", null, moment(at, zoneOf(schedule.tz, schedule.every))),
  );
  return factList([
    ["State", schedule.paused ? badge("paused", "watch") : badge("runs", "well")],
    ["Next firings", firings.length === 0 ? "none" : h("ol", { class: "lines" }, firings)],
    ["Latest", lastCell(schedule)],
    ["Fired", amount(schedule.fired, "time")],
  ]);
}

/**
 * @param {Schedule} schedule
 * @param {string} type
 * @param {(name: string | null) => void} onChange
 */
function buttons({ name, paused, next_at }, type, onChange) {
  /** @param {Parameters<typeof change<any>>[0]} question @param {string | null} next */
  const ask = async (question, next) => {
    if ((await change(question)) !== null) onChange(next);
  };
  const pause = () =>
    ask(
      {
        title: `Pause ${name}?`,
        text: "No slot enqueues a job until it is resumed. Jobs that are there stay.",
        action: "Pause",
        perform: () => call("POST", path("schedule", name, "pause")),
        done: () => `${name} is paused.`,
      },
      name,
    );
  const resume = () =>
    ask(
      {
        title: `Resume ${name}?`,
        text: "It goes on from its next slot. Slots that passed during the pause are skipped.",
        action: "Resume",
        perform: () => call("POST", path("schedule", name, "resume")),
        done: (answer) => `${name} is resumed.${firesText(answer)}`,
      },
      name,
    );
  const remove = () =>
    ask(
      {
        title: `Delete ${name}?`,
        text:
          next_at === null
            ? "Jobs that it has enqueued stay."
            : `It would fire next at ${zoned(next_at)}. Jobs that it has enqueued stay.`,
        action: "Delete",
        isDangerous: true,
        perform: () => call("DELETE", path("schedule", name)),
        done: () => `${name} is deleted.`,
      },
      null,
    );
  return h(
    "div",
    { class: "actions" },
    paused
      ? changeButton("Resume", { words: WORDS, type, onClick: resume })
      : changeButton("Pause", { words: WORDS, type, onClick: pause }),
    changeButton("Delete", { words: WORDS, type, isDangerous: true, onClick: remove }),
  );
}

/** @param {{next_at: number | null}} answer */
function firesText({ next_at }) {
  return next_at === null ? "" : ` It fires next at ${zoned(next_at)}.`;
}

/**
 * @param {Schedule | null} schedule
 * @param {string} type
 * @param {(name: string) => void} onChange
 */
function scheduleForm(schedule, type, onChange) {
  const values = scheduleValues(schedule, type);
  /** @type {import("../widgets/form.js").Field[]} */
  const fields = [
    { name: "schedule", label: "Name", isFixed: schedule !== null },
    {
      name: "cron",
      label: "Cron expression",
      hint: "such as 0 9 * * mon-fri; or a time between two instead",
    },
    { name: "every", label: "Time between two", hint: `${DURATION_HINT}; at least 1 s` },
    {
      name: "tz",
      label: "Zone of the cron expression",
      hint: "such as Asia/Kolkata; empty: UTC",
      suggestions: ZONES,
    },
    { name: "job.queue_type", label: "Type of its jobs" },
    { name: "job.queue_id", label: "Queue of its jobs" },
    { name: "job.payload", label: "Payload", hint: "JSON", isCode: true },
    {
      name: "job",
      label: "Other fields of its jobs",
      hint: 'a JSON object, such as {"rate": "40/s", "priority": 3}',
      isCode: true,
    },
  ];
  const form = new Form({
    fields: fields.map((field) => ({ ...field, value: values[field.name] ?? "" })),
    action: schedule ? "Review changes" : "Define",
    label: schedule ? `Change ${schedule.name}` : "New schedule",
    onSubmit,
  });
  const reason = refusal(WORDS, type);
  if (reason !== null) forbid(form.button, reason);

  /** @param {Record<string, string>} given */
  async function onSubmit(given) {
    const name = given["schedule"] ?? "";
    const body = scheduleBody(given);
    if (schedule === null && (await isTaken(path("schedule", name)))) {
      throw new FieldError("schedule", "there is a schedule of this name; open it to change it");
    }
    const times = given["every"] ? `every ${given["every"]}` : `${given["cron"]} (${given["tz"] || "UTC"})`;
    const answer = await change({
      title: schedule ? `Change the schedule ${name}?` : `Define the schedule ${name}?`,
      text: [
        `Times: ${times}`,
        `Jobs go to ${given["job.queue_id"]} of ${given["job.queue_type"]}.`,
        "Slots count from now.",
      ],
      action: schedule ? "Change" : "Define",
      perform: () => call("PUT", path("schedule", name), { body }),
      done: (state) => `The schedule ${name} is ${schedule ? "changed" : "defined"}.${firesText(state)}`,
    });
    if (answer !== null) onChange(name);
  }

  return form.node;
}

/**
 * Return how a moment of a schedule is shown; an `every` follows no clock of a zone.
 *
 * @param {string} tz
 * @param {number | null} every
 */
export function zoneOf(tz, every) {
  return every === null ? { now: serverNow(), zone: tz } : { now: serverNow() };
}

/** @param {Schedule} schedule */
export function lastCell({ last_at, last_status }) {
  if (last_at === null) return "none yet";
  const outcome = OUTCOMES[last_status ?? ""] ?? last_status ?? "";
  const isRefused = outcome.startsWith("refused");
  return h(
    "span",
    null,
    moment(last_at, { now: serverNow() }),
    isRefused ? badge(outcome, "bad") : h("span", { class: "faint" }, outcome),
  );
}
