// Starts the page: signs in if the server wants a token, and shows the view that the address names.

import { ApiError } from "./api.js";
import { h, replace } from "./dom.js";
import { revealPresent, showCaller, showLive, showMenu } from "./frame.js";
import { parse } from "./routes.js";
import { hasToken, signOut, whoami, whyNot } from "./session.js";
import { restart, watch } from "./stream.js";
import { textOf } from "./widgets/notices.js";

/**
 * @typedef {(root: HTMLElement, parameters: Record<string, string>, context: {signal: AbortSignal}) => Promise<void>} Show
 */

const TITLES = /** @type {Record<string, (parameters: Record<string, string>) => string>} */ ({
  overview: () => "Overview",
  types: () => "Types",
  type: ({ queue_type }) => queue_type ?? "",
  customers: ({ queue_type }) => `Customers of ${queue_type}`,
  queue: ({ queue_type, queue_id }) => `${queue_id} of ${queue_type}`,
  dead: ({ queue_type }) => `Dead letters of ${queue_type}`,
  windows: () => "Windows",
  caps: () => "Caps",
  schedules: ({ queue_type }) => `Schedules of ${queue_type}`,
  ring: () => "Cluster",
});

const root = /** @type {HTMLElement} */ (document.getElementById("view"));

/** Ends the view that is shown. */
let leaving = new AbortController();

/** Show the view of the present address. */
async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const place = parse(location.hash);
  showMenu(place?.view ?? "");
  const title = place === null ? "No such page" : (TITLES[place.view]?.(place.parameters) ?? place.view);
  document.title = `${title} · SHARQ`;
  if (place === null) {
    replace(
      root,
      h(
        "div",
        { class: "lone" },
        h("h1", null, title),
        h("p", null, "The address names no view."),
        overviewLink(),
      ),
    );
    return;
  }
  const stage = h("div", { class: `view view-${place.view}` });
  replace(root, stage);
  try {
    /** @type {{show: Show}} */
    const view = await import(`./views/${place.view}.js`);
    if (signal.aborted) return;
    const isDrawn = view.show(stage, place.parameters, { signal });
    revealPresent();
    await isDrawn;
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof ApiError && error.status === 401) askForToken(error.message);
    else showFailure(stage, title, error);
    if (error instanceof ApiError && error.status === 403) void checkRights();
  }
}

/**
 * @param {HTMLElement} stage
 * @param {string} title
 * @param {unknown} error
 */
function showFailure(stage, title, error) {
  console.error(error);
  const again = h(
    "button",
    { type: "button", class: "primary", onclick: () => void (stopWatching === null ? start() : show()) },
    "Try again",
  );
  replace(
    stage,
    h(
      "div",
      { class: "lone", role: "alert" },
      h("h1", null, title),
      h("p", null, textOf(error)),
      h("p", null, again),
    ),
  );
}

function overviewLink() {
  return h("p", null, h("a", { href: "#/overview" }, "Go to the overview"));
}

/** Ends the frame's watch of the stream; null while nobody is signed in. @type {(() => void) | null} */
let stopWatching = null;

/**
 * Show the form that asks for a token, and nothing else until one is known.
 *
 * @param {string} reason why the last token was refused, or ""
 */
function askForToken(reason) {
  leaving.abort();
  stopWatching?.();
  stopWatching = null;
  showCaller(null);
  void import("./views/signin.js").then(({ askForToken: ask }) => ask(root, reason, start));
}

/** Ask for another token if the present one may not read any more. */
async function checkRights() {
  try {
    await whoami();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) askForToken(error.message);
    return;
  }
  askIfUnread();
}

/** Ask for another token if the caller may not read. Return true if so. */
function askIfUnread() {
  const lack = whyNot("read");
  if (lack === null) return false;
  signOut();
  askForToken(`${lack} The console needs it.`);
  return true;
}

/** Find out who the caller is, then show the view. */
async function start() {
  try {
    await whoami();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) askForToken(hasToken() ? error.message : "");
    else showFailure(root, "The server does not answer", error);
    return;
  }
  if (askIfUnread()) return;
  showCaller(() => {
    signOut();
    void start();
  });
  stopWatching?.();
  restart();
  stopWatching = watch({}, (name, data) => {
    if (name !== "state") return;
    showLive(data);
    if (data.status === 401) askForToken(data.message);
    if (data.status === 403) void checkRights();
  });
  await show();
}

let shownHash = location.hash;

window.addEventListener("hashchange", () => {
  if (location.hash === "#view") {
    history.replaceState(null, "", shownHash || "#/overview");
    root.focus();
    return;
  }
  shownHash = location.hash;
  // The form that asks for a token leads to the new address.
  if (stopWatching === null) return;
  window.scrollTo(0, 0);
  void show().then(() => root.focus({ preventScroll: true }));
});

void start();
