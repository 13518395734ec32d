// Draws rows of data as a table whose nodes stay: a new set of rows changes only the cells that differ.

import { assign, h, replace, setText } from "../dom.js";

/** @typedef {import("../dom.js").Child} Child */

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} name of the column, used as a class
 * @property {string} label
 * @property {(row: Row) => Child} cell a text, a node, or several
 * @property {boolean} [isNumber] right-aligned
 * @property {boolean} [isMain] the cell that names the row; the first column if none says it
 * @property {string} [title] explains the heading
 * @property {string} [order] the name of the order by this column, if the table can be ordered by it
 */

/**
 * Make a table.
 *
 * @template Row
 * @param {object} options
 * @param {Column<Row>[]} options.columns
 * @param {Row[]} [options.rows]
 * @param {(row: Row) => string} options.key names a row; equal keys keep their nodes
 * @param {string} options.caption says what the table lists; read aloud, and shown with `isCaptionShown`
 * @param {string} [options.empty] shown in place of no rows
 * @param {(row: Row) => string} [options.href] the address that a row leads to
 * @param {(row: Row) => void} [options.onOpen] called when a row is chosen that leads to no address
 * @param {{by: string, choose: (order: string) => void}} [options.order]
 * @returns {{node: HTMLElement, update: (rows: Row[]) => void, setOrder: (by: string) => void,
 *     setEmpty: (text: string) => void}}
 */
export function table({ columns, rows = [], key, caption, empty = "Nothing here.", href, onOpen, order }) {
  /** @type {Map<string, {tr: HTMLTableRowElement, cells: HTMLElement[], shown: string}>} */
  const known = new Map();
  /** The row of each cell that names one. @type {WeakMap<HTMLElement, Row>} */
  const rowOf = new WeakMap();
  const main = Math.max(
    0,
    columns.findIndex((column) => column.isMain),
  );
  const headings = columns.map((column) => heading(column, order));
  const body = h("tbody", { role: "rowgroup" });
  const nothing = h("p", { class: "empty" }, empty);
  const grid = h(
    "table",
    { role: "table", class: href || onOpen ? "opens" : null },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, headings)),
    body,
  );
  const node = h("div", { class: "table" }, grid, nothing);

  function make() {
    const cells = columns.map((column, index) =>
      h(index === main ? "th" : "td", {
        role: index === main ? "rowheader" : "cell",
        scope: index === main ? "row" : null,
        class: `${column.isNumber ? "number " : ""}cell-${column.name}`,
        "data-label": column.label,
      }),
    );
    const tr = h("tr", { role: "row" }, cells);
    return { tr, cells, shown: "" };
  }

  /**
   * Show what names the row. Its link stays, and with it the focus.
   *
   * @param {HTMLElement} cell
   * @param {Row} row
   * @param {Child} content
   */
  function fillMain(cell, row, content) {
    const link = cell.querySelector(".row-link");
    if (link !== null) fill(link, content);
    else if (href) replace(cell, h("a", { class: "row-link" }, content));
    else if (onOpen)
      replace(cell, h("button", { type: "button", class: "row-link", onclick: () => open(cell) }, content));
    else fill(cell, content);
    if (href) assign(/** @type {Element} */ (cell.firstElementChild), { href: href(row) });
  }

  /** @param {HTMLElement} cell */
  function open(cell) {
    const row = rowOf.get(cell);
    if (row !== undefined) onOpen?.(row);
  }

  /** @param {Row[]} next */
  function update(next) {
    const present = new Set();
    let before = /** @type {Element | null} */ (null);
    for (const row of next) {
      const name = key(row);
      present.add(name);
      const entry = known.get(name) ?? make();
      known.set(name, entry);
      const shown = JSON.stringify(row);
      if (entry.shown !== shown) {
        entry.shown = shown;
        rowOf.set(/** @type {HTMLElement} */ (entry.cells[main]), row);
        entry.cells.forEach((cell, index) => {
          const content = columns[index]?.cell(row);
          if (index === main) fillMain(cell, row, content);
          else fill(cell, content);
        });
      }
      // Moving a node takes the focus from it, so that a row stays where it is if its place is right.
      const place = before === null ? body.firstElementChild : before.nextElementSibling;
      if (place !== entry.tr) body.insertBefore(entry.tr, place);
      before = entry.tr;
    }
    for (const [name, entry] of known) {
      if (!present.has(name)) {
        entry.tr.remove();
        known.delete(name);
      }
    }
    grid.hidden = next.length === 0;
    nothing.hidden = next.length > 0;
  }

  /** @param {string} by */
  function setOrder(by) {
    columns.forEach((column, index) => {
      const cell = headings[index];
      if (cell && column.order) assign(cell, { "aria-sort": column.order === by ? "descending" : null });
    });
  }

  update(rows);
  return { node, update, setOrder, setEmpty: (text) => setText(nothing, text) };
}

/**
 * @template Row
 * @param {Column<Row>} column
 * @param {{by: string, choose: (order: string) => void} | undefined} order
 * @returns {HTMLElement}
 */
function heading(column, order) {
  const name = column.order;
  const label =
    name !== undefined && order !== undefined
      ? h("button", { type: "button", class: "order", onclick: () => order.choose(name) }, column.label)
      : column.label;
  return h(
    "th",
    {
      role: "columnheader",
      scope: "col",
      class: column.isNumber ? "number" : null,
      title: column.title,
      "aria-sort": name !== undefined && order?.by === name ? "descending" : null,
    },
    label,
  );
}

/**
 * Put content into a cell, unless it looks the same.
 *
 * @param {Element} cell
 * @param {Child} content
 */
function fill(cell, content) {
  if (typeof content === "string" || typeof content === "number") {
    setText(cell, content);
    return;
  }
  const next = replace(document.createDocumentFragment(), content);
  const now = [...cell.childNodes];
  // A button that looks the same may still do something else.
  const isSame =
    next.querySelector("button") === null &&
    next.childNodes.length === now.length &&
    now.every((node, index) => node.isEqualNode(next.childNodes[index] ?? null));
  if (!isSame) cell.replaceChildren(next);
}
