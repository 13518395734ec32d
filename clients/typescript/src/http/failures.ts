/**
 * Turns failures on the wire into the errors of errors.ts, and decides on retries.
 *
 * The rule of retries uses two facts of an error: `retryAfterMs` (a retry can help) and `perhapsDone`.
 */
import {
  errorFromCode,
  OutcomeUnknown,
  NotFound,
  SharqError,
  Unauthorized,
  Unavailable,
  UnknownHost,
  UntrustedCertificate,
  WrongUrl,
} from "../errors.js";
import type { Failure } from "../shapes.js";
import type { Answer } from "./connections.js";

/** The error code for a status without the API's JSON, as a proxy sends it. */
const CODE_OF_STATUS: Partial<Record<number, string>> = {
  401: "unauthorized",
  403: "forbidden",
  408: "too_slow",
  413: "too_large",
  415: "unsupported_encoding",
  429: "overloaded",
  503: "unavailable",
};

/** Statuses that say that the request itself does not suit, from a server whose failures are not those of the API. */
const OF_OTHER_SERVERS = new Set([400, 404, 405, 410, 411, 501]);

const OTHER_HOST = "the server's certificate is for another host: use a name that is in the certificate";
const UNKNOWN_AUTHORITY =
  "the server's certificate is signed by an authority that is not trusted: pass its file as ca";
/** The advice for the codes with which Node refuses a certificate. */
const CERTIFICATE_ADVICE: Partial<Record<string, string>> = {
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet: check the clocks",
  CERT_HAS_EXPIRED: "the server's certificate has expired: renew it",
  ERR_TLS_CERT_ALTNAME_INVALID: OTHER_HOST,
  HOSTNAME_MISMATCH: OTHER_HOST,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  CERT_UNTRUSTED: UNKNOWN_AUTHORITY,
};

/** OpenSSL's reasons for a handshake in which the other side sent something else than TLS. */
const WITHOUT_TLS = /wrong.version.number|packet.length.too.long|record.layer.failure/i;

/** The longest pause before a retry that a server's Retry-After can cause. */
const MAX_RETRY_AFTER_MS = 60_000;

/** The error of a dequeue that found no ready job (404 without a code). Nothing was done. */
export class NothingReady extends NotFound {}

/** Return the error for a failure of the API, or for one result of a bulk call. */
export function toError(failure: Failure, retryAfterMs?: number): SharqError {
  const { code, message, current_queue_length: queueLength } = failure;
  return errorFromCode(code, message, queueLength, retryAfterMs);
}

/**
 * Return the error for an answer that is no success, from the server or a proxy.
 *
 * @param url - the URL of the request, for the message.
 */
export function fromAnswer({ status, content, retryAfter }: Answer, url: string): SharqError {
  if (status < 400) {
    return new WrongUrl(`${url} leads to another place (status ${status}): use the URL of that place`);
  }
  const failure = failureIn(content);
  const retryAfterMs = msOf(retryAfter);
  if (failure === null) return ofOtherServer(status, url, retryAfterMs);
  if (status === 404 && !failure.code) return new NothingReady("nothing is ready");
  if (failure.message === "no such path") {
    return new WrongUrl(
      `the server has no ${url}: leave away the path in the URL of the client, or upgrade the server`,
    );
  }
  if (failure.code === "unauthorized") {
    return new Unauthorized(`${failure.message} (pass token, or set the variable SHARQ_TOKEN)`);
  }
  return toError(failure, retryAfterMs);
}

function failureIn(content: string): Failure | null {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return null; // a web page of a proxy, or nothing: its status says the rest
  }
  if (typeof value !== "object" || value === null || !("status" in value) || value.status !== "failure") {
    return null;
  }
  return { code: "", message: "", ...value } as Failure;
}

function ofOtherServer(status: number, url: string, retryAfterMs: number | undefined): SharqError {
  if (OF_OTHER_SERVERS.has(status)) {
    return new WrongUrl(`${url} was answered ${status}, but not by a SHARQ server: check the URL`);
  }
  const unknown = status < 500 ? "invalid_request" : "outcome_unknown";
  const code = CODE_OF_STATUS[status] ?? unknown;
  return errorFromCode(code, `answered ${status} without a reason`, 0, retryAfterMs);
}

