/**
 * Defines by what a handler decides the fate of its job: it returns a JobResult to have a result kept, or throws
 * Throttled, Retry or Drop. Those may be returned, too.
 */

/** The longest hold that the server accepts. */
const MAX_HOLD_MS = 24 * 3600 * 1_000;

/** The longest delay of a release that the server accepts. */
export const MAX_DELAY_MS = 365 * 24 * 3600 * 1_000;

/** Tells what a value is, also if it is of another copy of this package, such as its CommonJS form. */
const KIND = Symbol.for("sharq-client.verb");

/** The largest cost that the server takes. */
const MAX_COST = 1_000_000;

/** The result of a job. A handler returns it to have it kept with the finished job, or to correct the job's cost. */
export class JobResult {
  /** @internal */
  readonly [KIND] = "result";
  readonly value: unknown;
  readonly cost: number | undefined;

  /**
   * @param value - any JSON value of at most 16 KiB of JSON text; undefined for none.
   * @param options - `cost`: the cost that the job turned out to have, 0 to 1,000,000; absent if it is as enqueued.
   * @throws RangeError: the cost is not in its range.
   */
  constructor(value?: unknown, { cost }: { readonly cost?: number | undefined } = {}) {
    if (cost !== undefined && !(Number.isInteger(cost) && cost >= 0 && cost <= MAX_COST)) {
      throw new RangeError(`cost: expected an integer from 0 to ${MAX_COST}, got ${cost}`);
    }
    this.value = value;
    this.cost = cost;
  }
}

/** The time for which a receiver accepts nothing. */
export interface ThrottledOptions {
  /** Milliseconds from now, 0 or more; more than 24 hours count as 24 hours. */
  readonly retryAfterMs: number;
  /** True to hold all queues of the gathered type, not only the job's queue. */
  readonly holdsType?: boolean | undefined;
  /**
   * The name of the cap to hold instead, such as that of the account that is throttled: no queue with it hands out jobs.
   * If there is no such cap, nothing is held.
   */
  readonly cap?: string | undefined;
}

/**
 * Thrown by a handler whose receiver takes nothing for now, such as after a 429 with a Retry-After.
 *
 * The worker releases the job without counting the attempt, and holds its queue for the time.
 */
export class Throttled extends Error {
  /** @internal */
  readonly [KIND] = "throttled";
  readonly holdMs: number;
  readonly holdsType: boolean;
  readonly cap: string | undefined;

  /** @throws RangeError: `retryAfterMs` is negative or not a number, or both `holdsType` and `cap` are given. */
  constructor({ retryAfterMs, holdsType = false, cap }: ThrottledOptions) {
    checkMs("retryAfterMs", retryAfterMs);
    if (holdsType && cap !== undefined)
      throw new RangeError("holdsType, cap: expected at most one of the two");
    super(`retry after ${retryAfterMs} ms`);
    this.name = "Throttled";
    this.holdMs = Math.min(retryAfterMs, MAX_HOLD_MS);
    this.holdsType = holdsType;
    this.cap = cap;
  }
}

/** When a job is tried again, and why. */
export interface RetryOptions {
  /** Milliseconds from now, 0 or more; more than 365 days count as 365 days. */
  readonly afterMs: number;
  /** The error that the server shows with the job. Without one it is that of `cause`. */
  readonly reason?: string | undefined;
  /** The error that made the attempt fail. */
  readonly cause?: unknown;
}

/**
 * Thrown by a handler whose job shall be tried again after a time that the handler knows.
 *
 * The worker releases the job with that delay. The attempt counts, so that past its requeue limit the job is a dead
 * letter. The delay wins over the retry policy of the job. Other jobs of the queue go on.
 */
export class Retry extends Error {
  /** @internal */
  readonly [KIND] = "retry";
  readonly delayMs: number;
  readonly reason: string;

  /** @throws RangeError: `afterMs` is negative or not a number. */
  constructor({ afterMs, reason = "", cause }: RetryOptions) {
    checkMs("afterMs", afterMs);
    super(reason || `retry after ${afterMs} ms`, cause === undefined ? undefined : { cause });
    this.name = "Retry";
    this.delayMs = Math.min(afterMs, MAX_DELAY_MS);
    this.reason = reason;
  }
}

/**
 * Thrown by a handler whose job shall never be tried again, such as one for a number that does not exist.
 *
 * The worker finishes the job and reports the reason as an event. The job is no dead letter.
 */
export class Drop extends Error {
  /** @internal */
  readonly [KIND] = "drop";

  constructor(readonly reason = "") {
    super(reason);
    this.name = "Drop";
  }
}

/** A value by which a handler decides the fate of its job. */
export type Verb = JobResult | Throttled | Retry | Drop;

/** Return the value if a handler decides by it; null if it is any other. */
export function verbOf(value: unknown): Verb | null {
  return typeof value === "object" && value !== null && KIND in value ? (value as Verb) : null;
}

/** Return which verb it is. */
export function kindOf(verb: Verb): "result" | "throttled" | "retry" | "drop" {
  return verb[KIND];
}

function checkMs(name: string, value: number): void {
  if (!(value >= 0)) throw new RangeError(`${name}: expected 0 milliseconds or more, got ${value}`);
}
