/** Offers the calls that look after jobs: wait for, cancel, change, list them, redrive or drop one dead letter. */
import { checkRef, plainBody } from "./bodies.js";
import type { BulkAnswers } from "./bulk/answers.js";
import type { Caller } from "./caller.js";
import { NotFound } from "./errors.js";
import { jsonText, refuseLostNumbers } from "./json.js";
import { pathOf } from "./http/paths.js";
import { pause } from "./http/transport.js";
import {
  type BatchStatus,
  hasEnded,
  type JobChange,
  type JobRef,
  type JobRow,
  type JobState,
  type JobStatus,
} from "./shapes.js";

/** The longest time that one request waits for the end of a job. */
const MAX_WAIT_MS = 30_000;

/** The pause after an answer that came before its wait was over, as from a draining server. */
const QUIET_PAUSE_MS = 250;

/** The time that the server may work on a cancellation of many jobs, unless the call says otherwise. */
const CANCEL_WAIT_MS = 600_000;

/** The calls that look after jobs. Every method throws as those of Client do. */
export class Jobs {
  readonly #caller: Caller;

  /** @internal */
  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /**
   * Wait until a job has ended: until it is finished, dead, cancelled or expired. Return its state.
   *
   * While it waits, the server holds a request for up to 30 s at a time.
   *
   * @param options - `timeoutMs`: the longest wait; absent for no limit. `signal`: ends the wait, and its reason is
   *   thrown.
   * @returns the state at the end of the job or of the wait (`hasEnded` tells them apart); null if the server does not
   *   know the job, as long after its end.
   */
  async wait(
    queueType: string,
    queueId: string,
    jobId: string,
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<JobStatus | null> {
    const path = pathOf("job", queueType, queueId, jobId);
    const { timeoutMs = Infinity, signal } = options;
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const askedMs = performance.now();
      const waitMs = Math.round(Math.min(Math.max(endMs - askedMs, 0), MAX_WAIT_MS));
      const status = await this.#caller.find<JobStatus>(path, { query: { wait: waitMs }, waitMs, signal });
      const nowMs = performance.now();
      if (status === null || hasEnded(status) || nowMs >= endMs) return status;
      // A draining server answers at once; without a pause the client would ask it in a busy loop.
      if (nowMs - askedMs < QUIET_PAUSE_MS) await pause(Math.min(QUIET_PAUSE_MS, endMs - nowMs), signal);
    }
  }

