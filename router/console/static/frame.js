// Draws what surrounds every view: the menu, if the page is live, and who uses it.

import { h, replace, setText } from "./dom.js";
import { clock } from "./format.js";
import { href } from "./routes.js";
import { hasToken, presentCaller } from "./session.js";

const MENU = [
  { view: "overview", label: "Overview", holds: ["overview"] },
  { view: "types", label: "Types", holds: ["types", "type", "customers", "queue", "dead", "schedules"] },
  { view: "caps", label: "Caps", holds: ["caps"] },
  { view: "windows", label: "Windows", holds: ["windows"] },
  { view: "ring", label: "Cluster", holds: ["ring"] },
];

/**
 * Draw the menu, with the present view marked.
 *
 * @param {string} view
 */
export function showMenu(view) {
  const items = MENU.map((item) =>
    h(
      "li",
      null,
      h(
        "a",
        { href: href(item.view), "aria-current": item.holds.includes(view) ? "page" : null },
        item.label,
      ),
    ),
  );
  replace(element("menu"), items);
}

/** Scroll each menu so far that a narrow screen shows its present entry whole. */
export function revealPresent() {
  for (const entry of document.querySelectorAll("nav [aria-current]")) {
    entry.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

/**
 * Say if the figures are live.
 *
 * @param {import("./stream.js").State} state
 */
export function showLive({ state, retryAt, message }) {
  const node = element("live");
  node.dataset["state"] = state;
  node.title = message ?? "";
  const texts = {
    connecting: "Connecting",
    live: "Live",
    waiting: `Not live, next try at ${clock(retryAt)}`,
    asleep: "Asleep while hidden",
  };
  setText(node, texts[state]);
}

/**
 * Show the name of the token in use, with the button that forgets it.
 *
 * @param {(() => void) | null} onSignOut null if nobody is signed in
 */
export function showCaller(onSignOut) {
  const node = element("caller");
  if (onSignOut === null || !hasToken()) {
    replace(node);
    return;
  }
  const { name, ops } = presentCaller();
  replace(
    node,
    h("span", { class: "caller-name", title: `May: ${ops.join(", ")}` }, name ?? "no name"),
    h("button", { type: "button", class: "quiet", onclick: onSignOut }, "Sign out"),
  );
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
