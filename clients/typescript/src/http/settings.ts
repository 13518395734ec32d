/** Reads a client's settings from its options and from the environment, and validates them. */
import { readFileSync } from "node:fs";

/** The URL of a client that names none: that of a server that was started without a configuration. */
const DEFAULT_URL = "http://127.0.0.1:8080";

/** The longest timeout of one try: a day. */
const MAX_TIMEOUT_MS = 24 * 3600 * 1_000;

/** The options of a client. All have defaults. */
export interface ClientOptions {
  /**
   * `http://host:port`, optionally with a path prefix; or the URLs of several routers of one cluster. The client then
   * uses the first one until it refuses a connection, and switches to the next one at once. The default is the
   * variable `SHARQ_URL` (several URLs with spaces between them), or `http://127.0.0.1:8080`.
   */
  readonly url?: string | readonly string[] | undefined;
  /** The bearer token. The default is the variable `SHARQ_TOKEN`, if that is set and not empty. */
  readonly token?: string | undefined;
  /** The timeout of one try in milliseconds, over 0 and up to a day; 10,000 by default. The wait of a long poll is added to it. */
  readonly timeoutMs?: number | undefined;
  /** The number of retries of a call, 0 for none; 2 by default. The pauses double from 1 s on. */
  readonly retries?: number | undefined;
  /**
   * The certificates to trust instead of Node's own: a file with them in PEM, or the PEM itself, as text that begins
   * with `-----BEGIN` or as bytes.
   */
  readonly ca?: string | Uint8Array | undefined;
}

/** The validated settings of a client. */
export interface ClientSettings {
  /** The base URLs, one or more, without a slash at the end. */
  readonly bases: readonly string[];
  readonly token: string | null;
  readonly timeoutMs: number;
  readonly retries: number;
  /** The certificates to trust, in PEM; null for Node's own. */
  readonly ca: string | Uint8Array | null;
}

/**
 * Return the settings of a client from its options, and from the environment if an option is absent.
 *
 * @throws TypeError or RangeError: a URL, the token, the timeout or the retries are not valid.
 * @throws Error: the file of certificates cannot be read, or holds none.
 */
export function settingsOf(options: ClientOptions): ClientSettings {
  const { url, token, timeoutMs = 10_000, retries = 2, ca } = options;
  if (!(timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS)) {
    throw new RangeError(`timeoutMs: expected more than 0 and at most a day, got ${timeoutMs}`);
  }
  if (!Number.isInteger(retries) || retries < 0) {
    throw new RangeError(`retries: expected an integer of 0 or more, got ${retries}`);
  }
  return {
    bases: basesOf(url ?? defaultUrls()),
    token: checkedToken(token || process.env["SHARQ_TOKEN"] || null),
    timeoutMs,
    retries,
    ca: ca === undefined ? null : certificatesOf(ca),
  };
}

function defaultUrls(): readonly string[] {
  const urls = (process.env["SHARQ_URL"] ?? "").split(/\s+/).filter(Boolean);
  return urls.length ? urls : [DEFAULT_URL];
}

function basesOf(url: string | readonly string[]): readonly string[] {
  const urls = typeof url === "string" ? [url] : [...url];
  if (!urls.length) throw new TypeError("url: expected at least one");
  return urls.map((each) => {
    if (each.includes("@")) {
      // Not shown: it may hold a password.
      throw new TypeError(
        "url: expected no user and no password in it; a token is given as `token`, or in SHARQ_TOKEN",
      );
    }
    if (!isBase(each)) {
      throw new TypeError(`url: expected http://host:port or https://host:port, got ${JSON.stringify(each)}`);
    }
    return each.replace(/\/+$/, "");
  });
}

function isBase(url: string): boolean {
  let parts: URL;
  try {
    parts = new URL(url);
  } catch {
    return false;
  }
  return ["http:", "https:"].includes(parts.protocol) && parts.port !== "0" && !parts.search && !parts.hash;
}

/** Return a token that fits into a header. The message for any other does not show it, because it is a secret. */
function checkedToken(token: string | null): string | null {
  if (token !== null && !/^[!-~]+$/.test(token)) {
    throw new TypeError(
      "token: expected visible ASCII characters; one that was read from a file may end with a newline",
    );
  }
  return token;
}

function certificatesOf(ca: string | Uint8Array): string | Uint8Array {
  const isFile = typeof ca === "string" && !ca.trimStart().startsWith("-----BEGIN");
  const text = isFile ? readFileSync(ca, "utf8") : Buffer.from(ca).toString();
  if (!text.includes("-----BEGIN CERTIFICATE-----")) {
    throw new Error(`ca: no certificate in PEM${isFile ? ` in ${JSON.stringify(ca)}` : ""}`);
  }
  return text;
}
