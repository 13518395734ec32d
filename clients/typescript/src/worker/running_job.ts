/** Defines what a handler gets: a leased job that can report how far the work is, and that says when it is lost. */
import { checkedText } from "../json.js";
import type { LeasedJob } from "../shapes.js";

/** The longest progress that the server takes, in bytes of JSON text. */
const MAX_PROGRESS_BYTES = 1_024;

/** The reason of a signal that was aborted because the worker stops: the handler has used up the time of the stop. */
export class WorkerStopped extends Error {
  constructor() {
    super("the worker stops");
    this.name = "WorkerStopped";
  }
}

/** The job that a worker gives to its handler. */
export interface RunningJob<PayloadT = unknown> extends LeasedJob<PayloadT> {
  /**
   * Aborted once the work is of no use any more: the lease is lost, so that another worker may have the job (the reason
   * is LeaseLost or NotFound), or the stop of the worker has run out of time (WorkerStopped). Pass it on to `fetch`
   * and the like.
   */
  readonly signal: AbortSignal;

  /**
   * Report how far the work is. The server shows the latest report until the job has ended.
   *
   * It returns at once, and may be called as often as you like: the worker sends the latest value a few times a second,
   * together with an extension of the lease. A report that cannot be sent is lost.
   *
   * @param value - any JSON value of at most 1 KiB of JSON text.
   * @throws InvalidRequest: the value is no JSON.
   * @throws RangeError: the value is too long.
   */
  progress(value: unknown): void;
}

/** The fields of the job, which the constructor copies. */
export interface Running extends LeasedJob {}

/** A running job, and the worker's end of it. */
export class Running implements RunningJob {
  readonly #report: (lease: string, json: string) => void;
  #controller: AbortController | null = null;
  #abortedBy: Error | null = null;

  /** @param report - takes the lease and the JSON text of each report of progress. */
  constructor(job: LeasedJob, report: (lease: string, json: string) => void) {
    Object.assign(this, job);
    this.#report = report;
  }

  get signal(): AbortSignal {
    // Most handlers never look at it, and a controller costs more than the rest of the job.
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#abortedBy !== null) this.#controller.abort(this.#abortedBy);
    }
    return this.#controller.signal;
  }

  progress(value: unknown): void {
    const json = checkedText(value, "progress");
    const bytes = Buffer.byteLength(json);
    if (bytes > MAX_PROGRESS_BYTES) {
      throw new RangeError(`progress: expected up to ${MAX_PROGRESS_BYTES} bytes of JSON, got ${bytes}`);
    }
    this.#report(this.lease, json);
  }

  /** Tell the handler that its work is of no use any more. The first reason stays. */
  abort(reason: Error): void {
    this.#abortedBy ??= reason;
    this.#controller?.abort(this.#abortedBy);
  }
}
