/** Keeps account of a stream of jobs: what was sent, what the server said, and where to resume. */
import type { EnqueueBody } from "../bodies.js";
import { SharqError, Unavailable } from "../errors.js";
import type { Enqueued } from "../shapes.js";
import { type BulkAnswers, type Result, toEnqueued } from "./answers.js";
import type { Batch } from "./lanes.js";

/** The failures that a summary lists; it counts all of them. */
const MAX_FAILURES = 1_000;

/** The errors that concern one job only. Any other one would come again for the next job, so it stops a stream. */
const OF_THE_JOB = new Set(["invalid_request", "too_large", "queue_full", "batch_cancelled"]);

/** A job that the server refused. */
export interface EnqueueFailure {
  /** The place of the job in the stream, 0 for the first. */
  readonly index: number;
  /** The id of the job; empty if it was not valid and had none. */
  readonly job_id: string;
  readonly error: SharqError;
}

/** The numbers of jobs that have their answer. */
export interface EnqueueNumbers {
  /** The number of jobs that have their answer: queued + duplicates + failed. */
  readonly sent: number;
  /** The number of jobs that the server queued. */
  readonly queued: number;
  /** The number of jobs that the server had already. */
  readonly duplicates: number;
  /** The number of jobs that were refused. */
  readonly failed: number;
}

/** The state of a call of `enqueueMany` that is under way. */
export interface EnqueueProgress extends EnqueueNumbers {
  /**
   * The index of the first job without an answer. A stream that is sent again from there, with the same job ids and
   * `repeat: true`, loses no job and queues none twice.
   */
  readonly resumeAt: number;
}

/** The answer to a stream of jobs. */
export interface EnqueueSummary extends EnqueueNumbers {
  /** The first 1,000 jobs that were refused, in their order. */
  readonly failures: readonly EnqueueFailure[];
}

/** The answers to an array of jobs: one for each, in order. */
export interface EnqueueAnswers extends EnqueueNumbers, BulkAnswers<Enqueued> {}

/**
 * A stream of jobs ended early, because no server took its calls. The error that ended it is its `cause`.
 *
 * Send the stream again from `resumeAt`, or from its beginning, with the same job ids and `repeat: true`: no job is
 * lost, and none is queued twice.
 */
export class EnqueueStopped extends SharqError {
  protected static override readonly facts = { code: "enqueue_stopped", status: 0 } as const;
  /** The error that ended the stream. Its `retryAfterMs` says whether sending the rest again can help. */
  declare readonly cause: SharqError;
  /** The numbers of the jobs that have their answer. */
  readonly summary: EnqueueSummary;
  /** The index of the first job without an answer. */
  readonly resumeAt: number;

  constructor(summary: EnqueueSummary, resumeAt: number, cause: SharqError) {
    super(`stopped after ${summary.sent} jobs, resume at index ${resumeAt}: ${cause.message}`, {
      cause,
      perhapsDone: cause.perhapsDone,
    });
    this.summary = summary;
    this.resumeAt = resumeAt;
  }
}

/** The account of one stream. */
export class Ledger {
  /** The error for which the stream ends early; null for none. */
  stoppedBy: SharqError | null = null;
  /** One answer for each job of an array; null for any other iterable, of which only failures are kept. */
  readonly #answers: (Enqueued | SharqError)[] | null;
  readonly #inFlight = new Set<number>();
  readonly #failures: EnqueueFailure[] = [];
  #queued = 0;
  #duplicates = 0;
  #failed = 0;
  #lostAt: number | null = null;

  constructor(length: number | null) {
    this.#answers = length === null ? null : Array.from({ length }, () => UNANSWERED);
  }

  /** Note a call that is on its way. */
  depart(batch: Batch): void {
    this.#inFlight.add(batch.indexes[0] as number);
  }

  /** Take the answers to a call, one for each of its jobs. */
  record({ indexes, bodies }: Batch, answers: readonly (Result | SharqError)[]): void {
    this.#inFlight.delete(indexes[0] as number);
    for (const [place, answer] of answers.entries()) {
      const index = indexes[place] as number;
      const { job_id: jobId } = bodies[place] as EnqueueBody;
      if (answer instanceof SharqError) {
        this.fail(index, jobId, answer);
        continue;
      }
      if (answer.duplicate) this.#duplicates += 1;
      else this.#queued += 1;
      if (this.#answers !== null) this.#answers[index] = toEnqueued(jobId, answer);
    }
    const [first] = answers;
    if (first instanceof SharqError && stops(first) && answers.every((each) => each === first)) {
      this.stoppedBy ??= first;
    }
  }

  /** Note a job that was refused, by the server or before it was sent. */
  fail(index: number, jobId: string, error: SharqError): void {
    if (this.#answers !== null) {
      this.#answers[index] = error;
    } else if (stops(error)) {
      this.stoppedBy ??= error;
      this.#lostAt = Math.min(index, this.#lostAt ?? index);
      return;
    }
    this.#failed += 1;
    if (this.#failures.length < MAX_FAILURES) this.#failures.push({ index, job_id: jobId, error });
  }

  /**
   * Return the numbers so far.
   *
   * @param firstGathered - the least place of a job that waits for its call, if there is one.
   * @param read - the number of jobs that were taken from the iterable.
   */
  progress(firstGathered: number | undefined, read: number): EnqueueProgress {
    const unanswered = [...this.#inFlight, firstGathered ?? read, this.#lostAt ?? read];
    return { ...this.#numbers(), resumeAt: Math.min(...unanswered) };
  }

  /** Return the answers to an array. A job that was not sent has an error, since an earlier call failed as a whole. */
  answers(): EnqueueAnswers {
    const reason = this.stoppedBy?.message ?? "";
    const unsent = new Unavailable(`not sent, because an earlier call failed: ${reason}`);
    const answers = (this.#answers ?? []).map((each) => (each === UNANSWERED ? unsent : each));
    const failed = answers.filter((each) => each instanceof SharqError).length;
    return { ...this.#numbers(), sent: answers.length, failed, answers };
  }

  /** Return the summary of a stream. */
  summary(): EnqueueSummary {
    return { ...this.#numbers(), failures: this.#failures.sort((one, other) => one.index - other.index) };
  }

  #numbers(): EnqueueNumbers {
    const [queued, duplicates, failed] = [this.#queued, this.#duplicates, this.#failed];
    return { sent: queued + duplicates + failed, queued, duplicates, failed };
  }
}

const UNANSWERED = new Unavailable("not sent");

/** Return true if an error says nothing about its job, so that further jobs would fail, too. */
function stops(error: SharqError): boolean {
  return !OF_THE_JOB.has(error.code);
}
