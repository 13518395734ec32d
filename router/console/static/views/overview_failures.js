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
const LETTERS_OF_TYPE = 100;
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
  const problem = h("p", { class: "failure" });
  const node = h("div", null, attempts, list.node, problem);
  /** @type {TypeNumbers[]} */
  let dying = [];
  let isStarted = false;

  async function read() {
    const found = await Promise.all(dying.map((type) => reasonsOf(type, signal)));
    list.update(
      found
        .flat()
        .sort((a, b) => b.number - a.number)
        .slice(0, MOST_ROWS),
    );
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

/**
 * Group the dead letters of a type by their reason. Of a type with many, only a page is read.
 *
 * @param {TypeNumbers} type
 * @param {AbortSignal} signal
 * @returns {Promise<Failure[]>}
 */
async function reasonsOf({ queue_type, dead }, signal) {
  const answer = await call("GET", path("dead", queue_type), { query: { limit: LETTERS_OF_TYPE }, signal });
  /** @type {Map<string, number>} */
  const groups = new Map();
  for (const { reason, error } of answer.jobs) {
    const text =
      reason === "expired"
        ? "expired before a worker took it"
        : firstLine(error ?? "no release gave an error");
    groups.set(text, (groups.get(text) ?? 0) + 1);
  }
  const isAll = answer.cursor === null && answer.jobs.length >= dead;
  return [...groups].map(([reason, number]) => ({ queue_type, reason, number, isAll }));
}

/** @param {string} text */
function firstLine(text) {
  const line = text.split("\n", 1)[0] ?? "";
  return line.length > MAX_REASON ? `${line.slice(0, MAX_REASON)}…` : line;
}
