// Shows the queues of a type, one for each customer: by backlog, age or failures, or those whose ids begin with a text.

import { call, path } from "../api.js";
import { h, replace, setText } from "../dom.js";
import { count } from "../format.js";
import { repeat } from "../repeat.js";
import { go, href } from "../routes.js";
import { customerTable } from "../widgets/customer_table.js";
import { heading, typeTabs } from "../widgets/heading.js";
import { textOf } from "../widgets/notices.js";

/** The page never has more rows, however many queues there are. */
const MOST_ROWS = 100;
const REFRESH_MS = 5000;
const TYPING_MS = 250;

const ORDERS = [
  { by: "depth", label: "Backlog" },
  { by: "age", label: "Age" },
  { by: "failures", label: "Failures" },
];

/**
 * Show the customers of a type until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} parameters `queue_type`, and perhaps `by` and `q`
 * @param {{signal: AbortSignal}} context
 */
export async function show(root, parameters, { signal }) {
  const queueType = parameters["queue_type"] ?? "";
  let by = ORDERS.some((order) => order.by === parameters["by"]) ? (parameters["by"] ?? "depth") : "depth";
  const note = h("p", { class: "faint", role: "status" }, "Reading");
  const problem = h("p", { class: "failure" });
  const list = customerTable(queueType, `Customers of ${queueType}`);
  const search = h("input", {
    id: "customer-search",
    type: "search",
    value: parameters["q"] ?? "",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "Part of the id",
    oninput: () => {
      clearTimeout(typing);
      typing = setTimeout(changed, TYPING_MS);
    },
  });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let typing;
  const segments = ORDERS.map((order) => ({
    order,
    button: h(
      "button",
      { type: "button", "aria-pressed": String(order.by === by), onclick: () => choose(order.by) },
      order.label,
    ),
  }));
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
      h("div", { class: "field grow" }, h("label", { for: "customer-search" }, "Search"), search),
      h(
        "div",
        { class: "field" },
        h("span", { class: "label", id: "order-label" }, "First"),
        h(
          "div",
          { class: "segments", role: "group", "aria-labelledby": "order-label" },
          segments.map(({ button }) => button),
        ),
      ),
      note,
    ),
    problem,
    h("section", { class: "card", "aria-label": "Customers" }, list.node),
  );

  /** @param {string} next */
  function choose(next) {
    by = next;
    for (const { order, button } of segments) button.setAttribute("aria-pressed", String(order.by === by));
    changed();
  }

  function changed() {
    go(href("customers", [queueType], { by: by === "depth" ? "" : by, q: search.value.trim() }), {
      isSilent: true,
    });
    reading.again();
  }

  async function read() {
    const wanted = search.value.trim();
    const query = { by, limit: MOST_ROWS, q: wanted };
    const answer = await call("GET", path("queues", queueType), { query, signal });
    /** @type {import("../widgets/customer_table.js").Customer[]} */
    const rows = answer.queues.slice(0, MOST_ROWS);
    list.update(rows);
    setText(note, noteOf(rows.length, answer.complete, wanted));
    replace(problem);
  }

  const reading = repeat(read, {
    everyMs: REFRESH_MS,
    signal,
    onError: (error) => replace(problem, textOf(error)),
  });
}

/**
 * @param {number} shown
 * @param {boolean} isComplete
 * @param {string} wanted
 */
function noteOf(shown, isComplete, wanted) {
  const which = wanted === "" ? "queues" : `queues that match ${wanted}`;
  const all = shown < MOST_ROWS ? `${count(shown)} ${which}` : `The first ${count(shown)} ${which}`;
  return isComplete ? all : `${all}; there were too many to look at all`;
}
