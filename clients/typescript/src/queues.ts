/**
 * Offers the calls about queues as a whole: their rates, pauses, states, counts and dead letters.
 *
 * They are methods of Client; not here: settings of operators and lists with numbers (control.ts).
 */
import { plainBody } from "./bodies.js";
import type { BulkAnswers } from "./bulk/answers.js";
import type { Caller } from "./caller.js";
import { NotFound } from "./errors.js";
import { pathOf } from "./http/paths.js";
import type {
  Counts,
  DeadLetter,
  DeadRef,
  JobStatus,
  QueueCounts,
  QueueStats,
  RateChange,
} from "./shapes.js";

/** The part of Client about queues as a whole: one class with it, in a file of its own. */
export class Queues {
  /** @internal */
  protected readonly caller: Caller;

  /** @internal */
  protected constructor(caller: Caller) {
    this.caller = caller;
  }

  /**
   * Change a queue's rate at once. Return false if there is no such queue.
   *
   * A rate that the queue cannot keep at its burst is a warning of the process, in the words of the server.
   *
   * @param change - `interval` in milliseconds or `rate`, `burst`, and `pin`: true to also create the rate and keep
   *   enqueues from changing it, false to unpin it.
   */
  async setInterval(queueType: string, queueId: string, change: RateChange): Promise<boolean> {
    const path = pathOf("interval", queueType, queueId);
    try {
      const { warning } = await this.caller.ask<{ warning?: string }>({ method: "POST", path, body: change });
      if (warning) process.emitWarning(`queue ${queueType} ${queueId}: ${warning}`, "SharqWarning");
    } catch (error) {
      if (error instanceof NotFound) return false;
      throw error;
    }
    return true;
  }

  /** Pause a queue: it accepts jobs but hands none out. Return false if there is no such queue. */
  async pause(queueType: string, queueId: string): Promise<boolean> {
    return this.caller.done({ method: "POST", path: `${pathOf("queue", queueType, queueId)}pause/` });
  }

  /** Let a paused queue hand out jobs again. Return false if there is no such queue. */
  async resume(queueType: string, queueId: string): Promise<boolean> {
    return this.caller.done({ method: "POST", path: `${pathOf("queue", queueType, queueId)}resume/` });
  }

  /**
   * Drop the queued and delayed jobs of a queue. Return true if there were any.
   *
   * Leased jobs may still be finished, but are not requeued. A retry is made only if nothing was done, since a second
   * delete would drop jobs that were enqueued in between.
   *
   * @param options - `purgeAll`: true to forget the rate, too, once the queue's ready time has passed.
   */
  async deleteQueue(
    queueType: string,
    queueId: string,
    options: { readonly purgeAll?: boolean } = {},
  ): Promise<boolean> {
    const status = await this.caller.statusOf({
      method: "DELETE",
      path: pathOf("deletequeue", queueType, queueId),
      body: { purge_all: options.purgeAll ?? false },
      isSafeTwice: false,
    });
    return status === "Success";
  }

  /** Return the state of a queue; null if there is no such queue. */
  async queue(queueType: string, queueId: string): Promise<QueueStats | null> {
    return this.caller.find<QueueStats>(pathOf("queue", queueType, queueId));
  }

  /** Return the state of a job; null if the server does not know it. */
  async job(queueType: string, queueId: string, jobId: string): Promise<JobStatus | null> {
    return this.caller.find<JobStatus>(pathOf("job", queueType, queueId, jobId));
  }

  /** Return the counts of enqueued and leased jobs in the last ten minutes, over all types. */
  async counts(): Promise<Counts> {
    return this.caller.ask<Counts>({ method: "GET", path: "/metrics/" });
  }

  /** Return the counts of one queue in the last ten minutes; zeros for an unknown queue. */
  async queueCounts(queueType: string, queueId: string): Promise<QueueCounts> {
    return this.caller.ask<QueueCounts>({ method: "GET", path: pathOf("metrics", queueType, queueId) });
  }

  /**
   * Yield the ids of a type's queues that have queued, delayed or leased jobs.
   *
   * @param options - `page`: the number of ids for each request, 1 to 10,000; 1,000 by default.
   */
  queues(queueType: string, options: { readonly page?: number } = {}): AsyncIterableIterator<string> {
    return this.caller.entries<string>(pathOf("metrics", queueType), "queue_ids", options.page ?? 1_000);
  }

  /**
   * Yield the dead letters of a type.
   *
   * @param options - `queueId`: the queue whose dead letters are wanted; absent for those of all queues. `page`: the
   *   number of dead letters for each request, 100 by default.
   */
  dead(
    queueType: string,
    options: { readonly queueId?: string; readonly page?: number } = {},
  ): AsyncIterableIterator<DeadLetter> {
    const { queueId, page = 100 } = options;
    return this.caller.entries<DeadLetter>(pathOf("dead", queueType), "jobs", page, { queue_id: queueId });
  }

  /**
   * Queue every dead letter of a type again, with attempts from 0. Return the number of jobs.
   *
   * A retry is made only if nothing was done. A second call queues the dead letters that remain.
   */
  async redrive(queueType: string): Promise<number> {
    const path = `${pathOf("dead", queueType)}redrive/`;
    const call = { method: "POST", path, isSafeTwice: false } as const;
    return (await this.caller.ask<{ redriven: number }>(call)).redriven;
  }

  /** Queue these dead letters again. Return one answer for each, in order; null for success. */
  async redriveMany(queueType: string, letters: readonly DeadRef[]): Promise<BulkAnswers<null>> {
    const path = `${pathOf("dead", queueType)}redrive/`;
    const bodies = letters.map(({ queue_id, job_id }) => plainBody({ queue_id, job_id }));
    return this.caller.redriveMany(path, bodies);
  }

  /** Drop every dead letter of a type. Return the number of dropped jobs. A retry is made only if nothing was done. */
  async dropDead(queueType: string): Promise<number> {
    const call = { method: "DELETE", path: pathOf("dead", queueType), isSafeTwice: false } as const;
    return (await this.caller.ask<{ dropped: number }>(call)).dropped;
  }

  /**
   * Drop these dead letters of a type, 1 to 1,000. Return how many there were. A retry is made only if nothing was done.
   */
  async dropDeadMany(queueType: string, letters: readonly DeadRef[]): Promise<number> {
    const path = `${pathOf("dead", queueType)}drop/`;
    const body = { jobs: letters.map(({ queue_id, job_id }) => ({ queue_id, job_id })) };
    const call = { method: "POST", path, body, isSafeTwice: false } as const;
    return (await this.caller.ask<{ dropped: number }>(call)).dropped;
  }
}
