// The schedules of a type with their next firings, and a form to define, change, pause and delete one.

import { call, path } from "../api.js";
import { h, replace, setText } from "../dom.js";
import { DURATION_HINT } from "../durations.js";
import { exactMembers } from "../exact.js";
import { amount, count } from "../format.js";
import { repeat } from "../repeat.js";
import { href } from "../routes.js";
import { nextFirings, scheduleBody, scheduleValues, timesText } from "../schedule_text.js";
import { isTaken } from "../taken.js";
import { clockNote, serverNow } from "../server_clock.js";
import { moment, zoned } from "../times.js";
import { change, changeButton, forbid, refusal } from "../widgets/change.js";
import { FieldError, Form } from "../widgets/form.js";
import { sayError } from "../widgets/notices.js";
import { badge } from "../widgets/badge.js";
import { card, factList } from "../widgets/card.js";
import { heading, typeTabs } from "../widgets/heading.js";
import { table } from "../widgets/table.js";

/**
 * @typedef {import("../schedule_text.js").Schedule & {queue_type: string, queue_id: string, last_at: number | null,
 *     last_status: string | null, fired: number}} Schedule
 */

const REFRESH_MS = 10_000;
const PAGE = 1000;

/** Schedules of all types that are looked through for those of one. */
const MAX_READ = 20_000;

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
 * Show the schedules of a type until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} parameters `queue_type`
 * @param {{signal: AbortSignal}} options
 */
export async function show(root, parameters, { signal }) {
  const type = parameters["queue_type"] ?? "";
  const place = h("div", null);
  const extent = h("p", { class: "soft", role: "status" });
  const list = scheduleTable((schedule) => void open(schedule.name));
  const define = changeButton("New schedule", { words: WORDS, type, onClick: async () => edit(null) });
  replace(
    root,
    heading({ title: type, crumbs: [{ label: "Types", href: href("types") }], actions: define }),
    typeTabs(type, "schedules"),
    clockNote(signal),
    card("Schedules by their next firing", { isWide: true }, h("div", { class: "card-note" }, extent), list.node),
    place,
  );
  const refresh = repeat(load, { everyMs: REFRESH_MS, signal, onError: sayError });

  async function load() {
    const { schedules, isWhole } = await readSchedules(type, signal);
    list.update(schedules);
    const rest = isWhole ? "" : ` Only the first ${count(MAX_READ)} schedules of all types were looked through.`;
    setText(extent, `${amount(schedules.length, "schedule")} of ${type}.${rest}`);
  }

  /** @param {string} name */
  async function open(name) {
    try {
      edit(await call("GET", path("schedule", name), { signal, parse: exactMembers("job") }));
    } catch (error) {
      if (!signal.aborted) sayError(error);
    }
  }

  /** @param {Schedule | null} schedule null: a new one */
  function edit(schedule) {
    const panel = schedulePanel(schedule, type, {
      onClose: () => void replace(place),
      onChange: (name) => {
        refresh.again();
        if (name === null) replace(place);
        else void open(name);
      },
    });
    replace(place, panel);
    panel.querySelector("h2")?.focus();
  }
}

/**
 * Return the schedules of a type, the next to fire first and the paused ones last.
 *
 * @param {string} type
 * @param {AbortSignal} signal
 * @returns {Promise<{schedules: Schedule[], isWhole: boolean}>}
 */
async function readSchedules(type, signal) {
  /** @type {Schedule[]} */
  const schedules = [];
  let cursor = null;
  let read = 0;
  do {
    const page = await call("GET", "/schedules/", { query: { limit: PAGE, cursor }, signal });
    schedules.push(...page.schedules.filter((/** @type {Schedule} */ schedule) => schedule.queue_type === type));
    read += page.schedules.length;
    cursor = page.cursor;
  } while (cursor !== null && read < MAX_READ);
  schedules.sort((a, b) => (a.next_at ?? Infinity) - (b.next_at ?? Infinity) || a.name.localeCompare(b.name));
  return { schedules, isWhole: cursor === null };
}

