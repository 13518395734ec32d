/**
 * Defines what the client takes and returns. The fields have the names of the HTTP API, from the OpenAPI document.
 *
 * Durations are in milliseconds, and times in milliseconds since the epoch by the store's clock.
 */
import type { components } from "./generated/openapi.js";

type Schemas = components["schemas"];

/** An answer without its `status`, which says nothing more than that it is one. */
type Plain<AnswerT> = Omit<AnswerT, "status">;

/** A request, whose optional fields may also be there as undefined; they are not sent then. */
type Request<BodyT> = {
  [Name in keyof BodyT]: object extends Pick<BodyT, Name> ? BodyT[Name] | undefined : BodyT[Name];
};

/** A failure as the API sends it. The code is empty if a dequeue found no ready job. */
export interface Failure extends Omit<Plain<Schemas["FailureAnswer"]>, "code"> {
  readonly code: string;
}

/** The state of a job: queued, delayed, leased, finished, dead, cancelled or expired. */
export type JobState = Schemas["JobState"];

/** The reason why a job became a dead letter: it passed its requeue limit (`limit`), or it expired. */
export type DeadReason = Schemas["DeadReason"];

/**
 * The wait after an attempt that failed: min(max, delay · factor^(attempt - 1)), less up to `jitter` of it by chance.
 *
 * An attempt fails if its lease ends by time, or if it is released without a delay or with `preferRetry`.
 */
export type RetryPolicy = Request<Schemas["RetryBody"]>;

/**
 * A job to enqueue.
 *
 * A job is safe by default: one that always fails is tried at most 11 times, ever more rarely, and is then a dead letter.
 * `requeue_limit: -1, retry: null` turns this off.
 */
export interface EnqueueJob extends Request<Omit<Schemas["EnqueueEntry"], "requeue_limit" | "retry">> {
  /**
   * The content of the job: any JSON value. An object may have a method `toJSON`, as a Date has. Bytes, bigint,
   * functions, symbols, undefined, maps and sets are refused; NaN and infinities become null.
   */
  payload: unknown;
  /**
   * The number of times that the job is requeued after a failed attempt, 10 by default; -1 for no limit. null for the
   * default of the server's configuration, which is no limit unless it says otherwise.
   */
  requeue_limit?: number | null | undefined;
  /**
   * The wait after a failed attempt, {@link DEFAULT_RETRY} by default. null sends none: then the policy of the queue
   * or of its gathered type applies, or else there is no wait.
   */
  retry?: RetryPolicy | null | undefined;
}

/** The requeue limit of a job that names none: it is delivered at most 11 times. */
export const DEFAULT_REQUEUE_LIMIT = 10;

/** The retry policy of a job that names none: 1 s, 2 s, 4 s and so on up to 5 minutes, each up to a fifth shorter. */
export const DEFAULT_RETRY: Readonly<Required<RetryPolicy>> = Object.freeze({
  delay: 1_000,
  factor: 2,
  max: 300_000,
  jitter: 0.2,
});

/** The answer to an enqueue: the server has the job. */
export interface Enqueued {
  /** The id of the job. The client generated it if the caller gave none. */
  job_id: string;
  /** True if the server had the job already, so that nothing changed. After a retry, the first try may have sent it. */
  duplicate: boolean;
  /** The number of queued and delayed jobs before this one; absent unless a maximum was given. */
  current_queue_length?: number;
  /** The reason why the queue cannot keep the rate that was sent; absent for none, and after `enqueueMany`. */
  warning?: string;
}

/**
 * A job that this client holds the lease of until `lease_expires_at`.
 *
 * @typeParam PayloadT - the type of the payload. Nothing checks it.
 */
export interface LeasedJob<PayloadT = unknown> extends Omit<
  Schemas["DequeuedJob"],
  "payload" | "queue_type"
> {
  /** The type of the queue. */
  queue_type: string;
  /** The content of the job. */
  payload: PayloadT;
}

/** A job by its ids. Without a lease, `finish` acts on the live lease, as in the original. */
export interface JobRef {
  readonly queue_type: string;
  readonly queue_id: string;
  readonly job_id: string;
  /** The token of the lease. */
  readonly lease?: string | undefined;
}

