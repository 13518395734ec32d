// The table of queues, one for each customer.

import { h } from "../dom.js";
import { compact, count, duration, rateOfInterval } from "../format.js";
import { stateOf } from "../health.js";
import { href } from "../routes.js";
import { badge, shareBar } from "./badge.js";
import { table } from "./table.js";

/** @typedef {import("../customer_reader.js").Customer} Customer */

/** @type {import("../widgets/table.js").Column<Customer>[]} */
const COLUMNS = [
  { name: "customer", label: "Customer", cell: ({ queue_id }) => queue_id },
  { name: "state", label: "State", cell: customerState },
  {
    name: "waiting",
    label: "Waiting",
    isNumber: true,
    cell: ({ queued, delayed }) =>
      delayed === 0
        ? count(queued)
        : [count(queued), h("span", { class: "faint" }, ` + ${compact(delayed)} delayed`)],
  },
  { name: "leased", label: "Leased", isNumber: true, cell: ({ leased }) => count(leased) },
  { name: "rate", label: "Rate", isNumber: true, cell: ({ interval }) => rateOfInterval(interval) },
  { name: "kept", label: "Delivered of promised", title: "In the last complete minute", cell: kept },
  {
    name: "age",
    label: "Oldest job",
    isNumber: true,
    cell: ({ oldest_age }) => (oldest_age === null ? "" : duration(oldest_age)),
  },
  { name: "dead", label: "Dead", isNumber: true, title: "Dead letters", cell: ({ dead }) => count(dead) },
];

/**
 * Make the table.
 *
 * @param {string} queueType
 * @param {string} caption
 * @returns {ReturnType<typeof table<Customer>>}
 */
export function customerTable(queueType, caption) {
  return table({
    columns: COLUMNS,
    key: ({ queue_id }) => queue_id,
    caption,
    empty: "No queue has a job.",
    href: ({ queue_id }) => href("queue", [queueType, queue_id]),
  });
}

/** @param {Customer} customer */
function customerState({ blocked_by, queued }) {
  const { text, tone, title } = stateOf(blocked_by, queued);
  return badge(text, tone, title);
}

/** @param {Customer} customer */
function kept({ delivered, promised }) {
  if (promised === null) return `${count(delivered)} (unlimited)`;
  if (promised === 0) return delivered === 0 ? "" : count(delivered);
  return shareBar({
    share: delivered / promised,
    text: `${count(delivered)} of ${count(promised)}`,
    isLimitGood: true,
  });
}
