// The windows: when each is open, and a form to define, change and drop one.

import { call, path } from "../api.js";
import { h, replace } from "../dom.js";
import { amount } from "../format.js";
import { repeat } from "../repeat.js";
import { isTaken } from "../taken.js";
import { go, href } from "../routes.js";
import { clockNote, serverNow } from "../server_clock.js";
import { moment, ZONES } from "../times.js";
import { change, changeButton, forbid, refusal } from "../widgets/change.js";
import { FieldError } from "../field_error.js";
import { Form } from "../widgets/form.js";
import { sayError } from "../widgets/notices.js";
import { badge } from "../widgets/badge.js";
import { card, factList } from "../widgets/card.js";
import { heading } from "../widgets/heading.js";
import { table } from "../widgets/table.js";
import { weekChart } from "../widgets/week.js";
import { RANGE_HINT, readRanges, writeRanges } from "../window_text.js";

/**
 * @typedef {object} Window
 * @property {string} name
 * @property {string} tz
 * @property {import("../window_text.js").Range[]} open
 * @property {string[]} except dates as YYYY-MM-DD
 * @property {boolean} is_open
 * @property {number | null} opens_at ms since the epoch
 * @property {number | null} closes_at ms since the epoch
 * @property {number} [uses]
 */

const REFRESH_MS = 15_000;

/** The server's bound on the number of windows. */
const MAX_WINDOWS = 1000;

const WORDS = /** @type {import("../session.js").Word[]} */ (["operate"]);

/**
 * Show all windows until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} parameters `name` of a window to open
 * @param {{signal: AbortSignal}} options
 */
