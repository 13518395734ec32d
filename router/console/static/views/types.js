// Shows the types with their numbers, what holds each back, and the share of its caps in use.

import { h, replace, setText } from "../dom.js";
import { amount, count } from "../format.js";
import { byTrouble } from "../health.js";
import { go, href } from "../routes.js";
import { watch } from "../stream.js";
import { heading } from "../widgets/heading.js";
import { typeTable } from "../widgets/type_table.js";

/** @typedef {import("../snapshot.js").Snapshot} Snapshot */

const MOST_ROWS = 100;

/**
 * Show the types until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} parameters `q`: a part of the names
 * @param {{signal: AbortSignal}} context
 */
export async function show(root, parameters, { signal }) {
  const list = typeTable("Types");
  const note = h("p", { class: "faint", role: "status" });
  const other = h("p", { class: "soft" });
  const search = h("input", {
    id: "type-search",
    type: "search",
    value: parameters["q"] ?? "",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "Part of a name",
    oninput: () => {
      go(href("types", [], { q: search.value }), { isSilent: true });
      draw();
    },
  });
  /** @type {Snapshot | null} */
  let snapshot = null;

  function draw() {
    if (snapshot === null) return;
    const wanted = search.value.trim().toLowerCase();
    const found = byTrouble(snapshot.types).filter(({ queue_type }) =>
      queue_type.toLowerCase().includes(wanted),
    );
    const shown = found.slice(0, MOST_ROWS);
    list.update(shown);
    setText(note, noteOf(snapshot, found.length, shown.length));
    // Beyond the busiest types, the page knows no names: one that is typed in full opens all the same.
    const name = search.value.trim();
    const isKnown = found.some(({ queue_type }) => queue_type === name);
    if (name === "" || isKnown || snapshot.types_total <= snapshot.types.length) replace(other);
    else replace(other, "Not among the busiest: ", h("a", { href: href("type", [name]) }, `open ${name}`));
  }

  replace(
    root,
    heading({ title: "Types" }),
    h(
      "div",
      { class: "toolbar" },
      h("div", { class: "field grow" }, h("label", { for: "type-search" }, "Search"), search),
      note,
    ),
    other,
    h("section", { class: "card", "aria-label": "Types" }, list.node),
  );
  const stop = watch({}, (name, data) => {
    if (name !== "snapshot") return;
    snapshot = data;
    draw();
  });
  signal.addEventListener("abort", stop, { once: true });
}

/**
 * @param {Snapshot} snapshot
 * @param {number} found
 * @param {number} shown
 */
function noteOf({ types, types_total }, found, shown) {
  const total = amount(types_total, "type");
  if (types_total > types.length)
    return `${count(shown)} of the ${count(types.length)} busiest of ${total}, by trouble`;
  return shown === types_total ? `${total}, by trouble` : `${count(found)} of ${total}, by trouble`;
}
