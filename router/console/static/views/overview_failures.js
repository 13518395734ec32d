// Shows which types fail, and the reasons that their dead letters give.

import { call, path } from "../api.js";
import { h, replace, setText } from "../dom.js";
import { amount, count } from "../format.js";
import { repeat } from "../repeat.js";
import { href } from "../routes.js";
import { table } from "../widgets/table.js";

/**
 * @typedef {import("../snapshot.js").Snapshot} Snapshot
 * @typedef {import("../snapshot.js").TypeNumbers} TypeNumbers
 * @typedef {{queue_type: string, reason: string, number: number, isAll: boolean}} Failure
 */

const MOST_TYPES = 4;
const MOST_ROWS = 8;

/** Dead letters of one read, and reads of a type at one go: their payloads travel, too. */
const PAGE = 100;
const PAGES_AT_ONCE = 5;

/** Dead letters of a type whose reasons are read at most. */
const MOST_LETTERS = 5000;

const REFRESH_MS = 15_000;
const MAX_REASON = 120;

/**
 * Make the list of failures.
 *
 * @param {AbortSignal} signal
 * @returns {{node: HTMLElement, note: HTMLElement, update: (snapshot: Snapshot) => void}}
 */
export function failures(signal) {
  const note = h("p", { class: "faint" });
  const list = table({
    columns: COLUMNS,
    key: ({ queue_type, reason }) => `${queue_type} ${reason}`,
    caption: "Dead letters by type and reason",
    empty: "No dead letters.",
    href: ({ queue_type }) => href("dead", [queue_type]),
  });
  const attempts = h("p", { class: "attempts" });
  const problem = h("p", { class: "failure failures-problem" });
  list.node.hidden = true; // "No dead letters" would be said before anything is known.
  const node = h("div", null, attempts, list.node, problem);
  /** @type {TypeNumbers[]} */
  let dying = [];
  /** @type {Map<string, Reasons>} */
  let byType = new Map();
  let isStarted = false;

  async function read() {
    const readers = dying.map((type) => {
      const known = byType.get(type.queue_type) ?? new Reasons(type.queue_type);
      return /** @type {[string, Reasons]} */ ([type.queue_type, known]);
    });
    byType = new Map(readers);
    await Promise.all(dying.map(({ queue_type, dead }) => byType.get(queue_type)?.readOn(dead, signal)));
    list.update(
      readers
        .flatMap(([, reasons]) => reasons.rows())
        .sort((a, b) => b.number - a.number)
        .slice(0, MOST_ROWS),
    );
    list.node.hidden = false;
    setText(note, dying.length === 0 ? "" : "Dead letters and what they died of");
    replace(problem);
  }

  return {
    node,
    note,
    update({ types, totals }) {
      dying = types
        .filter(({ dead }) => dead > 0)
        .sort((a, b) => b.dead - a.dead)
        .slice(0, MOST_TYPES);
      replace(attempts, attemptsLine(types, totals.failed_per_min));
      if (isStarted) return;
      isStarted = true;
      repeat(read, {
        everyMs: REFRESH_MS,
        signal,
        onError: (error) =>
          replace(
            problem,
            `The dead letters cannot be read: ${error instanceof Error ? error.message : error}`,
          ),
      });
    },
  };
}

/** @type {import("../widgets/table.js").Column<Failure>[]} */
const COLUMNS = [
  { name: "reason", label: "Reason", cell: ({ reason }) => reason },
  { name: "type", label: "Type", cell: ({ queue_type }) => queue_type },
  {
    name: "number",
    label: "Dead letters",
    isNumber: true,
    cell: ({ number, isAll }) => `${isAll ? "" : "≥ "}${count(number)}`,
  },
];

/**
 * @param {TypeNumbers[]} types
 * @param {number | null} failedPerMin
 */
function attemptsLine(types, failedPerMin) {
  if (failedPerMin === null) return "How many attempts fail is not known yet.";
  if (failedPerMin === 0) return "No attempt failed in the last minute.";
  const [worst] = types
    .filter(({ failed_per_min }) => failed_per_min)
    .sort((a, b) => (b.failed_per_min ?? 0) - (a.failed_per_min ?? 0));
  const said = `${amount(failedPerMin, "attempt")} failed in the last minute`;
  if (worst === undefined) return `${said}.`;
  return [
    `${said}, most of `,
    h("a", { href: href("customers", [worst.queue_type], { by: "dead" }) }, worst.queue_type),
    ` (${count(worst.failed_per_min)}).`,
  ];
}

/** The reasons of a type's dead letters, read in steps. Once all are read, only a change of their number has them read anew. */
export class Reasons {
  /** @param {string} queueType */
  constructor(queueType) {
    this.queueType = queueType;
    /** @type {Map<string, number>} */
    this.groups = new Map();
    this.number = 0;
    /** @type {string | null} */
    this.cursor = null;
    this.isWhole = false;
    /** @type {Failure[]} what is shown while they are read anew */
    this.before = [];
    /** @type {number | null} */
    this.dead = null;
  }

  /**
   * Read the next letters.
   *
   * @param {number} dead how many there are
   * @param {AbortSignal} signal
   * @param {typeof call} [ask] calls the API
   */
  async readOn(dead, signal, ask = call) {
    const isOver = this.isWhole || this.number >= MOST_LETTERS;
    if (isOver && dead === this.dead) return;
    if (isOver) {
      this.before = this.rows();
      this.groups = new Map();
      this.number = 0;
      this.cursor = null;
      this.isWhole = false;
    }
    this.dead = dead;
    for (let page = 0; page < PAGES_AT_ONCE && !this.isWhole; page += 1) {
      const query = { limit: PAGE, cursor: this.cursor };
      const answer = await ask("GET", path("dead", this.queueType), { query, signal });
      for (const { reason, error } of answer.jobs) {
        const text =
          reason === "expired" ? "expired before a worker took it" : firstLine(error ?? "no error was given");
        this.groups.set(text, (this.groups.get(text) ?? 0) + 1);
      }
      this.number += answer.jobs.length;
      this.cursor = answer.cursor;
      this.isWhole = answer.cursor === null;
    }
    if (this.isWhole || this.number >= MOST_LETTERS) this.before = [];
  }

  /** @returns {Failure[]} */
  rows() {
    if (this.before.length > 0) return this.before;
    return [...this.groups].map(([reason, number]) => ({
      queue_type: this.queueType,
      reason,
      number,
      isAll: this.isWhole,
    }));
  }
}

/** @param {string} text */
function firstLine(text) {
  const line = text.split("\n", 1)[0] ?? "";
  return line.length > MAX_REASON ? `${line.slice(0, MAX_REASON)}…` : line;
}
