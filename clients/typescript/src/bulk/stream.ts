/** Enqueues a stream of jobs with several calls in flight, in bounded memory. */
import { asRepeat, type EnqueueBody, enqueueBody } from "../bodies.js";
import { InvalidRequest, type SharqError } from "../errors.js";
import type { Transport } from "../http/transport.js";
import type { EnqueueJob } from "../shapes.js";
import type { Result } from "./answers.js";
import { sendBulk } from "./calls.js";
import { type Batch, Lanes } from "./lanes.js";
import { type EnqueueProgress, Ledger } from "./ledger.js";

/** The most calls of one stream in flight. */
const MAX_IN_FLIGHT = 64;

/** The jobs that `enqueueMany` takes. */
export type JobStream = Iterable<EnqueueJob> | AsyncIterable<EnqueueJob>;

/** Options of `enqueueMany`. */
export interface EnqueueManyOptions {
  /** The most calls in flight, 1 to 64; 4 by default. */
  readonly inFlight?: number | undefined;
  /** True if the jobs may have been sent before, as `repeat` says for one job. */
  readonly repeat?: boolean | undefined;
  /** Called with the numbers so far after each call. An error that it throws ends the stream. */
  readonly onProgress?: ((progress: EnqueueProgress) => void) | undefined;
  /** Ends the stream early: the reason of the signal is thrown. Calls in flight were perhaps done. */
  readonly signal?: AbortSignal | undefined;
}

/** One call in flight. */
interface Flight {
  readonly batch: Batch;
  readonly answers: Promise<readonly (Result | SharqError)[]>;
  hasEnded: boolean;
}

/** A stream of jobs on its way to the server. */
export class EnqueueStream {
  readonly ledger: Ledger;
  readonly #transport: Transport;
  readonly #options: EnqueueManyOptions;
  readonly #lanes: Lanes;
  readonly #flights = new Map<number, Flight>();
  readonly #giveUp = new AbortController();
  #read = 0;

  /**
   * Begin a stream. This sends nothing yet.
   *
   * @throws RangeError: `inFlight` is not 1 to 64.
   * @throws TypeError: `jobs` is no iterable of jobs.
   */
  constructor(transport: Transport, jobs: JobStream, options: EnqueueManyOptions) {
    const { inFlight = 4 } = options;
    if (!Number.isInteger(inFlight) || inFlight < 1 || inFlight > MAX_IN_FLIGHT) {
      throw new RangeError(`inFlight: expected 1 to ${MAX_IN_FLIGHT}, got ${inFlight}`);
    }
    if (typeof jobs !== "object" || jobs === null || !isIterable(jobs)) {
      throw new TypeError("jobs: expected an array, or another iterable or async iterable of jobs");
    }
    this.#transport = transport;
    this.#options = options;
    this.#lanes = new Lanes(inFlight);
    this.ledger = new Ledger(Array.isArray(jobs) ? jobs.length : null);
  }

  /**
   * Send all jobs. It returns early if no server takes them; then `ledger.stoppedBy` says why.
   *
   * If the iterable fails, the jobs before are sent, and its error is thrown.
   */
  async send(jobs: JobStream): Promise<void> {
    const { signal } = this.#options;
    const giveUp = () => this.#giveUp.abort(signal?.reason);
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      try {
        await this.#take(jobs);
      } finally {
        if (!signal?.aborted) await this.#finish();
      }
      signal?.throwIfAborted();
    } finally {
      signal?.removeEventListener("abort", giveUp);
      // Calls are in flight here only if something failed: nobody waits for their answers any more.
      this.#giveUp.abort();
      await Promise.allSettled([...this.#flights.values()].map((flight) => flight.answers));
    }
  }

  /** Return the numbers so far. */
  progress(): EnqueueProgress {
    return this.ledger.progress(this.#lanes.first(), this.#read);
  }

  async #take(jobs: JobStream): Promise<void> {
    if (Symbol.asyncIterator in jobs) {
      for await (const job of jobs) if (!(await this.#add(job))) return;
    } else {
      // An await for each job would cost more than the job itself.
      for (const job of jobs) {
        const isGoingOn = this.#add(job);
        if (isGoingOn !== true && !(await isGoingOn)) return;
      }
    }
  }

  /** Take one job, and begin the calls that it fills. Return false if the stream ends. */
  #add(job: EnqueueJob): boolean | Promise<boolean> {
    const index = this.#read;
    this.#read += 1;
    let body: EnqueueBody;
    try {
      body = enqueueBody(job, this.#options.repeat);
    } catch (error) {
      if (!(error instanceof InvalidRequest)) throw error;
      this.ledger.fail(index, idOf(job), error);
      return true;
    }
    const departing = this.#lanes.add(index, body);
    if (!departing.length) return true;
    // All of them are noted before one is waited for: none is in the lanes any more.
    for (const batch of departing) this.ledger.depart(batch);
    return this.#beginAll(departing);
  }

  async #beginAll(batches: readonly Batch[]): Promise<boolean> {
    for (const batch of batches) await this.#begin(batch);
    this.#options.signal?.throwIfAborted();
    return this.ledger.stoppedBy === null;
  }

  /** Begin a call once the call before in its lane has ended, unless that ended the stream. */
  async #begin(batch: Batch): Promise<void> {
    await this.#end(batch.lane);
    if (this.ledger.stoppedBy !== null) return;
    const flight: Flight = { batch, answers: this.#send(batch), hasEnded: false };
    const end = () => {
      flight.hasEnded = true;
    };
    flight.answers.then(end, end);
    this.#flights.set(batch.lane, flight);
    await new Promise(setImmediate); // lets calls go on although the jobs come without a pause
    for (const [lane, { hasEnded }] of [...this.#flights]) if (hasEnded) await this.#end(lane);
  }

  /** Wait for the call in flight in a lane, if there is one, and record its answers. */
  async #end(lane: number): Promise<void> {
    const flight = this.#flights.get(lane);
    if (flight === undefined) return;
    const answers = await flight.answers;
    this.#flights.delete(lane);
    this.ledger.record(flight.batch, answers);
    this.#options.onProgress?.(this.progress());
  }

  /** Begin the calls that remain and wait for all answers. */
  async #finish(): Promise<void> {
    const batches = [...this.#lanes.rest()];
    for (const batch of batches) this.ledger.depart(batch);
    await this.#beginAll(batches);
    for (const lane of [...this.#flights.keys()]) await this.#end(lane);
  }

  #send(batch: Batch): Promise<(Result | SharqError)[]> {
    return sendBulk(this.#transport, "/enqueue/", batch.bodies, {
      isSafeTwice: () => true,
      toRepeat: asRepeat,
      signal: this.#giveUp.signal,
    });
  }
}

function isIterable(value: object): boolean {
  return Symbol.iterator in value || Symbol.asyncIterator in value;
}

function idOf(job: unknown): string {
  const id = typeof job === "object" && job !== null && "job_id" in job ? job.job_id : "";
  return typeof id === "string" ? id : "";
}
