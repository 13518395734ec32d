/** Offers the verbs of the HTTP API as methods, with typed answers, typed errors, and retries if a retry is safe. */
import { asRepeat, enqueueBody, leaseBody, type LeaseTerms } from "./bodies.js";
import { type BulkAnswers, toEnqueued } from "./bulk/answers.js";
import { EnqueueStopped, type EnqueueAnswers, type EnqueueSummary } from "./bulk/ledger.js";
import { type EnqueueManyOptions, EnqueueStream, type JobStream } from "./bulk/stream.js";
import { Caller } from "./caller.js";
import { Control } from "./control.js";
import { InvalidRequest } from "./errors.js";
import { NothingReady } from "./http/failures.js";
import { pathOf, type Query } from "./http/paths.js";
import { type ClientOptions, settingsOf } from "./http/settings.js";
import { Transport } from "./http/transport.js";
import { Jobs } from "./jobs.js";
import { jsonText } from "./json.js";
import { Queues } from "./queues.js";
import type { CapHold, EnqueueJob, Enqueued, JobRef, LeasedJob } from "./shapes.js";

/** A queue type, or up to 16 of them. */
export type QueueTypes = string | readonly string[];

/** Options of a dequeue. */
export interface DequeueOptions {
  /** The longest wait until a job is ready, in milliseconds, 0 to 60,000; 0 by default. */
  readonly waitMs?: number | undefined;
  /** The length of the lease (visibility timeout) in milliseconds, 100 to 86,400,000; absent for the server's default. */
  readonly leaseMs?: number | undefined;
  /** Ends the wait early: its reason is thrown. The server gives a job that nobody received to another worker. */
  readonly signal?: AbortSignal | undefined;
}

/** The cost and the holds that a finish or a release reports. */
export interface SettleOptions {
  /** The cost that the job turned out to have, 0 or more; absent if it is as enqueued. */
  readonly cost?: number | undefined;
  /** The time from now for which its queue hands out no jobs, in milliseconds, up to 24 hours. */
  readonly holdMs?: number | undefined;
  /** The same for all queues of its gathered type. */
  readonly holdTypeMs?: number | undefined;
  /**
   * The same for all queues with a cap: its `name` and the time `ms`. If there is no such cap, nothing is held.
   */
  readonly holdCap?: CapHold | undefined;
}

/** Options of a finish. */
export interface FinishOptions extends SettleOptions {
  /** Any JSON value of up to 16 KiB, which is kept with the finished job; absent for none. */
  readonly result?: unknown;
}

/** Options of a release. */
export interface ReleaseOptions extends SettleOptions {
  /**
   * The delay in milliseconds, 0 for none. Absent for that of the job's retry policy, if it has one and the attempt
   * counts.
   */
  readonly delayMs?: number | undefined;
  /** False if the attempt does not count, as after a carrier's 429; true by default. */
  readonly counts?: boolean | undefined;
  /**
   * The reason of the failure, for people. The server keeps its first 2 KiB until the job is finished, and shows the
   * latest one with the job and with its dead letter.
   */
  readonly error?: string | undefined;
  /** True if the retry policy decides, and `delayMs` only if there is none. */
  readonly preferRetry?: boolean | undefined;
}

/** Options of a release of several jobs: the error of all of them, or an array with one for each. */
export interface ReleaseManyOptions extends Omit<ReleaseOptions, "error" | "cost"> {
  readonly error?: string | readonly (string | undefined)[] | undefined;
}

/**
 * A client of a SHARQ server, a load balancer or several routers of one cluster. One serves a whole process.
 *
 * Every method throws Unavailable if no connection was made (nothing was done), OutcomeUnknown if the request was sent
 * and no answer came (perhaps done), and otherwise the class for the server's error code. All are SharqError. The
 * `...Many` methods do not throw these; they return one answer or error for each job.
 *
 * The client retries only if that is safe: a call that was certainly not done, or one that is idempotent.
 */
export class Client extends Queues {
  /** The calls that look after jobs: wait for, cancel, change, list, and redrive or drop one dead letter. */
  readonly jobs: Jobs;
  /** The calls of operators: settings, holds, pauses of types and of everything, lists with numbers. */
  readonly control: Control;
  readonly #transport: Transport;

  /**
   * Configure the client. This sends nothing yet.
   *
   * @throws TypeError or RangeError: an option is not valid.
   * @throws Error: the file of certificates cannot be read.
   */
  constructor(options: ClientOptions = {}) {
    const transport = new Transport(settingsOf(options));
    const caller = new Caller(transport);
    super(caller);
    this.#transport = transport;
    this.jobs = new Jobs(caller);
    this.control = new Control(caller);
  }

  /** Close the client's connections. Calls in flight throw OutcomeUnknown; a later call opens new ones. */
  close(): void {
    this.#transport.close();
  }

