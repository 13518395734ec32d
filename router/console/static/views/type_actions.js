// Changes a type: its pause, and the caps of a gathered one.

import { call, path } from "../api.js";
import { count } from "../format.js";
import { change, changeButton } from "../widgets/change.js";

/**
 * @typedef {{interval: number, rate: string, burst: number, unit: string}} Limit
 * @typedef {object} TypeState as of `GET /type/<type>/`
 * @property {Limit[]} limits
 * @property {number | null} max_leased
 * @property {number} queued
 * @property {number} leased
 * @typedef {Pick<import("../snapshot.js").TypeNumbers, "blocked_by" | "ready_for_ms">} Numbers
 */

const MOST_LIMITS = 3;
const WORDS = /** @type {import("../session.js").Word[]} */ (["operate"]);

/** The reasons behind which a pause or a hold of the type may stand: `resume` then has an effect, or may have one. */
const RESUMABLE = ["type_paused", "type_hold", "all_paused", "paused"];

/**
 * Make the buttons of a type. Both Pause and Resume are there until it is known if the type is paused.
 *
 * @param {string} queueType
 * @param {boolean} isGathered
 * @returns {{nodes: HTMLElement[], update: (numbers: Numbers) => void}}
 */
export function typeActions(queueType, isGathered) {
  const options = { words: WORDS, type: queueType };
  const pauseButton = changeButton("Pause", { ...options, onClick: () => make(pause, "type_paused") });
  const resumeButton = changeButton("Resume", { ...options, onClick: () => make(resume, "empty") });
  const caps = changeButton("Change caps", { ...options, onClick: () => changeCaps(queueType) });
  return {
    nodes: [...(isGathered ? [caps] : []), pauseButton, resumeButton],
    update({ blocked_by, ready_for_ms }) {
      const isKnown = blocked_by !== null || ready_for_ms !== null;
      if (isKnown) show(blocked_by);
    },
  };

  /** @param {string | null} reason */
  function show(reason) {
    const focused = document.activeElement;
    pauseButton.hidden = reason === "type_paused";
    resumeButton.hidden = reason === null || !RESUMABLE.includes(reason);
    // A snapshot that is older than the change may hide the button that has just got the focus.
    if (focused === pauseButton && pauseButton.hidden) resumeButton.focus();
    if (focused === resumeButton && resumeButton.hidden) pauseButton.focus();
  }

  /**
   * @param {(queueType: string) => Promise<unknown>} toChange
   * @param {string} reason what blocks the type afterwards
   */
  async function make(toChange, reason) {
    if ((await toChange(queueType)) === null) return;
    show(reason);
    (pauseButton.hidden ? resumeButton : pauseButton).focus();
  }
}

/** @param {string} queueType */
function pause(queueType) {
  return change({
    title: `Pause ${queueType}?`,
    text: [
      "No queue of the type gives a job until it is resumed.",
      "New jobs are accepted, and jobs in workers' hands run on.",
    ],
    action: "Pause",
    perform: () => call("POST", path("type", queueType, "pause")),
    done: () => `${queueType} is paused.`,
  });
}

/** @param {string} queueType */
function resume(queueType) {
  return change({
    title: `Resume ${queueType}?`,
    text: "Its queues give jobs again, each at its own rate. The pause and the hold of the type end; those of single queues stay.",
    action: "Resume",
    perform: () => call("POST", path("type", queueType, "resume")),
    done: () => `${queueType} gives jobs again.`,
  });
}

/** @param {string} queueType */
async function changeCaps(queueType) {
  /** @type {TypeState} */
  const state = await call("GET", path("type", queueType));
  await change({
    title: `Change the caps of ${queueType}?`,
    text: [
      `All queues of the type share them: ${count(state.queued)} jobs wait, ${count(state.leased)} are in workers' hands.`,
      "A new limit begins one interval after the last lease. A lower number of leases takes none away.",
    ],
    action: "Change",
    fields: capFields(state),
    perform: (values) => call("POST", path("type", queueType), { body: capBody(state, values) }),
    done: doneText,
  });
}

/**
 * @param {TypeState} state
 * @returns {import("../widgets/confirm.js").Field[]}
 */
function capFields({ limits, max_leased }) {
  const rows = Array.from({ length: Math.min(limits.length + 1, MOST_LIMITS) }, (_, index) => limits[index]);
  return [
    ...rows.flatMap((limit, index) => {
      const unit = limit?.unit === "cost" ? ", in units of cost" : "";
      const hint =
        limit === undefined
          ? "Such as 40/s or 90000/min; empty for none."
          : "Such as 40/s; empty takes the limit away.";
      return [
        {
          name: `rate${index}`,
          label: `Limit ${index + 1}${unit}`,
          value: limit?.rate ?? "",
          hint,
          isPaired: true,
        },
        {
          name: `burst${index}`,
          label: `Burst of limit ${index + 1}`,
          value: limit?.burst ?? "",
          hint: "1 if empty.",
          isPaired: true,
        },
      ];
    }),
    {
      name: "max_leased",
      label: "Leases at a time",
      value: max_leased ?? "",
      hint: "A whole number; empty for any number.",
    },
  ];
}

/**
 * Return the body of the change. What cannot be read as a number goes to the server as it is, whose answer names the
 * field.
 *
 * @param {TypeState} state
 * @param {Record<string, string | boolean>} values
 */
export function capBody({ limits }, values) {
  const rows = Array.from({ length: MOST_LIMITS }, (_, index) => ({
    rate: String(values[`rate${index}`] ?? ""),
    burst: String(values[`burst${index}`] ?? ""),
    unit: limits[index]?.unit ?? "job",
  }));
  const kept = rows.filter(({ rate }) => rate !== "");
  return {
    limits: kept.map(({ rate, burst, unit }) => ({
      rate,
      unit,
      ...(burst === "" ? {} : { burst: numberOr(burst) }),
    })),
    max_leased: values["max_leased"] === "" ? null : numberOr(String(values["max_leased"])),
  };
}

/** @param {string} text */
function numberOr(text) {
  const value = Number(text);
  return Number.isFinite(value) ? value : text;
}

/**
 * @param {TypeState & {warning?: string}} answer
 * @returns {string}
 */
function doneText({ limits, max_leased, warning }) {
  const rates = limits.map(({ rate, burst }) => `${rate} at burst ${burst}`);
  const caps = [...rates, ...(max_leased === null ? [] : [`at most ${count(max_leased)} leases at a time`])];
  const said = caps.length === 0 ? "The type has no cap now." : `The caps are now ${caps.join(" and ")}.`;
  return warning === undefined ? said : `${said} ${warning}`;
}
