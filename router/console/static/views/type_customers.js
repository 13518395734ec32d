// Lists the customers of a type that wait most, on the type's page.

import { readFirst } from "../customer_reader.js";
import { h, replace } from "../dom.js";
import { repeat } from "../repeat.js";
import { customerTable } from "../widgets/customer_table.js";
import { textOf } from "../widgets/notices.js";

const ROWS = 10;
const REFRESH_MS = 5000;

/**
 * Make the list, which stays fresh until the signal aborts.
 *
 * @param {string} queueType
 * @param {AbortSignal} signal
 * @returns {HTMLElement}
 */
export function behindMost(queueType, signal) {
  const list = customerTable(queueType, `Customers of ${queueType} with most waiting jobs`);
  const problem = h("p", { class: "failure" });
  repeat(
    async () => {
      list.update((await readFirst(queueType, "depth", { limit: ROWS, signal })).customers);
      replace(problem);
    },
    { everyMs: REFRESH_MS, signal, onError: (error) => replace(problem, textOf(error)) },
  );
  return h("div", null, problem, list.node);
}