export async function show(root, parameters, { signal }) {
  const place = h("div", null);
  const list = windowTable((window) => void open(window.name));
  const define = changeButton("Define a window", {
    words: WORDS,
    type: null,
    onClick: async () => edit(null),
  });
  replace(
    root,
    heading({ title: "Windows", actions: define }),
    h(
      "p",
      { class: "soft" },
      "A window says at which times of the day jobs may leave. The store's clock decides, in the zone of the window.",
    ),
    clockNote(signal),
    card("All windows", { isWide: true }, list.node),
    place,
  );
  await load();
  if (parameters["name"]) void open(parameters["name"]);
  const refresh = repeat(load, { everyMs: REFRESH_MS, signal, onError: sayError });

  async function load() {
    const answer = await call("GET", "/windows/", { query: { limit: MAX_WINDOWS }, signal });
    // A row is drawn anew if it differs: how far its next change is away does.
    const shown_at = serverNow();
    list.update(answer.windows.map((/** @type {Window} */ window) => ({ ...window, shown_at })));
  }

  /** @param {string} name */
  async function open(name) {
    try {
      edit(await call("GET", path("window", name), { signal }));
    } catch (error) {
      if (!signal.aborted) sayError(error);
    }
  }

  function close() {
    replace(place);
    go(href("windows"), { isSilent: true });
    define.focus();
  }

  /** @param {Window | null} window null: a new one */
  function edit(window) {
    go(href("windows", [], { name: window?.name }), { isSilent: true });
    const panel = windowPanel(window, {
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

/** @param {(window: Window) => void} onOpen */
function windowTable(onOpen) {
  return table({
    columns: [
      { name: "name", label: "Window", cell: (/** @type {Window} */ window) => window.name, isMain: true },
      { name: "state", label: "Now", cell: (window) => stateOf(window) },
      { name: "change", label: "Next change", cell: (window) => nextChange(window) },
      { name: "zone", label: "Zone", cell: (window) => window.tz },
      {
        name: "hours",
        label: "Open",
        cell: (window) =>
          h(
            "ul",
            { class: "lines" },
            window.open.map((range) => h("li", null, rangeText(range))),
          ),
      },
      {
        name: "except",
        label: "Closed on",
        cell: (window) => (window.except.length === 0 ? "" : amount(window.except.length, "date")),
      },
    ],
    key: (window) => window.name,
    caption: "Windows",
    empty: "No window is defined. Jobs leave at all times of the day.",
    onOpen,
  });
}

/** @param {Window} window */
function stateOf({ is_open }) {
  return badge(is_open ? "open" : "closed", is_open ? "well" : "plain");
}

/** @param {Window} window */
function nextChange({ is_open, opens_at, closes_at, tz }) {
  const at = is_open ? closes_at : opens_at;
  if (at === null) return is_open ? "stays open for two days or longer" : "does not open within 400 days";
  return h("span", null, is_open ? "closes " : "opens ", moment(at, { now: serverNow(), zone: tz }));
}

/**
 * Show a window with its form.
 *
 * @param {Window | null} window null: a new one
 * @param {{onClose: () => void, onChange: (name: string | null) => void}} options `onChange` is given the window to
 *     show next
 * @returns {HTMLElement}
 */
function windowPanel(window, { onClose, onChange }) {
  return card(
    window?.name ?? "New window",
    { onClose },
    window && summary(window),
    windowForm(window, onChange),
  );
}

/** @param {Window} window */
function summary(window) {
  return h(
    "div",
    { class: "beside" },
    factList([
      ["Now", stateOf(window)],
      ["Next change", nextChange(window)],
      ["Used by", usesText(window.uses ?? 0)],
    ]),
    weekChart(window.open),
  );
}

/** @param {import("../window_text.js").Range} range */
function rangeText({ days, from, to }) {
  return `${days} ${from}–${to}`;
}

/** @param {number} uses */
function usesText(uses) {
  return uses === 0 ? "nothing" : `${amount(uses, "queue or gathered type", "queues and gathered types")}`;
}

/**
 * @param {Window | null} window
 * @param {(name: string | null) => void} onChange
 */
function windowForm(window, onChange) {
  const form = new Form({
    fields: [
      { name: "window", label: "Name", value: window?.name ?? "", isFixed: window !== null },
      {
        name: "tz",
        label: "Zone",
        hint: "such as Europe/Paris",
        value: window?.tz ?? "",
        suggestions: ZONES,
      },
      {
        name: "open",
        label: "Open",
        hint: RANGE_HINT,
        value: window ? writeRanges(window.open) : "",
        isCode: true,
      },
      {
        name: "except",
        label: "Closed on these dates",
        hint: "a line for each, such as 2026-12-25",
        value: window?.except.join("\n") ?? "",
        isCode: true,
      },
    ],
    action: window ? "Review changes" : "Define",
    label: window ? `Change ${window.name}` : "New window",
    onSubmit,
  });
  const reason = refusal(WORDS, null);
  if (reason !== null) forbid(form.button, reason);
  if (window !== null) {
    const drop = () => dropWindow(window, () => onChange(null));
    form.foot.append(
      changeButton("Drop the window", { words: WORDS, type: null, isDangerous: true, onClick: drop }),
    );
  }

  /** @param {Record<string, string>} values */
  async function onSubmit(values) {
    const name = values["window"] ?? "";
    const body = windowBody(values);
    const uses = window?.uses ?? 0;
    if (window === null && (await isTaken(path("window", name)))) {
      throw new FieldError("window", "there is a window of this name; open it to change it");
    }
    const answer = await change({
      title: window ? `Change the window ${name}?` : `Define the window ${name}?`,
      text: [
        `${body.tz}: ${body.open.map(rangeText).join("; ")}`,
        ...(body.except.length > 0 ? [`Closed on ${amount(body.except.length, "date")}.`] : []),
        ...(window ? [`It is used by ${usesText(uses)}. The new hours hold for jobs that wait, too.`] : []),
      ],
      action: window ? "Change" : "Define",
      perform: () => call("PUT", path("window", name), { body }),
      done: () => (window ? `The window ${name} is changed.` : `The window ${name} is defined.`),
    });
    if (answer !== null) onChange(name);
  }

  return form.node;
}

/**
 * @param {Record<string, string>} values
 * @returns {{tz: string, open: import("../window_text.js").Range[], except: string[]}}
 */
function windowBody({ tz = "", open = "", except = "" }) {
  return { tz, open: readRanges(open), except: except.split(/[\s,]+/).filter((date) => date !== "") };
}

/**
 * @param {Window} window
 * @param {() => void} onDrop
 */
async function dropWindow({ name, uses = 0 }, onDrop) {
  const answer = await change({
    title: `Drop the window ${name}?`,
    text: uses === 0 ? "Nothing uses it." : `${usesText(uses)} use it, so that the server will refuse.`,
    action: "Drop",
    isDangerous: true,
    perform: () => call("DELETE", path("window", name)),
    done: () => `The window ${name} is dropped.`,
  });
  if (answer !== null) onDrop();
}