  /**
   * Cancel a queued or delayed job, or drop a dead letter. The server remembers the job as cancelled for a while.
   *
   * @param options - `force`: true to cancel a leased job, too. Its lease is lost, so that its worker cannot finish it
   *   any more.
   * @returns the state before the call, `cancelled` if the job had been cancelled already; null if the server does not
   *   know the job, as after its end.
   * @throws Leased: a worker has the job. Nothing was done.
   */
  async cancel(
    queueType: string,
    queueId: string,
    jobId: string,
    options: { readonly force?: boolean } = {},
  ): Promise<JobState | null> {
    const path = pathOf("job", queueType, queueId, jobId);
    const query = { force: options.force ? "true" : undefined };
    try {
      return (await this.#caller.ask<{ was: JobState }>({ method: "DELETE", path, query })).was;
    } catch (error) {
      if (error instanceof NotFound) return null;
      throw error;
    }
  }

  /**
   * Cancel jobs, as `cancel` does. Return the state before the call, or an error, for each job, in order.
   *
   * Cost: one request for each 1,000 jobs.
   */
  async cancelMany(
    jobs: readonly JobRef[],
    options: { readonly force?: boolean } = {},
  ): Promise<BulkAnswers<JobState>> {
    const force = options.force || undefined;
    const bodies = jobs.map((job) => {
      checkRef(job);
      const { queue_type, queue_id, job_id } = job;
      return plainBody({ queue_type, queue_id, job_id, force });
    });
    return this.#caller.cancelMany(bodies);
  }

  /**
   * Cancel the queued and delayed jobs of a queue whose ids begin with a prefix. Return the number of jobs.
   *
   * Jobs that are leased, and jobs that are enqueued after the call has begun, are kept. A retry is made only if nothing
   * was done.
   *
   * @param prefix - the first characters of the ids; "" for all jobs of the queue.
   * @param options - `waitMs`: the longest time that the server may work on it, ten minutes by default. It stops when
   *   the client is gone.
   * @throws OutcomeUnknown: some jobs were perhaps cancelled. Call again to cancel the others.
   */
  async cancelMatching(
    queueType: string,
    queueId: string,
    prefix: string,
    options: { readonly waitMs?: number } = {},
  ): Promise<number> {
    const { waitMs = CANCEL_WAIT_MS } = options;
    const path = `${pathOf("queue", queueType, queueId)}cancel/`;
    const call = { method: "POST", path, body: { prefix }, isSafeTwice: false, waitMs } as const;
    return (await this.#caller.ask<{ cancelled: number }>(call)).cancelled;
  }

  /**
   * Return how many jobs of a batch are in which state; null if the server knows no job of the type with this batch.
   *
   * The server forgets a batch when its last job ended so long ago that finished jobs are forgotten.
   *
   * @throws OutcomeUnknown: a part of the cluster did not tell its numbers in time. The call is safe to repeat.
   */
  async batch(queueType: string, batch: string): Promise<BatchStatus | null> {
    return this.#caller.find<BatchStatus>(pathOf("batch", queueType, batch));
  }

  /**
   * Cancel a batch, and its queued and delayed jobs in all queues. Return the number of jobs.
   *
   * The batch takes no further jobs: an enqueue throws BatchCancelled. Jobs that are leased are kept; those that a worker
   * does not finish are cancelled when their leases end. A retry is made only if nothing was done.
   *
   * @param options - `waitMs`: as in `cancelMatching`.
   * @throws NotFound: the server does not know the batch. Nothing was done.
   * @throws OutcomeUnknown: some jobs were perhaps cancelled. Call again to cancel the others.
   */
  async cancelBatch(
    queueType: string,
    batch: string,
    options: { readonly waitMs?: number } = {},
  ): Promise<number> {
    const { waitMs = CANCEL_WAIT_MS } = options;
    const path = `${pathOf("batch", queueType, batch)}cancel/`;
    const call = { method: "POST", path, isSafeTwice: false, waitMs } as const;
    return (await this.#caller.ask<{ cancelled: number }>(call)).cancelled;
  }

  /**
   * Change a queued or delayed job, and return its state afterwards. A retry is made only if nothing was done.
   *
   * @throws NotWaiting: the job is leased, finished, dead, cancelled or expired. Nothing was done.
   * @throws NotFound: the server does not know the job. Nothing was done.
   * @throws InvalidRequest: a value is out of range, or the job would expire before it is due. Nothing was done.
   */
  async change(queueType: string, queueId: string, jobId: string, change: JobChange): Promise<JobStatus> {
    const path = pathOf("job", queueType, queueId, jobId);
    refuseLostNumbers({ ...change, payload: undefined }, "change.");
    const body = jsonText(present(change), "change");
    return this.#caller.ask<JobStatus>({ method: "PATCH", path, body, isSafeTwice: false });
  }

  /**
   * Yield the jobs of a queue that are in one state: queued ones in the order in which they leave.
   *
   * A job that changes its state meanwhile may be missed or come twice.
   *
   * @param options - `state`: `queued` by default. `prefix`: the first characters of the ids; absent for all. `page`:
   *   the most jobs for each request, 1 to 1,000; 100 by default.
   */
  inQueue(
    queueType: string,
    queueId: string,
    options: {
      readonly state?: "queued" | "delayed" | "leased";
      readonly prefix?: string;
      readonly page?: number;
    } = {},
  ): AsyncIterableIterator<JobRow> {
    const { state = "queued", prefix, page = 100 } = options;
    const path = `${pathOf("queue", queueType, queueId)}jobs/`;
    return this.#caller.entries<JobRow>(path, "jobs", page, { state, prefix: prefix || undefined });
  }

  /**
   * Queue one dead letter again, with attempts from 0. A retry is made only if nothing was done.
   *
   * @throws NotFound: there is no such dead letter. Nothing was done.
   * @throws Duplicate: a live job has its id. Nothing was done.
   * @throws BatchCancelled: its batch was cancelled. Nothing was done.
   */
  async redrive(queueType: string, queueId: string, jobId: string): Promise<void> {
    const path = `${pathOf("dead", queueType, queueId, jobId)}redrive/`;
    await this.#caller.ask({ method: "POST", path, isSafeTwice: false });
  }

  /** Drop one dead letter. Return false if there is none. A retry is made only if nothing was done. */
  async dropDeadLetter(queueType: string, queueId: string, jobId: string): Promise<boolean> {
    const path = pathOf("dead", queueType, queueId, jobId);
    return this.#caller.done({ method: "DELETE", path, isSafeTwice: false });
  }
}

/** Return an object without the fields that are undefined. */
function present(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
