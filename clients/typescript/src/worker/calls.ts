/** Starts the handlers of leased jobs, and ends them at the stop of the worker. */
import type { Client } from "../client.js";
import type { LeasedJob } from "../shapes.js";
import type { OnEvent } from "./events.js";
import { Flag } from "./flag.js";
import { isLost, Leases } from "./leases.js";
import type { Settings } from "./options.js";
import { Outcomes } from "./outcomes.js";
import type { Middleware, Registration, Work } from "./registry.js";
import { Running, WorkerStopped } from "./running_job.js";
import { Verdicts } from "./verdicts.js";
import { verbOf } from "./verbs.js";

/** The most time that handlers have to end after their signals were aborted, if the stop is a graceful one. */
const MAX_CLEANUP_MS = 5_000;

/** The time that they have if the worker shall end at once. */
const ABORT_WAIT_MS = 1_000;

/** One call of a handler: with one job, or with the jobs of a batch. */
interface HandlerCall {
  readonly registration: Registration;
  readonly jobs: readonly Running[];
  readonly startedMs: number;
  readonly onEnded: () => void;
  /** True once the stop of the worker has aborted its signals. */
  isStopped: boolean;
  /** True once the worker waits for it no longer. */
  isAbandoned: boolean;
}

/** The calls of handlers of one run of a worker. */
export class Calls {
  readonly outcomes: Outcomes;
  readonly leases: Leases;
  readonly #verdicts: Verdicts;
  readonly #middleware: readonly Middleware[];
  readonly #onEvent: OnEvent;
  readonly #onUnfit: (error: TypeError) => void;
  readonly #running = new Set<HandlerCall>();
  readonly #isIdle = new Flag();
  readonly #isAborted = new Flag();
  readonly #report = (lease: string, json: string) => this.leases.report(lease, json);
  #hasAborted = false;

  /**
   * Create an empty set of calls.
   *
   * @param middleware - what runs around each handler, the outermost first.
   * @param onAnswered - called each time that the server has answered reports of outcomes.
   * @param onUnfit - called with the error of a handler that can never handle a job.
   */
  constructor(
    client: Client,
    settings: Settings,
    middleware: readonly Middleware[],
    onAnswered: () => void,
    onUnfit: (error: TypeError) => void,
  ) {
    const { onEvent, leaseMs, releaseDelayMs } = settings;
    this.#onEvent = onEvent;
    this.#onUnfit = onUnfit;
    this.#middleware = middleware;
    this.leases = new Leases(client, leaseMs, onEvent);
    this.outcomes = new Outcomes(client, releaseDelayMs, {
      onAnswered,
      onNotReported: (count, error) => onEvent({ type: "outcomes_not_reported", count, error }),
      onDetailsRefused: (job, error) => onEvent({ type: "details_left_out", job, error }),
      onReported: (job, outcome, error) => {
        if (error === null) {
          onEvent({ type: "outcome_reported", job, outcome });
          return;
        }
        onEvent({ type: "outcome_refused", job, outcome, error });
        if (isLost(error)) onEvent({ type: "lease_lost", job, error });
      },
    });
    this.#verdicts = new Verdicts(this.outcomes, onEvent);
    this.#isIdle.set();
  }

  /** Start a handler for leased jobs. It runs up to its first wait before this returns. */
  start(registration: Registration, leased: readonly LeasedJob[], onEnded: () => void): void {
    const jobs = leased.map((job) => new Running(job, this.#report));
    const startedMs = performance.now();
    const call = { registration, jobs, startedMs, onEnded, isStopped: false, isAbandoned: false };
    this.#running.add(call);
    this.#isIdle.clear();
    this.leases.begin(jobs);
    for (const job of jobs) this.#onEvent({ type: "job_started", job });
    this.#run(call).then(
      (value) => this.#end(call, () => this.#judgeReturned(call, value)),
      (error: unknown) => this.#end(call, () => this.#judgeThrown(call, error)),
    );
  }

  /** Release jobs that came too late to be started. Their attempts do not count. */
  refuse(jobs: Iterable<LeasedJob>): void {
    for (const job of jobs) this.outcomes.addUnstarted(job);
  }

  /**
   * Wait for the handlers. Abort the signals of those that still run at the timeout or at `abort`, wait a little
   * longer, and give up those that run on.
   */
  async finish(timeoutMs: number): Promise<void> {
    await Promise.race([this.#isIdle.waitFor(timeoutMs), this.#isAborted.wait()]);
    this.#stopAll();
    await Promise.race([this.#isIdle.waitFor(Math.min(timeoutMs, MAX_CLEANUP_MS)), this.#isAborted.wait()]);
    if (this.#hasAborted) await this.#isIdle.waitFor(ABORT_WAIT_MS);
    for (const call of this.#running) {
      call.isAbandoned = true;
      this.leases.end(call.jobs);
      this.#verdicts.abandoned(call.jobs, durationOf(call));
    }
  }

  /** Abort the signals of all jobs at once. `finish` returns soon, even if some handlers do not end. */
  abort(): void {
    this.#hasAborted = true;
    this.#stopAll();
    this.#isAborted.set();
  }

  /** Return what the handler returns, with the middleware around it. */
  async #run({ registration, jobs }: HandlerCall): Promise<unknown> {
    const work: Work = registration.batch === null ? (jobs[0] as Running) : [...jobs];
    const { call } = registration;
    let next = async () => call(work as never);
    for (const around of [...this.#middleware].reverse()) {
      const inner = next;
      next = async () => around(work, inner);
    }
    return next();
  }

  #end(call: HandlerCall, judge: () => void): void {
    this.#running.delete(call);
    if (call.isAbandoned) return;
    this.leases.end(call.jobs);
    call.onEnded();
    judge();
    if (!this.#running.size) this.#isIdle.set();
  }

  #judgeReturned(call: HandlerCall, value: unknown): void {
    const { registration, jobs } = call;
    const durationMs = durationOf(call);
    if (isGenerator(value)) {
      const error = new TypeError("handler: it returned a generator, which is never run");
      this.#onUnfit(error);
      this.#verdicts.threw(jobs, error, durationMs);
    } else if (registration.batch === null) {
      this.#verdicts.returned(jobs[0] as Running, value, durationMs);
    } else {
      this.#verdicts.returnedBatch(jobs, value, durationMs);
    }
  }

  #judgeThrown(call: HandlerCall, error: unknown): void {
    const isOfTheStop = call.isStopped && verbOf(error) === null;
    if (isOfTheStop) this.#verdicts.stopped(call.jobs, durationOf(call));
    else this.#verdicts.threw(call.jobs, error, durationOf(call));
  }

  #stopAll(): void {
    for (const call of this.#running) {
      if (call.isStopped) continue;
      call.isStopped = true;
      for (const job of call.jobs) job.abort(new WorkerStopped());
    }
  }
}

function durationOf(call: HandlerCall): number {
  return performance.now() - call.startedMs;
}

function isGenerator(value: unknown): boolean {
  return /Generator\]$/.test(Object.prototype.toString.call(value));
}
