/**
 * Leases jobs for handlers, never more than may run, and goes on while the server is away.
 *
 * A job starts as soon as it is leased. The queue's rate spaces the leases, and a job that waited in the worker would
 * blur that spacing.
 */
import type { Client } from "../client.js";
import { SharqError } from "../errors.js";
import { pauseMs } from "../http/failures.js";
import type { LeasedJob } from "../shapes.js";
import type { Calls } from "./calls.js";
import { Flag, passTurns } from "./flag.js";
import type { Settings } from "./options.js";
import type { Registration } from "./registry.js";

/** The pause after an empty answer that came before its wait was over, as from a draining server. */
const QUIET_PAUSE_MS = 250;

/** The outcomes that may be unreported while further jobs are leased. One call reports as many. */
const MAX_UNREPORTED = 1_000;

/** The time for which the handlers of one answer may keep the event loop before others get a turn. */
const YIELD_AFTER_MS = 50;

/**
 * The most requests for further jobs at once, beside the usual one, while more jobs are ready than one request takes.
 * With one request at a time, the worker and the server would wait for each other.
 */
const BACKLOG_REQUESTS = 2;

/**
 * A stream of leases: for all handlers that get one job, or for one batch handler.
 *
 * Its limit is `concurrency` calls at once. It leases nothing while MAX_UNREPORTED outcomes are unreported.
 */
export class Lane {
  readonly #client: Client;
  readonly #settings: Settings;
  readonly #calls: Calls;
  readonly #byType: ReadonlyMap<string, Registration>;
  /** The types to ask for: one, or several. */
  readonly #types: string | readonly string[];
  /** The batch handler; null for handlers that get one job. */
  readonly #batch: Registration | null;
  /** The most jobs of one request. */
  readonly #most: number;
  readonly #changed = new Flag();
  readonly #stopped = new Flag();
  readonly #giveUp = new AbortController();
  #free: number;
  #isBacklogged = false;
  #isStopping = false;

  constructor(client: Client, settings: Settings, registrations: readonly Registration[], calls: Calls) {
    const types = registrations.flatMap((each) => each.queueTypes);
    this.#client = client;
    this.#settings = settings;
    this.#calls = calls;
    this.#byType = new Map(
      registrations.flatMap((each) => each.queueTypes.map((name) => [name, each] as const)),
    );
    this.#types = types.length === 1 ? (types[0] as string) : types;
    this.#batch = registrations.find((each) => each.batch !== null) ?? null;
    this.#most = this.#batch?.batch ?? settings.batch;
    this.#free = settings.concurrency;
  }

  /** Lease nothing more. `run` returns once the requests in flight are answered, so that no lease is lost. */
  stop(): void {
    this.#isStopping = true;
    this.#changed.set();
    this.#stopped.set();
  }

  /** Lease nothing more, and end the requests in flight. */
  abort(): void {
    this.stop();
    this.#giveUp.abort();
  }

  /** Look again if there is room, because fewer outcomes are unreported. */
  wake(): void {
    this.#changed.set();
  }

  /**
   * Lease jobs and start their handlers until `stop`, also across restarts of the server.
   *
   * @throws InvalidRequest, Unauthorized, Forbidden, NotFound, WrongUrl: the server refuses to lease, and a retry cannot
   *   help.
   */
  async run(): Promise<void> {
    const backlog = Array.from({ length: BACKLOG_REQUESTS }, () => this.#leaseBacklog());
    try {
      await this.#leaseUntilStopped();
    } finally {
      this.stop();
      await Promise.all(backlog);
    }
  }

  async #leaseUntilStopped(): Promise<void> {
    const { waitMs, onEvent } = this.#settings;
    let failedTries = 0;
    while (await this.#waitForRoom(1)) {
      const askedMs = performance.now();
      try {
        const isEmpty = (await this.#lease(waitMs)) === 0;
        failedTries = 0;
        // A draining server answers at once; without a pause the worker would ask it in a busy loop.
        const isQuick = performance.now() - askedMs < (waitMs || QUIET_PAUSE_MS);
        if (isEmpty && isQuick) await this.#stopped.waitFor(QUIET_PAUSE_MS);
      } catch (error) {
        if (this.#giveUp.signal.aborted) return;
        if (!(error instanceof SharqError) || (error.retryAfterMs === null && !error.perhapsDone))
          throw error;
        failedTries += 1;
        const retryInMs = pauseMs(error, failedTries);
        onEvent({ type: "dequeue_failed", error, retryInMs });
        await this.#stopped.waitFor(retryInMs);
      }
    }
  }

  /** Lease what else is ready, whenever an answer was full and there is room for another full one. */
  async #leaseBacklog(): Promise<void> {
    const needed = this.#batch === null ? this.#most : 1;
    while (await this.#waitForRoom(needed, true)) {
      try {
        await this.#lease(0);
      } catch (error) {
        if (!(error instanceof SharqError) && !this.#giveUp.signal.aborted) throw error;
        this.#isBacklogged = false; // the usual request meets the error, too, and handles it
      }
    }
  }

  /** Lease up to as many jobs as there is room for, and start their handlers. Return the number of jobs. */
  async #lease(waitMs: number): Promise<number> {
    const { leaseMs } = this.#settings;
    const count = this.#batch === null ? Math.min(this.#most, this.#free) : this.#most;
    const reserved = this.#batch === null ? count : 1;
    this.#free -= reserved;
    let jobs: LeasedJob[];
    try {
      jobs = await this.#client.dequeue(this.#types, { count, waitMs, leaseMs, signal: this.#giveUp.signal });
    } finally {
      this.#free += reserved;
    }
    this.#isBacklogged = jobs.length === count;
    if (this.#batch === null) await this.#startEach(jobs);
    else if (jobs.length) this.#start(this.#batch, jobs);
    this.#changed.set();
    return jobs.length;
  }

  /** Start the handler of each job. Others get their turn if the handlers take their time before their first wait. */
  async #startEach(jobs: readonly LeasedJob[]): Promise<void> {
    let yieldedMs = performance.now();
    for (const job of jobs) {
      if (performance.now() - yieldedMs > YIELD_AFTER_MS) {
        await new Promise(setImmediate);
        yieldedMs = performance.now();
      }
      this.#start(this.#byType.get(job.queue_type) as Registration, [job]);
    }
  }

  /** Start a handler, or release its jobs if the lane was stopped in the meantime. */
  #start(registration: Registration, jobs: readonly LeasedJob[]): void {
    if (this.#isStopping) {
      this.#calls.refuse(jobs);
      return;
    }
    this.#free -= 1;
    this.#calls.start(registration, jobs, this.#onEnded);
  }

  readonly #onEnded = (): void => {
    this.#free += 1;
    this.#changed.set();
  };

  /**
   * Wait until this number of calls may start. Return false once the lane is stopping.
   *
   * @param isBacklog - true to wait also until more jobs are ready than one request takes.
   */
  async #waitForRoom(calls: number, isBacklog = false): Promise<boolean> {
    // Handlers that end together make room for one request, and not for one each.
    await passTurns();
    while (!this.#isStopping) {
      const hasRoom = this.#free >= calls && this.#calls.outcomes.unreported < MAX_UNREPORTED;
      if (hasRoom && (this.#isBacklogged || !isBacklog)) return true;
      this.#changed.clear();
      await this.#changed.wait();
      await passTurns();
    }
    return false;
  }
}