/** @param {(schedule: Schedule) => void} onOpen */
function scheduleTable(onOpen) {
  return table({
    columns: [
      { name: "name", label: "Schedule", cell: (/** @type {Schedule} */ schedule) => schedule.name, isMain: true },
      { name: "next", label: "Next firing", cell: (schedule) => nextCell(schedule) },
      { name: "times", label: "Times", cell: (schedule) => timesText(schedule) },
      { name: "queue", label: "Queue", cell: ({ queue_type, queue_id }) => h("a", { href: href("queue", [queue_type, queue_id]) }, queue_id) },
      { name: "last", label: "Latest", cell: (schedule) => lastCell(schedule) },
      { name: "fired", label: "Fired", cell: (schedule) => count(schedule.fired), isNumber: true },
    ],
    key: (schedule) => schedule.name,
    caption: "Schedules",
    empty: "No schedule enqueues jobs of this type.",
    onOpen,
  });
}

/** @param {Schedule} schedule */
function nextCell({ paused, next_at, tz, every }) {
  if (paused) return badge("paused", "watch");
  return next_at === null ? "no further one" : moment(next_at, zoneOf(tz, every));
}

/**
 * Return how a moment of a schedule is shown; an `every` follows no clock of a zone.
 *
 * @param {string} tz
 * @param {number | null} every
 */
function zoneOf(tz, every) {
  return every === null ? { now: serverNow(), zone: tz } : { now: serverNow() };
}

/** @param {Schedule} schedule */
function lastCell({ last_at, last_status }) {
  if (last_at === null) return "none yet";
  const outcome = OUTCOMES[last_status ?? ""] ?? last_status ?? "";
  const isRefused = outcome.startsWith("refused");
  return h("span", null, moment(last_at, { now: serverNow() }), isRefused ? badge(outcome, "bad") : h("span", { class: "faint" }, outcome));
}

/**
 * Show a schedule with its form.
 *
 * @param {Schedule | null} schedule null: a new one
 * @param {string} type
 * @param {{onClose: () => void, onChange: (name: string | null) => void}} options `onChange` is given the schedule to
 *     show next
 * @returns {HTMLElement}
 */
function schedulePanel(schedule, type, { onClose, onChange }) {
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
  const firings = nextFirings(schedule).map((at) => h("li", null, moment(at, zoneOf(schedule.tz, schedule.every))));
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
    ask({
      title: `Pause ${name}?`,
      text: "No slot enqueues a job until it is resumed. Jobs that are there stay.",
      action: "Pause",
      perform: () => call("POST", path("schedule", name, "pause")),
      done: () => `${name} is paused.`,
    }, name);
  const resume = () =>
    ask({
      title: `Resume ${name}?`,
      text: "It goes on from its next slot. Slots that passed during the pause are skipped.",
      action: "Resume",
      perform: () => call("POST", path("schedule", name, "resume")),
      done: (answer) => `${name} is resumed.${firesText(answer)}`,
    }, name);
  const remove = () =>
    ask({
      title: `Delete ${name}?`,
      text: next_at === null ? "Jobs that it has enqueued stay." : `It would fire next at ${zoned(next_at)}. Jobs that it has enqueued stay.`,
      action: "Delete",
      isDangerous: true,
      perform: () => call("DELETE", path("schedule", name)),
      done: () => `${name} is deleted.`,
    }, null);
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
    { name: "cron", label: "Cron expression", hint: "such as 0 9 * * mon-fri; or a time between two instead" },
    { name: "every", label: "Time between two", hint: `${DURATION_HINT}; at least 1 s` },
    { name: "tz", label: "Zone of the cron expression", hint: "such as Asia/Kolkata; empty: UTC", suggestions: Intl.supportedValuesOf("timeZone") },
    { name: "job.queue_type", label: "Type of its jobs" },
    { name: "job.queue_id", label: "Queue of its jobs" },
    { name: "job.payload", label: "Payload", hint: "JSON", isCode: true },
    { name: "job", label: "Other fields of its jobs", hint: 'a JSON object, such as {"rate": "40/s", "priority": 3}', isCode: true },
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
      text: [`Times: ${times}`, `Jobs go to ${given["job.queue_id"]} of ${given["job.queue_type"]}.`, "Slots count from now."],
      action: schedule ? "Change" : "Define",
      perform: () => call("PUT", path("schedule", name), { body }),
      done: (state) => `The schedule ${name} is ${schedule ? "changed" : "defined"}.${firesText(state)}`,
    });
    if (answer !== null) onChange(name);
  }

  return form.node;
}
