// Draws the head of a view: where it stands, its name, and what can be done there.

import { h } from "../dom.js";
import { href } from "../routes.js";

/**
 * Make the head of a view.
 *
 * @param {object} options
 * @param {import("../dom.js").Child} options.title
 * @param {{label: string, href: string}[]} [options.crumbs] the views above it
 * @param {import("../dom.js").Child} [options.note] beside the title, such as a state
 * @param {import("../dom.js").Child} [options.actions] buttons
 * @returns {HTMLElement}
 */
export function heading({ title, crumbs = [], note, actions }) {
  return h(
    "header",
    { class: "view-head" },
    h(
      "div",
      null,
      crumbs.length > 0 &&
        h(
          "nav",
          { "aria-label": "Above this page" },
          h(
            "ol",
            { class: "crumbs" },
            crumbs.map((crumb) => h("li", null, h("a", { href: crumb.href }, crumb.label))),
          ),
        ),
      h("div", { class: "title" }, h("h1", null, title), note),
    ),
    actions ? h("div", { class: "actions" }, actions) : null,
  );
}

/**
 * Make the links between the views of one type.
 *
 * @param {string} queueType
 * @param {"type" | "customers" | "dead" | "schedules"} present
 * @returns {HTMLElement}
 */
export function typeTabs(queueType, present) {
  const tabs = [
    ["type", "Type"],
    ["customers", "Customers"],
    ["dead", "Dead letters"],
    ["schedules", "Schedules"],
  ];
  const items = tabs.map(([view = "", label]) =>
    h(
      "li",
      null,
      h("a", { href: href(view, [queueType]), "aria-current": view === present ? "page" : null }, label),
    ),
  );
  return h("nav", { "aria-label": `Views of ${queueType}` }, h("ul", { class: "tabs" }, items));
}

/**
 * Make a titled panel.
 *
 * @param {string} title
 * @param {{aside?: import("../dom.js").Child, isFlush?: boolean}} options `isFlush`: the content brings its own margin
 * @param {...import("../dom.js").Child} children
 * @returns {HTMLElement}
 */
export function panel(title, { aside, isFlush = false }, ...children) {
  return h(
    "section",
    { class: "card", "aria-label": title },
    h("div", { class: "card-head" }, h("h2", null, title), aside),
    h("div", { class: isFlush ? "card-flush" : "card-body" }, ...children),
  );
}