/** Return the milliseconds of a Retry-After in seconds, at most a minute; undefined if there is none. */
function msOf(retryAfter: string | undefined): number | undefined {
  const seconds = retryAfter === undefined ? NaN : Number(retryAfter);
  return seconds > 0 ? Math.min(seconds * 1_000, MAX_RETRY_AFTER_MS) : undefined;
}

/** Return the error for an answer of success whose content is not what the API answers. */
export function fromContent({ status, content }: Answer, url: string, fault: unknown): SharqError {
  if (content.trimStart().startsWith("<")) {
    return new WrongUrl(`${url} was answered with a web page, not by a SHARQ server: check the URL`);
  }
  return new OutcomeUnknown(`answered ${status} with an invalid body (${reasonOf(fault)})`, { cause: fault });
}

/**
 * Return the error for a connection that was not made. Nothing was done.
 *
 * @param fault - the error of the socket.
 */
export function notConnected(origin: string, fault: Error): SharqError {
  const code = codeOf(fault);
  const options = { cause: fault };
  if (code === "ENOTFOUND") {
    const host = new URL(origin).hostname;
    return new UnknownHost(`${origin}: there is no host ${host}: check the URL`, options);
  }
  const advice = CERTIFICATE_ADVICE[code];
  if (advice !== undefined) return new UntrustedCertificate(`${origin}: ${advice} (${code})`, options);
  if (WITHOUT_TLS.test(`${code} ${fault.message}`)) {
    return new WrongUrl(
      `${origin}: the server does not speak TLS: write http:// instead of https://`,
      options,
    );
  }
  if (code === "ECONNREFUSED") {
    return new Unavailable(
      `${origin}: nothing listens there: is the server running? (connection refused)`,
      options,
    );
  }
  return new Unavailable(`${origin}: no connection was made (${reasonOf(fault)})`, options);
}

/** Return the error for a request that was sent, or was perhaps sent, without an answer. */
export function notAnswered(origin: string, fault: Error): OutcomeUnknown {
  return new OutcomeUnknown(`${origin}: sent, and no answer came (${reasonOf(fault)})`, { cause: fault });
}

/** Return the error for an answer whose head or framing cannot be read. The request was perhaps carried out. */
export function notReadable(origin: string, fault: Error): OutcomeUnknown {
  return new OutcomeUnknown(`${origin}: answered, but the answer is not valid HTTP (${reasonOf(fault)})`, {
    cause: fault,
  });
}

/** Return the error for a server that does not speak HTTP without TLS there. Nothing was done. */
export function noHttp(origin: string, speaksTls: boolean): WrongUrl {
  return speaksTls
    ? new WrongUrl(`${origin}: the server speaks TLS: write https:// instead of http://`)
    : new WrongUrl(`${origin}: what listens there does not speak HTTP: check the URL`);
}

/** Return the code of an error of Node, such as ECONNREFUSED; empty if it has none. */
export function codeOf(fault: unknown): string {
  const code = typeof fault === "object" && fault !== null && "code" in fault ? fault.code : "";
  return typeof code === "string" ? code : "";
}

function reasonOf(fault: unknown): string {
  return fault instanceof Error ? fault.message || codeOf(fault) || fault.name : String(fault);
}

/**
 * Return true if a retry can help and is safe: the call is idempotent, or was certainly not done.
 *
 * A host that is not known is most often a mistake in the URL, so that is thrown at once.
 */
export function mayRepeat(error: SharqError, isSafeTwice: boolean): boolean {
  if (error.code === "unknown_host") return false;
  return error.retryAfterMs !== null && (isSafeTwice || !error.perhapsDone);
}

/**
 * Return the pause in milliseconds after `tries` (1 or more) failed tries. It doubles from Retry-After to 8 times that.
 *
 * A random factor from 1.0 to 1.5 keeps clients that failed together from retrying together.
 */
export function pauseMs(error: SharqError, tries: number): number {
  return (error.retryAfterMs ?? 1_000) * Math.min(2 ** (tries - 1), 8) * (1 + Math.random() / 2);
}
