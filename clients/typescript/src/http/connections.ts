/**
 * Sends one HTTP request over a kept connection, with Node's own HTTP client.
 *
 * That one tells whether a connection was made before something failed, which decides if a call was perhaps done; it
 * takes certificates of an authority of one's own, and it repeats nothing by itself.
 */
import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import * as tls from "node:tls";
import { codeOf, noHttp, notAnswered, notConnected, notReadable } from "./failures.js";

/**
 * The time after which an idle connection is closed. It is shorter than that of servers and load balancers, so that
 * they do not close a connection while a request is on its way.
 */
const IDLE_MS = 15_000;

/** The longest look whether a server speaks TLS. */
const MAX_LOOK_MS = 1_000;

/** The longest head of an answer. The server's are short; a proxy may add long headers. */
const MAX_HEAD_BYTES = 65_536;

/** The codes of Node's parser for a first line that no server of HTTP sends. */
const NO_HTTP = new Set(["HPE_INVALID_CONSTANT", "HPE_INVALID_VERSION", "HPE_INVALID_STATUS"]);

/** The longest timer of Node; one that is longer would end at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A request to send once. */
export interface Exchange {
  readonly method: string;
  /** The whole URL, percent-encoded. */
  readonly url: string;
  /** JSON text; null for no body. */
  readonly body: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Ends the request early. */
  readonly signal?: AbortSignal | undefined;
}

/** An answer, of success or not. */
export interface Answer {
  readonly status: number;
  readonly content: string;
  /** The header Retry-After. */
  readonly retryAfter: string | undefined;
}

/** The kept connections of a client. Their number has no limit, since a long poll must not block a finish. */
export class Connections {
  readonly #ca: string | Uint8Array | null;
  readonly #answered = new Set<string>();
  #plain: http.Agent | null = null;
  #secure: https.Agent | null = null;

  /**
   * Configure the connections. This opens nothing yet.
   *
   * @param ca - the certificates to trust, in PEM; null for Node's own.
   */
  constructor(ca: string | Uint8Array | null) {
    this.#ca = ca;
  }

  /**
   * Send one request once, and return the answer.
   *
   * @throws Unavailable, UnknownHost, UntrustedCertificate, WrongUrl: nothing was done.
   * @throws OutcomeUnknown: the request was sent and no valid answer came. It was perhaps done.
   * @throws the reason of the signal: the request was ended, and was perhaps done.
   */
  async exchange(request: Exchange): Promise<Answer> {
    const { origin } = new URL(request.url);
    const attempt = new Attempt(request, this.#agentFor(request.url));
    try {
      const answer = await attempt.answer;
      this.#answered.add(origin);
      return answer;
    } catch (error) {
      if (request.signal?.aborted && error === request.signal.reason) throw error;
      throw await this.#toError(error as Error, origin, attempt.isConnected, request.connectTimeoutMs);
    }
  }

  /** Close the connections, also those of calls in flight. A later call opens new ones. */
  close(): void {
    this.#plain?.destroy();
    this.#secure?.destroy();
    this.#plain = this.#secure = null;
  }

  #agentFor(url: string): http.Agent {
    const options = { keepAlive: true, timeout: IDLE_MS };
    if (url.startsWith("https:")) {
      const ca = this.#ca === null ? {} : { ca: Buffer.from(this.#ca) };
      return (this.#secure ??= new https.Agent({ ...options, ...ca }));
    }
    return (this.#plain ??= new http.Agent(options));
  }

  async #toError(fault: Error, origin: string, isConnected: boolean, connectTimeoutMs: number) {
    if (!isConnected) return notConnected(origin, fault);
    if (!this.#answered.has(origin) && origin.startsWith("http:")) {
      // A server that expects TLS answers an HTTP request with a TLS alert, or closes the connection.
      const isNoHttp = NO_HTTP.has(codeOf(fault));
      const isSilent = codeOf(fault) === "ECONNRESET";
      if ((isNoHttp || isSilent) && (await speaksTls(origin, connectTimeoutMs))) return noHttp(origin, true);
      if (isNoHttp) return noHttp(origin, false);
    }
    return codeOf(fault).startsWith("HPE_") ? notReadable(origin, fault) : notAnswered(origin, fault);
  }
}

/** One request on its way, with its deadlines. */
class Attempt {
  /** True once a connection was made, so that the request was perhaps sent. */
  isConnected = false;
  readonly answer: Promise<Answer>;

  constructor(request: Exchange, agent: http.Agent) {
    this.answer = new Promise((resolve, reject) => {
      const { method, url, body, headers, signal } = request;
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const send = url.startsWith("https:") ? https.request : http.request;
      const length = { "Content-Length": String(body === null ? 0 : Buffer.byteLength(body)) };
      const kind = body === null ? {} : { "Content-Type": "application/json" };
      const sent = send(url, {
        method,
        agent,
        headers: { ...headers, ...kind, ...length },
        maxHeaderSize: MAX_HEAD_BYTES,
      });

      const settle = () => {
        clearTimeout(deadline);
        clearTimeout(connectDeadline);
        signal?.removeEventListener("abort", abort);
      };
      const fail = (error: Error) => {
        settle();
        reject(error);
      };
      // The promise fails first: once an answer has begun, Node would report another error for its end.
      const end = (error: Error) => {
        fail(error);
        sent.destroy(error);
      };
      const endAfter = (ms: number) => end(new Error(`timeout after ${ms} ms`));
      const abort = () => end(signal?.reason as Error);
      const deadline = setTimeout(endAfter, Math.min(request.timeoutMs, MAX_TIMER_MS), request.timeoutMs);
      const connectDeadline = setTimeout(endAfter, request.connectTimeoutMs, request.connectTimeoutMs);
      signal?.addEventListener("abort", abort, { once: true });

      sent.on("socket", (socket) => {
        this.#noteConnection(socket, sent.reusedSocket, () => clearTimeout(connectDeadline));
      });
      sent.on("response", (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", fail);
        response.on("end", () => {
          settle();
          resolve({
            status: response.statusCode ?? 0,
            content: Buffer.concat(chunks).toString(),
            retryAfter: response.headers["retry-after"],
          });
        });
      });
      sent.on("error", fail);
      sent.end(body ?? undefined);
    });
  }

  #noteConnection(socket: Socket, isReused: boolean, onConnected: () => void): void {
    const note = () => {
      this.isConnected = true;
      onConnected();
    };
    if (isReused || !socket.connecting) note();
    else socket.once(socket instanceof tls.TLSSocket ? "secureConnect" : "connect", note);
  }
}

/** Return true if the server at an http:// origin speaks TLS. Nothing is sent but the handshake. */
function speaksTls(origin: string, timeoutMs: number): Promise<boolean> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve) => {
    const socket = tls.connect({
      host: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port || 80),
      rejectUnauthorized: false,
    });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(Math.min(timeoutMs, MAX_LOOK_MS), () => end(false));
    socket.once("secureConnect", () => end(true));
    socket.once("error", () => end(false));
  });
}
