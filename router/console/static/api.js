// Calls the public HTTP API of the router that served the page.

/** The address of the API: the page is at `<root>console/`, also behind a proxy that adds a prefix. */
const ROOT = new URL("../", document.baseURI);

const TOKEN = "sharq-token";

/** @typedef {string | number | boolean | null | undefined} QueryValue */

/** A failure that the server answered, or `unreachable` with status 0 if no answer came. */
export class ApiError extends Error {
  /**
   * @param {number} status the HTTP status
   * @param {string} code the code of the API, such as `not_found`
   * @param {string} message
   * @param {string | null} requestId the id that the server's log has, too
   */
  constructor(status, code, message, requestId) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }
}

/** Return the token of this tab, or null. @returns {string | null} */
export function storedToken() {
  return sessionStorage.getItem(TOKEN);
}

/**
 * Keep a token for this tab; it is gone when the tab is closed.
 *
 * @param {string | null} token null forgets it
 */
export function storeToken(token) {
  if (token === null) sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, token);
}

/**
 * Return the path of a call, with each part as one segment.
 *
 * @param {...string} parts such as "queue", "sms", "eu/acme"
 * @returns {string} such as `/queue/sms/eu%2Facme/`
 */
export function path(...parts) {
  return `/${parts.map(encodeURIComponent).join("/")}/`;
}

/**
 * Call the API and return the JSON of a success.
 *
 * @param {string} method
 * @param {string} address as of `path`
 * @param {{query?: Record<string, QueryValue>, body?: unknown, signal?: AbortSignal, parse?: (text: string) => any}}
 *     [options] of the query, values that are null, undefined or "" are left out; `parse` reads the JSON of a success
 * @returns {Promise<any>}
 * @throws {ApiError} of each other answer; `code` says if the work happened (docs/api.md, "Failures")
 */
export async function call(method, address, { query, body, signal, parse = JSON.parse } = {}) {
  const response = await send(method, address, { query, body, signal });
  const requestId = response.headers.get("X-Request-Id");
  /** @type {any} */
  let answer;
  try {
    const text = await response.text();
    answer = response.ok ? parse(text) : JSON.parse(text);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(
      response.status,
      "unreadable",
      `the answer (${response.status}) is no JSON`,
      requestId,
    );
  }
  if (!response.ok) {
    const message = answer.message ?? `the server answered ${response.status}`;
    throw new ApiError(response.status, answer.code ?? "unknown", message, requestId);
  }
  return answer;
}

/**
 * Send a request with this tab's token, and return the response as it is.
 *
 * @param {string} method
 * @param {string} address
 * @param {{query?: Record<string, QueryValue>, body?: unknown, signal?: AbortSignal}} options
 * @returns {Promise<Response>}
 */
export async function send(method, address, { query = {}, body, signal }) {
  const url = new URL(address.slice(1), ROOT);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  /** @type {Record<string, string>} */
  const headers = {};
  const token = storedToken();
  if (token !== null) headers["Authorization"] = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "the server cannot be reached", null);
  }
}
