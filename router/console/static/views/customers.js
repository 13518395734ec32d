// Shows the queues of a type, one for each customer: by backlog, age or dead letters, or those that a search finds.

import { MOST_ROWS, readFirst, search } from "../customer_reader.js";
import { h, replace, setText } from "../dom.js";
import { clock, count } from "../format.js";
import { repeat } from "../repeat.js";
import { go, href } from "../routes.js";
import { customerTable } from "../widgets/customer_table.js";
import { heading, typeTabs } from "../widgets/heading.js";
import { textOf } from "../widgets/notices.js";

/**
 * @typedef {import("../customer_reader.js").Order} Order
 * @typedef {import("../customer_reader.js").Found} Found
 */

const REFRESH_MS = 5000;
const TYPING_MS = 250;

/** A search that took more calls than this is not repeated by itself. */
const CHEAP_PAGES = 3;

const ORDERS = /** @type {{by: Order, label: string}[]} */ ([
  { by: "depth", label: "Backlog" },
  { by: "age", label: "Age" },
  { by: "dead", label: "Failures" },
]);

/**
 * Show the customers of a type until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} parameters `queue_type`, and perhaps `by` and `q`
 * @param {{signal: AbortSignal}} context
 */
export async function show(root, parameters, { signal }) {
  const queueType = parameters["queue_type"] ?? "";
  let by = ORDERS.find((order) => order.by === parameters["by"])?.by ?? "depth";
  let shown = "";
  let pages = 0;
  const note = h("p", { class: "faint", role: "status" }, "Reading");
  const problem = h("p", { class: "failure" });
  const list = customerTable(queueType, `Customers of ${queueType}`);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let typing;
  const box = h("input", {
    id: "customer-search",
    type: "search",
    value: parameters["q"] ?? "",
    maxlength: 100,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "Part of the id",
    oninput: () => {
      clearTimeout(typing);
      typing = setTimeout(changed, TYPING_MS);
    },
  });
  const segments = ORDERS.map((order) => ({
    order,
    button: h(
      "button",
      { type: "button", "aria-pressed": String(order.by === by), onclick: () => choose(order.by) },
      order.label,
    ),
  }));
  const buttons = segments.map(({ button }) => button);
  replace(
    root,
    heading({
      title: "Customers",
      crumbs: [
        { label: "Types", href: href("types") },
        { label: queueType, href: href("type", [queueType]) },
      ],
    }),
    typeTabs(queueType, "customers"),
    h(
      "div",
      { class: "toolbar" },
      h("div", { class: "field grow" }, h("label", { for: "customer-search" }, "Search"), box),
      h(
        "div",
        { class: "field" },
        h("span", { class: "label", id: "order-label" }, "Ordered by"),
        h("div", { class: "segments", role: "group", "aria-labelledby": "order-label" }, buttons),
      ),
      note,
    ),
    problem,
    h("section", { class: "card", "aria-label": "Customers" }, list.node),
  );

  /** @param {Order} next */
  function choose(next) {
    by = next;
    for (const { order, button } of segments) button.setAttribute("aria-pressed", String(order.by === by));
    changed();
  }

  function changed() {
    go(href("customers", [queueType], { by: by === "depth" ? "" : by, q: box.value.trim() }), {
      isSilent: true,
    });
    pages = 0;
    reading.again();
  }

  async function read() {
    const wanted = box.value.trim();
    const question = `${by} ${wanted}`;
    if (question === shown && pages > CHEAP_PAGES) return;
    const found = await (wanted === ""
      ? readFirst(queueType, by, { signal })
      : search(queueType, wanted, by, signal));
    if (wanted !== box.value.trim()) return;
    ({ pages } = found);
    shown = question;
    list.setEmpty(emptyOf(by, wanted));
    list.update(found.customers);
    setText(note, noteOf(found, wanted));
    replace(problem);
  }

  const reading = repeat(read, {
    everyMs: REFRESH_MS,
    signal,
    onError: (error) => {
      setText(note, "");
      replace(problem, textOf(error));
    },
  });
}

/**
 * @param {Found} found
 * @param {string} wanted
 */
function noteOf({ customers, isComplete, pages }, wanted) {
  const number = customers.length;
  const noun = number === 1 ? "queue" : "queues";
  const which = wanted === "" ? noun : `${noun} with ${wanted} in the id`;
  const first = number === MOST_ROWS ? "The first " : "";
  const rest = isComplete ? "" : wanted === "" ? "; not all queues could be compared" : "; there may be more";
  const moment = pages > CHEAP_PAGES ? `, as of ${clock(Date.now())}` : "";
  return `${first}${count(number)} ${which}${rest}${moment}`;
}

/**
 * @param {Order} by
 * @param {string} wanted
 */
function emptyOf(by, wanted) {
  if (wanted !== "") return `No queue has ${wanted} in its id.`;
  return by === "dead" ? "No queue has dead letters." : "No queue has a job.";
}