  /**
   * Enqueue one job. Retries use the same job_id, so that the job is never queued twice.
   *
   * @throws QueueFull, StoreFull, InvalidRequest, TooLarge: nothing was done.
   * @throws OutcomeUnknown: the job was perhaps queued. Send it again with the same job_id and `repeat: true`.
   */
  async enqueue(job: EnqueueJob): Promise<Enqueued> {
    const body = enqueueBody(job);
    const answer = await this.#transport.sendRepeated<Partial<Enqueued>>(
      { method: "POST", path: pathOf("enqueue", body.queue_type, body.queue_id), body: body.text },
      { isSafeTwice: true, bodyAgain: asRepeat(body).text },
    );
    return toEnqueued(body.job_id, answer);
  }

  /**
   * Enqueue jobs of any queues, an array or a stream of any length. The jobs of one queue keep their order.
   *
   * To send a stream again after a failure, give its jobs a job_id each, and pass `repeat: true`: no job is queued
   * twice. Memory is bounded for every iterable that is not an array.
   *
   * @param jobs - an array, or another iterable or async iterable, which is read while calls are in flight.
   * @returns for an array one answer for each job, in order; otherwise a summary.
   * @throws EnqueueStopped: no server took a call of a stream after its retries. It says where to resume. For an array
   *   it is not thrown: each job has its error, Unavailable if it was not sent.
   *
   * Cost: one request for each 1,000 jobs or 1 MiB.
   */
  async enqueueMany(jobs: readonly EnqueueJob[], options?: EnqueueManyOptions): Promise<EnqueueAnswers>;
  async enqueueMany(jobs: JobStream, options?: EnqueueManyOptions): Promise<EnqueueSummary>;
  async enqueueMany(
    jobs: JobStream,
    options: EnqueueManyOptions = {},
  ): Promise<EnqueueAnswers | EnqueueSummary> {
    const stream = new EnqueueStream(this.#transport, jobs, options);
    await stream.send(jobs);
    const { ledger } = stream;
    if (Array.isArray(jobs)) return ledger.answers();
    if (ledger.stoppedBy !== null) {
      throw new EnqueueStopped(ledger.summary(), stream.progress().resumeAt, ledger.stoppedBy);
    }
    return ledger.summary();
  }

  /**
   * Lease ready jobs, each from the queue that has been due longest. A retry is made only if nothing was done.
   *
   * @typeParam PayloadT - the type of the payloads. Nothing checks it.
   * @param queueTypes - the type to lease from, or up to 16 types.
   * @param options - `count`: the most jobs of the answer, 1 to 1,000. The call returns as soon as one is ready.
   * @returns without a `count` the job, or null if none was ready; with one an array, which is empty then.
   * @throws OutcomeUnknown: jobs may have been leased. They are requeued when their leases end.
   */
  async dequeue<PayloadT = unknown>(
    queueTypes: QueueTypes,
    options: DequeueOptions & { readonly count: number },
  ): Promise<LeasedJob<PayloadT>[]>;
  async dequeue<PayloadT = unknown>(
    queueTypes?: QueueTypes,
    options?: DequeueOptions & { readonly count?: undefined },
  ): Promise<LeasedJob<PayloadT> | null>;
  async dequeue<PayloadT>(
    queueTypes: QueueTypes = "default",
    { count, waitMs = 0, leaseMs, signal }: DequeueOptions & { readonly count?: number | undefined } = {},
  ): Promise<LeasedJob<PayloadT>[] | LeasedJob<PayloadT> | null> {
    const query = { count: count ?? 1, wait: unlessZero(waitMs), lease: leaseMs };
    const jobs = await this.#lease<PayloadT>(queueTypes, query, waitMs, signal);
    return count === undefined ? (jobs[0] ?? null) : jobs;
  }

  /**
   * Finish (acknowledge) a job: end its lease and forget the job. Retries are made if the job has its lease.
   *
   * @returns true if the result is kept, false if the server has no room for it; null without a result. The job is
   *   finished all the same.
   * @throws NotFound, LeaseLost: the lease does not exist any more. Nothing was done.
   */
  async finish(job: JobRef, options: FinishOptions = {}): Promise<boolean | null> {
    const { result } = options;
    const values = { result: result === undefined ? undefined : jsonText(result, "result") };
    const body = leaseBody(job, settleTerms(options), values, true);
    return (await this.caller.report("finish", job, body)).result_kept ?? null;
  }

  /**
   * Move the end of the lease to `byMs` (100 to 86,400,000) milliseconds from now.
   *
   * @param options - `progress`: how far the work is: any JSON value of up to 1 KiB.
   * @returns the new end, in milliseconds since the epoch by the store's clock.
   * @throws NotFound, LeaseLost: the lease does not exist any more. Nothing was done.
   */
  async extend(job: JobRef, byMs: number, options: { readonly progress?: unknown } = {}): Promise<number> {
    const { progress } = options;
    const values = { progress: progress === undefined ? undefined : jsonText(progress, "progress") };
    return (await this.caller.report("extend", job, leaseBody(job, { by: byMs }, values, true)))
      .lease_expires_at;
  }

  /**
   * Give the job back unfinished (nack): it returns to its place in the queue after a delay.
   *
   * @throws NotFound, LeaseLost: the lease does not exist any more. Nothing was done.
   */
  async release(job: JobRef, options: ReleaseOptions = {}): Promise<void> {
    await this.caller.report("release", job, leaseBody(job, releaseTerms(options, options.error), {}, true));
  }

  /**
   * Finish jobs. Return one answer for each job, in order; null for success.
   *
   * @param options - `results`: the result of each job, undefined for none. `costs`: the cost that each job turned out
   *   to have, undefined if it is as enqueued.
   * @throws RangeError: one of the two is not as long as the array of the jobs. Nothing was sent.
   */
  async finishMany(
    jobs: readonly JobRef[],
    options: { readonly results?: readonly unknown[]; readonly costs?: readonly (number | undefined)[] } = {},
  ): Promise<BulkAnswers<null>> {
    const { results = [], costs = [] } = options;
    checkLength("results", options.results, jobs);
    checkLength("costs", options.costs, jobs);
    const bodies = jobs.map((job, index) => {
      const result = results[index];
      const values = { result: result === undefined ? undefined : jsonText(result, "result") };
      return leaseBody(job, { cost: costs[index] }, values);
    });
    return this.caller.reportMany("finish", bodies);
  }

  /**
   * Move the ends of leases to `byMs` milliseconds from now. Return one answer for each job; null for success.
   *
   * @param options - `progress`: one for each job, undefined for none.
   * @throws RangeError: it is not as long as the array of the jobs. Nothing was sent.
   */
  async extendMany(
    jobs: readonly JobRef[],
    byMs: number,
    options: { readonly progress?: readonly unknown[] } = {},
  ): Promise<BulkAnswers<null>> {
    const { progress = [] } = options;
    checkLength("progress", options.progress, jobs);
    const bodies = jobs.map((job, index) => {
      const value = progress[index];
      const values = { progress: value === undefined ? undefined : jsonText(value, "progress") };
      return leaseBody(job, { by: byMs }, values);
    });
    return this.caller.reportMany("extend", bodies);
  }

  /**
   * Give jobs back unfinished, as `release` does. Return one answer for each job, in order; null for success.
   *
   * @throws RangeError: the array of errors is not as long as that of the jobs. Nothing was sent.
   */
  async releaseMany(jobs: readonly JobRef[], options: ReleaseManyOptions = {}): Promise<BulkAnswers<null>> {
    const { error } = options;
    if (Array.isArray(error)) checkLength("error", error, jobs);
    const bodies = jobs.map((job, index) => {
      return leaseBody(job, releaseTerms(options, Array.isArray(error) ? error[index] : error));
    });
    return this.caller.reportMany("release", bodies);
  }

  /** Return true if the server process responds. */
  async healthz(): Promise<boolean> {
    return this.caller.answers("/healthz");
  }

  /** Return true if the server accepts work; false if it is starting, draining or unreachable. */
  async readyz(): Promise<boolean> {
    return this.caller.answers("/readyz");
  }

  /** Return true if every server of the store answers every shard; false otherwise, or if none is reachable. */
  async deepstatus(): Promise<boolean> {
    return this.caller.answers("/deepstatus/");
  }

  async #lease<PayloadT>(
    types: QueueTypes,
    query: Query,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<LeasedJob<PayloadT>[]> {
    const type = typeof types === "string" ? types : null;
    if (type === null && !types?.length) {
      const got = Array.isArray(types) ? "an empty array" : String(types);
      throw new InvalidRequest(`queueTypes: expected a type, or 1 to 16 types, got ${got}`);
    }
    // POST, because HTTP clients and proxies repeat a GET by themselves if a kept connection drops.
    const call = {
      method: "POST",
      path: type === null ? "/dequeue/" : pathOf("dequeue", type),
      query: type === null ? { ...query, type: types } : query,
      waitMs,
      signal,
    } as const;
    try {
      const { jobs } = await this.#transport.sendRepeated<{ jobs: LeasedJob<PayloadT>[] }>(call, {
        isSafeTwice: false,
      });
      // Only the answer to a call about several types names them.
      return type === null ? jobs : jobs.map((job) => ({ ...job, queue_type: type }));
    } catch (error) {
      if (error instanceof NothingReady) return [];
      throw error;
    }
  }
}

/** Return a time, or undefined for 0. NaN stays, so that it is refused. */
function unlessZero(ms: number | undefined): number | undefined {
  return ms === 0 ? undefined : ms;
}

/** Throw RangeError for a list that has not one value for each job: values would be lost without a word. */
function checkLength(name: string, values: readonly unknown[] | undefined, jobs: readonly JobRef[]): void {
  if (values !== undefined && values.length !== jobs.length) {
    throw new RangeError(`${name}: expected one for each of the jobs (${jobs.length}), got ${values.length}`);
  }
}

function settleTerms({ cost, holdMs, holdTypeMs, holdCap }: SettleOptions): LeaseTerms {
  return { cost, hold: unlessZero(holdMs), hold_type: unlessZero(holdTypeMs), hold_cap: holdCap };
}

function releaseTerms(options: Omit<ReleaseOptions, "error">, error: string | undefined): LeaseTerms {
  const { delayMs, counts = true, preferRetry = false } = options;
  return {
    ...settleTerms(options),
    delay: delayMs,
    count: counts ? undefined : false,
    prefer_retry: preferRetry || undefined,
    error,
  };
}
