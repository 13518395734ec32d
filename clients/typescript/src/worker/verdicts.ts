/** Decides the outcome of a job from what its handler returned or threw, and tells it as an event. */
import { checkedText, RawJson } from "../json.js";
import type { OnEvent } from "./events.js";
import { type Outcomes, textOfError } from "./outcomes.js";
import type { Running } from "./running_job.js";
import { type Drop, type JobResult, kindOf, type Retry, type Throttled, verbOf } from "./verbs.js";

/** The longest result that the server takes, in bytes of JSON text. */
const MAX_RESULT_BYTES = 16 * 1024;

/** The judge of the handlers of one run of a worker. */
export class Verdicts {
  readonly #outcomes: Outcomes;
  readonly #onEvent: OnEvent;

  constructor(outcomes: Outcomes, onEvent: OnEvent) {
    this.#outcomes = outcomes;
    this.#onEvent = onEvent;
  }

  /** Finish a job whose handler returned. A returned Retry, Throttled or Drop counts as if it were thrown. */
  returned(job: Running, value: unknown, durationMs: number): void {
    const verb = verbOf(value);
    if (verb !== null && kindOf(verb) !== "result") {
      this.threw([job], verb, durationMs);
      return;
    }
    const result = verb as JobResult | null;
    if (result === null) this.#outcomes.addFinished(job);
    else this.#outcomes.addFinished(job, this.#resultOf(job, result), result.cost);
    this.#onEvent({ type: "job_finished", job, durationMs });
  }

  /** Give each job of a batch its outcome. A returned error counts as if its job alone had thrown it. */
  returnedBatch(jobs: readonly Running[], value: unknown, durationMs: number): void {
    if (Array.isArray(value) ? value.length !== jobs.length : verbOf(value) !== null) {
      const got = Array.isArray(value) ? `an array of ${value.length}` : "a single outcome";
      const expected = `expected nothing, or an array with the outcome of each of the ${jobs.length} jobs`;
      this.threw(jobs, new TypeError(`batch handler: ${expected}, got ${got}`), durationMs);
      return;
    }
    const values: readonly unknown[] = Array.isArray(value) ? value : [];
    for (const [index, job] of jobs.entries()) {
      const each = values[index];
      if (each instanceof Error) this.threw([job], each, durationMs);
      else this.returned(job, each, durationMs);
    }
  }

  /** Decide the outcome of the jobs of a call that threw an error. */
  threw(jobs: readonly Running[], error: unknown, durationMs: number): void {
    const verb = verbOf(error);
    const kind = verb === null ? null : kindOf(verb);
    for (const job of jobs) {
      if (kind === "throttled") {
        const throttled = error as Throttled;
        this.#outcomes.addThrottled(job, throttled);
        this.#onEvent({ type: "job_throttled", job, durationMs, throttled });
      } else if (kind === "retry") {
        const retry = error as Retry;
        this.#outcomes.addRetry(job, retry);
        this.#onEvent({ type: "job_retried", job, durationMs, retry });
      } else if (kind === "drop") {
        this.#outcomes.addFinished(job);
        this.#onEvent({ type: "job_dropped", job, durationMs, drop: error as Drop });
      } else {
        this.#outcomes.addFailed(job, textOfError(error));
        this.#onEvent({ type: "job_failed", job, durationMs, error });
      }
    }
  }

  /** Release jobs whose handler ended because the stop ran out of time. The error of an earlier attempt stays. */
  stopped(jobs: readonly Running[], durationMs: number): void {
    for (const job of jobs) {
      this.#outcomes.addFailed(job);
      this.#onEvent({ type: "job_stopped", job, durationMs });
    }
  }

  /**
   * Leave jobs to their leases, because their handler still runs. If they were released, another worker could start them
   * while it does.
   */
  abandoned(jobs: readonly Running[], durationMs: number): void {
    for (const job of jobs) this.#onEvent({ type: "job_abandoned", job, durationMs });
  }

  /**
   * Return the result to report of a job; undefined if it cannot be sent. The work is done, so a result that cannot be
   * sent is reported as an event and left out: the job is not done again for it.
   */
  #resultOf(job: Running, { value }: JobResult): RawJson | undefined {
    if (value === undefined) return undefined;
    try {
      const text = checkedText(value, "result");
      const bytes = Buffer.byteLength(text);
      if (bytes <= MAX_RESULT_BYTES) return new RawJson(text);
      throw new RangeError(`result: it has ${bytes} bytes of JSON and may have ${MAX_RESULT_BYTES}`);
    } catch (error) {
      this.#onEvent({ type: "result_left_out", job, error: error as Error });
      return undefined;
    }
  }
}
