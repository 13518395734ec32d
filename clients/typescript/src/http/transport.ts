/** Sends one request to the first server that accepts a connection, and retries if that can help and is safe. */
import { setTimeout as sleep } from "node:timers/promises";
import { InvalidRequest, SharqError, Unavailable } from "../errors.js";
import { type Answer, Connections } from "./connections.js";
import { fromAnswer, fromContent, mayRepeat, pauseMs } from "./failures.js";
import { type Query, targetOf } from "./paths.js";
import type { ClientSettings } from "./settings.js";

/** A call of the API. */
export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  /** JSON text; absent for no body. */
  readonly body?: string | undefined;
  readonly query?: Query | undefined;
  /** The time for which the server may hold the request, in milliseconds. It is added to the timeout. */
  readonly waitMs?: number | undefined;
  /** Ends the call early, also between its tries. */
  readonly signal?: AbortSignal | undefined;
}

/** The rule by which a call may be repeated. */
export interface Repeats {
  /** True if the call is idempotent. Otherwise it is retried only if it was certainly not done. */
  readonly isSafeTwice: boolean;
  /** The body to send once an earlier try was perhaps done; absent for the same one. */
  readonly bodyAgain?: string | undefined;
}

/** The sender of requests to one base URL, or to the first of several that accepts a connection. */
export class Transport {
  /** The number of retries of a call, 0 or more. */
  readonly retries: number;
  readonly #connections: Connections;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #timeoutMs: number;
  #bases: readonly string[];

  constructor(settings: ClientSettings) {
    this.retries = settings.retries;
    this.#connections = new Connections(settings.ca);
    this.#headers = settings.token === null ? {} : { Authorization: `Bearer ${settings.token}` };
    this.#timeoutMs = settings.timeoutMs;
    this.#bases = settings.bases;
  }

  /** Close the connections. */
  close(): void {
    this.#connections.close();
  }

  /**
   * Send one request once, and return its answer's content as text.
   *
   * @throws Unavailable: no server accepted a connection. Nothing was done.
   * @throws OutcomeUnknown: the request was sent and no valid answer came. It was perhaps done.
   * @throws InvalidRequest: the wait is no time that ends. Nothing was sent.
   * @throws SharqError: the server answered with this failure.
   */
  async sendForText(call: Call): Promise<string> {
    return (await this.#send(call)).answer.content;
  }

  /** Send one request once, and return its answer's content, decoded from JSON. It throws as `sendForText` does. */
  async send<AnswerT>(call: Call): Promise<AnswerT> {
    const { url, answer } = await this.#send(call);
    try {
      return JSON.parse(answer.content) as AnswerT;
    } catch (error) {
      throw fromContent(answer, url, error);
    }
  }

  /**
   * Send a call with its retries, while retries remain and one can help and is safe.
   *
   * @throws SharqError: the error of the last try.
   */
  async sendRepeated<AnswerT>(call: Call, repeats: Repeats): Promise<AnswerT> {
    let next = call;
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.send<AnswerT>(next);
      } catch (error) {
        const canRepeat = error instanceof SharqError && mayRepeat(error, repeats.isSafeTwice);
        if (!canRepeat || tries > this.retries) throw error;
        if (error.perhapsDone && repeats.bodyAgain !== undefined) next = { ...call, body: repeats.bodyAgain };
        await pause(pauseMs(error, tries), call.signal);
      }
    }
  }

  async #send(call: Call): Promise<{ url: string; answer: Answer }> {
    const { waitMs = 0 } = call;
    if (!Number.isFinite(waitMs)) {
      throw new InvalidRequest(`wait: expected a time that ends, got ${waitMs} ms`);
    }
    const { base, answer } = await this.#exchange(call);
    const url = base + call.path;
    if (answer.status >= 300) {
      const failure = fromAnswer(answer, url);
      if (failure.retryAfterMs !== null) this.#passOver(base);
      throw failure;
    }
    return { url, answer };
  }

  /**
   * Return the base URL and the answer of the first server that accepts a connection. Each is tried once.
   *
   * The server that accepted the last connection is tried first. One that did not answer, or that answered that it
   * cannot do it now, is the last one for the next call or try.
   */
  async #exchange(call: Call): Promise<{ base: string; answer: Answer }> {
    const target = targetOf(call.path, call.query);
    for (let remaining = this.#bases.length - 1; ; remaining -= 1) {
      const base = this.#bases[0] as string; // settings.ts saw that there is one
      try {
        const answer = await this.#connections.exchange({
          method: call.method,
          url: base + target,
          body: call.body ?? null,
          headers: this.#headers,
          timeoutMs: this.#timeoutMs + (call.waitMs ?? 0),
          // Connecting gets half of the time, so that "no connection was made" is known before the deadline.
          connectTimeoutMs: this.#timeoutMs / 2,
          signal: call.signal,
        });
        return { base, answer };
      } catch (error) {
        if (error instanceof SharqError && error.retryAfterMs !== null) this.#passOver(base);
        if (!(error instanceof Unavailable) || remaining === 0) throw error;
      }
    }
  }

  /** Try the next server first from now on, unless another call has already switched. */
  #passOver(base: string): void {
    if (this.#bases[0] === base) this.#bases = [...this.#bases.slice(1), base];
  }
}

/** Wait, and throw the signal's reason as soon as it is aborted. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
