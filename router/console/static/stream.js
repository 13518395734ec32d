// Reads the server's event stream: one connection for the whole tab, shared by all who watch, with reconnects that
// are said.

import { ApiError, send } from "./api.js";

/**
 * @typedef {Record<string, string>} Query of GET /console/stream: nothing, `queue_type`, or it and `queue_id`
 * @typedef {object} State
 * @property {"connecting" | "live" | "waiting" | "asleep"} state
 * @property {number | null} retryAt when the next try comes, ms since the epoch
 * @property {string | null} message why the stream is not live
 * @property {number} [status] of the answer that refused the stream
 * @typedef {(name: string, data: any) => void} Listener gets each event of the server by its name, and `state` of this
 *     module with a State
 */

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;

/** A stream that says nothing for this long is broken: the server sends an event or a comment more often. */
const SILENCE_MS = 20_000;

/** A tab that nobody sees for this long stops asking. */
const SLEEP_AFTER_MS = 60_000;

/** @type {{query: Query, listener: Listener}[]} */
const watchers = [];

/** @type {State} */
let state = { state: "connecting", retryAt: null, message: null };

/** @type {any} */
let lastSnapshot = null;

/** @type {AbortController | null} */
let connection = null;

/**
 * Watch the stream. The listener is called at once with the present state and the last snapshot, if there is one.
 * The queries of all watchers share one connection: that of the latest one that names a type holds.
 *
 * @param {Query} query
 * @param {Listener} listener
 * @returns {() => void} stops watching
 */
export function watch(query, listener) {
  const watcher = { query, listener };
  watchers.push(watcher);
  listener("state", state);
  if (lastSnapshot !== null) listener("snapshot", lastSnapshot);
  connectAnew();
  return () => {
    watchers.splice(watchers.indexOf(watcher), 1);
    connectAnew();
  };
}

/** Open the connection again, with another token or after the tab slept. */
export function restart() {
  lastSnapshot = null;
  openKey = null;
  connectAnew();
}

/** The query of the open connection as text; null: none is open. @type {string | null} */
let openKey = null;
let isChangePending = false;

/** Bring the connection in line with the watchers, after all changes of this moment. */
function connectAnew() {
  if (isChangePending) return;
  isChangePending = true;
  queueMicrotask(() => {
    isChangePending = false;
    const wanted = watchers.length === 0 ? null : new URLSearchParams(presentQuery()).toString();
    if (wanted === openKey) return;
    connection?.abort();
    openKey = wanted;
    connection = wanted === null ? null : new AbortController();
    if (connection !== null) void keepOpen(presentQuery(), connection.signal);
  });
}

/** @returns {Query} */
function presentQuery() {
  return watchers.findLast((watcher) => "queue_type" in watcher.query)?.query ?? {};
}

/**
 * Hold one connection open until the signal aborts.
 *
 * @param {Query} query
 * @param {AbortSignal} signal
 */
async function keepOpen(query, signal) {
  let retryMs = FIRST_RETRY_MS;
  while (!signal.aborted) {
    tell({ state: "connecting", retryAt: null, message: null });
    let message = "the stream ended";
    /** @type {number | undefined} */
    let status;
    try {
      await readOnce(query, signal, () => {
        retryMs = FIRST_RETRY_MS;
      });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Error)) throw error;
      message = error.message;
      if (error instanceof ApiError && error.status > 0) status = error.status;
    }
    if (signal.aborted) return;
    // Some chance, so that the tabs of a whole office do not return to a restarted router at one moment.
    const waitMs = retryMs * (0.75 + Math.random() / 2);
    tell({
      state: "waiting",
      retryAt: Date.now() + waitMs,
      message,
      ...(status === undefined ? {} : { status }),
    });
    await pause(waitMs, signal);
    retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
  }
}

/**
 * @param {Query} query
 * @param {AbortSignal} signal
 * @param {() => void} onFirst called when the server has sent something
 */
async function readOnce(query, signal, onFirst) {
  const silence = new AbortController();
  const either = AbortSignal.any([signal, silence.signal]);
  const response = await send("GET", "/console/stream", { query, signal: either });
  if (!response.ok || response.body === null) throw await refusal(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const { value, done } = await reader.read();
      if (done) return;
      onFirst();
      const blocks = (text + value).replaceAll("\r\n", "\n").split("\n\n");
      text = blocks.pop() ?? "";
      blocks.forEach(deliver);
    } catch (error) {
      if (silence.signal.aborted && !signal.aborted)
        throw new ApiError(0, "silent", "the stream is silent", null);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
async function refusal(response) {
  const requestId = response.headers.get("X-Request-Id");
  const answer = (await response.text()).slice(0, 2000);
  const message =
    /"message":\s*"((?:[^"\\]|\\.)*)"/.exec(answer)?.[1] ?? `the server answered ${response.status}`;
  return new ApiError(response.status, "refused", message, requestId);
}

/**
 * Hand one event to the watchers.
 *
 * @param {string} block the lines of the event
 */
function deliver(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  if (data.length === 0) return;
  const value = JSON.parse(data.join("\n"));
  if (name === "snapshot") lastSnapshot = value;
  if (state.state !== "live") tell({ state: "live", retryAt: null, message: null });
  for (const watcher of [...watchers]) watcher.listener(name, value);
}

/** @param {State} next */
function tell(next) {
  state = next;
  for (const watcher of [...watchers]) watcher.listener("state", next);
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let sleepTimer;

document.addEventListener("visibilitychange", () => {
  clearTimeout(sleepTimer);
  if (document.hidden) {
    sleepTimer = setTimeout(() => {
      connection?.abort();
      connection = null;
      tell({ state: "asleep", retryAt: null, message: null });
    }, SLEEP_AFTER_MS);
  } else if (state.state === "asleep") {
    openKey = null;
    connectAnew();
  }
});