/** The state of one job. */
export type JobStatus = Plain<Schemas["JobAnswer"]>;

/** One job in a list of a queue's jobs. */
export type JobRow = Schemas["ListedJob"];

/**
 * A change of a waiting job: a field that is absent stays as it is. `expires` or `expires_at` of null: it never
 * expires.
 */
export type JobChange = Request<Schemas["ChangeBody"]>;

/** A job that passed its requeue limit or expired, kept for inspection. */
export type DeadLetter = Schemas["DeadJob"];

/** A reference to one dead letter of a type. */
export type DeadRef = Schemas["RedriveEntry"];

/** A rate to set: `interval` or `rate`, `burst` and `pin`. */
export type RateChange = Request<Schemas["RateBody"]>;

/** The current state of one queue. */
export type QueueStats = Plain<Schemas["QueueAnswer"]>;

/** A change of the settings of a queue: a field that is absent stays as it is, and null clears the setting. */
export type QueueSettings = Request<Schemas["SettingsBody"]>;

/** One queue in a list, with its numbers. */
export type QueueRow = Schemas["QueueRow"];

/** The waiting jobs of one queue, with their ages. */
export type QueueAge = Schemas["TopQueueAnswer"];

/** The current state of a gathered type. */
export type TypeStats = Plain<Schemas["TypeAnswer"]>;

/** A change of the settings of a gathered type: a field that is absent stays, and null clears the setting. */
export type TypeSettings = Request<Schemas["TypeBody"]>;

/** One type in a list, with its numbers over all queues. */
export type TypeRow = Schemas["TypeRowAnswer"];

/** The counts of enqueued and leased jobs in the last ten minutes, by the start of the minute. */
export type Counts = Plain<Schemas["AllCounts"]>;

/** The counts of one queue in the last ten minutes, by the start of the minute. */
export type QueueCounts = Plain<Schemas["QueueCounts"]>;

/** The number of jobs of a batch by state, over all queues of its type. */
export type BatchStatus = Plain<Schemas["BatchAnswer"]>;

/** The definition of a cap, which replaces the present one: what is absent is no limit. */
export type Cap = Request<Schemas["CapBody"]>;

/** A hold of a cap, which a finish or a release asks for: its name, and the time from now in milliseconds. */
export type CapHold = Readonly<Schemas["HoldCapBody"]>;

/** A cap and its state after its definition; `warning` is the limit that is not delivered in full at its burst. */
export type CapDefined = Plain<Schemas["CapDefined"]>;

/** A cap, its state and what waits for it. */
export type CapState = Plain<Schemas["CapAnswer"]>;

/** A cap in a list. */
export type CapRow = Schemas["CapRow"];

/** The definition of a window: it is open if the clock of the zone reads a minute of one of its ranges. */
export type Window = Request<Schemas["WindowBody"]>;

/** A window and its state. */
export type WindowState = Plain<Schemas["WindowAnswer"]>;

/** A window in a list. */
export type WindowRow = Schemas["WindowRow"];

/** The job of a schedule: as one to enqueue, without an id and without times of its own. */
export type ScheduledJob = Omit<EnqueueJob, "job_id" | "delay" | "at" | "expires_at">;

/** The slots of a schedule: `cron`, in the zone `tz`, or `every` in milliseconds; and whether its queue gets a rate. */
export type Slots = Request<Pick<Schemas["ScheduleBody"], "cron" | "every" | "tz" | "rate_later">>;

/** The state of one schedule, with its job. */
export type ScheduleState = Plain<Schemas["ScheduleAnswer"]>;

/** One schedule in a list. */
export type ScheduleRow = Schemas["ScheduleRow"];

/** The cluster as one router sees it: its members, and how each sees the store. */
export type ClusterState = Plain<Schemas["ClusterInfo"]>;

/** The rights of the caller. A server that asks for no tokens gives everyone all of them. */
export type TokenRights = Plain<Schemas["TokenAnswer"]>;

const ENDED: ReadonlySet<string> = new Set(["finished", "dead", "cancelled", "expired"]);

/** Return true if a job has ended: if it is finished, dead, cancelled or expired. */
export function hasEnded(job: Pick<JobStatus, "state">): boolean {
  return ENDED.has(job.state);
}
