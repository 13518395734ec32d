// The dead letters of one error: the first of them, and retry and drop of all that were read.

import { ApiError, call, path } from "../api.js";
import { h, replace, setText } from "../dom.js";
import { amount, count, dateTime } from "../format.js";
import { href } from "../routes.js";
import { change, changeButton } from "../widgets/change.js";
import { jobPanel } from "../widgets/job.js";
import { say, textOf } from "../widgets/notices.js";
import { card } from "../widgets/card.js";
import { textBlock } from "../widgets/payload.js";
import { table } from "../widgets/table.js";

/**
 * @typedef {import("../dead_groups.js").Group} Group
 * @typedef {import("../dead_groups.js").Letter} Letter
 * @typedef {object} Options
 * @property {AbortSignal} signal
 * @property {(gone: Set<Letter>) => void} onGone is given the letters that are no longer dead
 * @property {() => void} onClose
 */

const MAX_LISTED = 25;

/** The most dead letters that the API redrives or drops in one call. */
const MAX_NAMED = 1000;

const WORDS = /** @type {import("../session.js").Word[]} */ (["operate"]);

/**
 * Show a group of dead letters.
 *
 * @param {string} type
 * @param {Group} group
 * @param {Options} options
 * @returns {HTMLElement}
 */
export function groupPanel(type, group, { signal, onGone, onClose }) {
  const size = group.letters.length;
  const these = size === 1 ? "it" : `these ${count(size)}`;
  const progress = h("p", { class: "soft", role: "status" });
  const jobPlace = h("div", null);

  async function redriveAll() {
    const sent = [...group.letters];
    /** @type {Set<Letter>} */
    const gone = new Set();
    let queued = 0;
    const perform = async () => {
      for (let start = 0; start < sent.length; start += MAX_NAMED) {
        const part = sent.slice(start, start + MAX_NAMED);
        const jobs = part.map(({ queue_id, job_id }) => ({ queue_id, job_id }));
        const { results } = await call("POST", path("dead", type, "redrive"), { body: { jobs }, signal });
        part.forEach((letter, index) => {
          if (results[index].status === "queued") queued += 1;
          if (isGone(results[index])) gone.add(letter);
        });
        setText(progress, `${count(start + part.length)} of ${count(sent.length)}`);
      }
    };
    await changeGroup(
      {
        title: `Retry ${amount(size, "dead letter")}?`,
        text: [
          group.text || "No error was given",
          "Each is queued again at the end of its queue, with attempts from 0.",
        ],
        action: "Retry",
        perform,
        done: () => `${amount(queued, "job")} of ${count(size)} queued again.${rest(size - gone.size)}`,
      },
      gone,
    );
  }

  async function dropAll() {
    const sent = [...group.letters];
    /** @type {Set<Letter>} */
    const gone = new Set();
    const perform = async () => {
      for (let start = 0; start < size; start += MAX_NAMED) {
        const part = sent.slice(start, start + MAX_NAMED);
        const jobs = part.map(({ queue_id, job_id }) => ({ queue_id, job_id }));
        await call("POST", path("dead", type, "drop"), { body: { jobs }, signal });
        for (const letter of part) gone.add(letter);
        setText(progress, `${count(gone.size)} of ${count(size)} dropped`);
      }
    };
    await changeGroup(
      {
        title: `Drop ${amount(size, "dead letter")}?`,
        text: [group.text || "No error was given", "They are gone with their payloads."],
        action: "Drop",
        isDangerous: true,
        perform,
        done: () => `${amount(gone.size, "dead letter")} dropped.`,
      },
      gone,
    );
  }

  /**
   * Make a change, and forget the letters that are gone, also if it ended half-way.
   *
   * @param {Parameters<typeof change<void>>[0]} question
   * @param {Set<Letter>} gone
   */
  async function changeGroup(question, gone) {
    try {
      await change(question);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      say(`${count(gone.size)} of ${count(size)} were done, then: ${textOf(error)}`, "failed");
    }
    setText(progress, "");
    if (gone.size > 0) onGone(gone);
  }

  /** @param {Letter} letter */
  function open(letter) {
    const key = { queue_type: type, queue_id: letter.queue_id, job_id: letter.job_id };
    const onChange = () => onGone(new Set([letter]));
    replace(
      jobPlace,
      jobPanel(key, { signal, onChange, onClose: () => void replace(jobPlace), isLetter: true }),
    );
  }

  const example = group.letters[0]?.error;
  const listed = size > MAX_LISTED ? `The first ${MAX_LISTED} of ${count(size)} are listed.` : null;
  return card(
    group.text || "No error was given",
    { onClose },
    h(
      "div",
      { class: "actions" },
      changeButton(`Retry ${these}`, { words: WORDS, type, onClick: redriveAll }),
      changeButton(`Drop ${these}`, { words: WORDS, type, isDangerous: true, onClick: dropAll }),
      progress,
    ),
    example && h("div", null, h("h3", null, "The error of the first of them"), textBlock(example, "Error")),
    listed && h("p", { class: "soft" }, listed),
    h("div", { class: "split" }, letterTable(type, group.letters.slice(0, MAX_LISTED), open), jobPlace),
  );
}

/**
 * @param {string} type
 * @param {Letter[]} rows
 * @param {(letter: Letter) => void} onOpen
 */
function letterTable(type, rows, onOpen) {
  return table({
    columns: [
      { name: "job", label: "Job", cell: (letter) => letter.job_id, isMain: true },
      {
        name: "queue",
        label: "Queue",
        cell: (letter) => h("a", { href: href("queue", [type, letter.queue_id]) }, letter.queue_id),
      },
      { name: "attempt", label: "Attempts", cell: (letter) => count(letter.attempt), isNumber: true },
      { name: "died", label: "Died", cell: (letter) => dateTime(letter.dead_at) },
    ],
    rows,
    key: (letter) => JSON.stringify([letter.queue_id, letter.job_id]),
    caption: "Dead letters of the group",
    onOpen,
  }).node;
}

/** @param {{status: string, code?: string}} result */
function isGone(result) {
  return result.status === "queued" || result.code === "not_found";
}

/** @param {number} refused */
function rest(refused) {
  return refused === 0
    ? ""
    : ` ${amount(refused, "job")} refused, such as for a live job of the same id; open one to see why.`;
}
