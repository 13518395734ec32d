// The table of types, on the overview and on a page of its own.

import { h } from "../dom.js";
import { compact, count, rate } from "../format.js";
import { stateOfType } from "../health.js";
import { href } from "../routes.js";
import { capName, isRate } from "../caps.js";
import { badge, shareBar } from "./badge.js";
import { table } from "./table.js";

/** @typedef {import("../snapshot.js").TypeNumbers} TypeNumbers */

/** @type {import("./table.js").Column<TypeNumbers>[]} */
const COLUMNS = [
  { name: "type", label: "Type", cell: ({ queue_type }) => queue_type },
  { name: "state", label: "State", cell: typeState },
  { name: "waiting", label: "Waiting", isNumber: true, cell: waiting },
  {
    name: "leased",
    label: "Leased",
    isNumber: true,
    title: "Jobs in workers' hands",
    cell: ({ leased }) => count(leased),
  },
  {
    name: "delivered",
    label: "Delivered",
    isNumber: true,
    title: "Leases over the last 10 s",
    cell: ({ delivered_per_s }) => rate(delivered_per_s),
  },
  {
    name: "failed",
    label: "Failed/min",
    isNumber: true,
    title: "Attempts that failed in the last minute",
    cell: ({ failed_per_min }) => count(failed_per_min),
  },
  { name: "dead", label: "Dead", isNumber: true, title: "Dead letters", cell: dead },
  { name: "caps", label: "Share of the cap", cell: fullestCap },
];

/**
 * Make the table.
 *
 * @param {string} caption
 * @returns {ReturnType<typeof table<TypeNumbers>>}
 */
export function typeTable(caption) {
  return table({
    columns: COLUMNS,
    key: ({ queue_type }) => queue_type,
    caption,
    empty: "No type has a job.",
    href: ({ queue_type }) => href("type", [queue_type]),
  });
}

/** @param {TypeNumbers} type */
function typeState(type) {
  const { text, tone, title } = stateOfType(type);
  return badge(text, tone, title);
}

/** @param {TypeNumbers} type */
function waiting({ queued, delayed }) {
  if (delayed === 0) return count(queued);
  return [count(queued), h("span", { class: "faint" }, ` + ${compact(delayed)} delayed`)];
}

/** @param {TypeNumbers} type */
function dead({ queue_type, dead: number }) {
  return number === 0 ? "0" : h("a", { href: href("dead", [queue_type]) }, count(number));
}

/** @param {TypeNumbers} type */
function fullestCap({ caps }) {
  const [fullest] = Object.entries(caps).sort(([, a], [, b]) => b - a);
  if (fullest === undefined) return "";
  const [name, share] = fullest;
  return shareBar({ share, name: capName(name), isLimitGood: isRate(name) });
}
