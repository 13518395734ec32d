// Knows who uses this tab: the token that was typed in, and what the server says that it may do.

import { call, storedToken, storeToken } from "./api.js";

/**
 * @typedef {"produce" | "work" | "read" | "operate" | "admin"} Word
 * @typedef {{name: string | null, ops: string[], types: string[] | null}} Caller
 */

/** @type {Caller} */
let caller = { name: null, ops: [], types: null };

/** Return the caller as of the last `whoami`. @returns {Caller} */
export function presentCaller() {
  return caller;
}

/** Tell if this tab has a token. @returns {boolean} */
export function hasToken() {
  return storedToken() !== null;
}

/**
 * Ask the server who the holder of this tab's token is.
 *
 * @param {AbortSignal} [signal]
 * @returns {Promise<Caller>}
 * @throws {import("./api.js").ApiError} `unauthorized` if the server wants a token, or another one
 */
export async function whoami(signal) {
  const answer = await call("GET", "/token/", { signal });
  caller = { name: answer.name, ops: answer.ops, types: answer.types };
  return caller;
}

/**
 * Try a token and keep it if the server knows it.
 *
 * @param {string} token
 * @throws {import("./api.js").ApiError} the token is not kept
 */
export async function signIn(token) {
  const before = storedToken();
  storeToken(token);
  try {
    await whoami();
  } catch (error) {
    storeToken(before);
    throw error;
  }
}

/** Forget the token of this tab. */
export function signOut() {
  storeToken(null);
  caller = { name: null, ops: [], types: null };
}

/**
 * Tell if the caller has a word, for a type if one is given. The server decides; this only spares useless questions.
 *
 * @param {Word} word
 * @param {string} [queueType]
 * @returns {boolean}
 */
export function may(word, queueType) {
  return whyNot(word, queueType) === null;
}

/**
 * Say why the caller may not do something, to be shown beside what is disabled.
 *
 * @param {Word} word
 * @param {string} [queueType]
 * @returns {string | null} null if the caller may do it
 */
export function whyNot(word, queueType) {
  const name = caller.name ?? "this caller";
  if (!caller.ops.includes(word) && !caller.ops.includes("admin"))
    return `The token ${name} lacks the permission ${word}.`;
  if (queueType !== undefined && !covers(caller.types, queueType)) {
    return `The token ${name} does not cover the type ${queueType}.`;
  }
  return null;
}

/**
 * Tell if one of the patterns covers a type.
 *
 * @param {string[] | null} patterns `*` stands for any text; null covers all types
 * @param {string} queueType
 * @returns {boolean}
 */
export function covers(patterns, queueType) {
  if (patterns === null) return true;
  return patterns.some((pattern) => {
    const literals = pattern.split("*").map((text) => text.replace(/[.+^$~()|[\]{}\\?]/g, "\\$&"));
    return new RegExp(`^${literals.join(".*")}$`).test(queueType);
  });
}
