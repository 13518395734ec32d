// The schedules of a type with their next firings, and a form to define, change, pause and delete one.

import { call, path } from "../api.js";
import { h, replace, setText } from "../dom.js";
import { exactMembers } from "../exact.js";
import { amount, count } from "../format.js";
import { repeat } from "../repeat.js";
import { go, href } from "../routes.js";
import { timesText } from "../schedule_text.js";
import { clockNote, serverNow } from "../server_clock.js";
import { moment } from "../times.js";
import { badge } from "../widgets/badge.js";
import { card } from "../widgets/card.js";
import { changeButton } from "../widgets/change.js";
import { heading, typeTabs } from "../widgets/heading.js";
import { sayError } from "../widgets/notices.js";
import { table } from "../widgets/table.js";
import { lastCell, schedulePanel, zoneOf } from "./schedule_panel.js";

/**
 * @typedef {import("../schedule_text.js").Schedule & {queue_type: string, queue_id: string, last_at: number | null,
 *     last_status: string | null, fired: number}} Schedule
 */

const REFRESH_MS = 10_000;
const PAGE = 1000;

/** Schedules of all types that are looked through for those of one. */
const MAX_READ = 20_000;

const WORDS = /** @type {import("../session.js").Word[]} */ (["operate"]);

/**
 * Show the schedules of a type until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} parameters `queue_type`, and `name` of a schedule to open
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
    card(
      "Schedules by their next firing",
      { isWide: true },
      h("div", { class: "card-note" }, extent),
      list.node,
    ),
    place,
  );
  if (parameters["name"]) void open(parameters["name"]);
  const refresh = repeat(load, { everyMs: REFRESH_MS, signal, onError: sayError });

  async function load() {
    const { schedules, isWhole } = await readSchedules(type, signal);
    // A row is drawn anew if it differs: how far its next firing is away does.
    const shown_at = serverNow();
    list.update(schedules.map((schedule) => ({ ...schedule, shown_at })));
    const rest = isWhole
      ? ""
      : ` Only the first ${count(MAX_READ)} schedules of all types were looked through.`;
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

  function close() {
    replace(place);
    go(href("schedules", [type]), { isSilent: true });
    define.focus();
  }

  /** @param {Schedule | null} schedule null: a new one */
  function edit(schedule) {
    go(href("schedules", [type], { name: schedule?.name }), { isSilent: true });
    const panel = schedulePanel(schedule, type, {
      onClose: close,
      onChange: (name) => {
        refresh.again();
        if (name === null) close();
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
    schedules.push(
      ...page.schedules.filter((/** @type {Schedule} */ schedule) => schedule.queue_type === type),
    );
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
      {
        name: "name",
        label: "Schedule",
        cell: (/** @type {Schedule} */ schedule) => schedule.name,
        isMain: true,
      },
      { name: "next", label: "Next firing", cell: (schedule) => nextCell(schedule) },
      { name: "times", label: "Times", cell: (schedule) => timesText(schedule) },
      {
        name: "queue",
        label: "Queue",
        cell: ({ queue_type, queue_id }) => h("a", { href: href("queue", [queue_type, queue_id]) }, queue_id),
      },
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
