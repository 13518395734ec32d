/** Defines what a worker tells of itself, for logs and metrics. */
import type { SharqError } from "../errors.js";
import type { LeasedJob } from "../shapes.js";
import type { Drop, Retry, Throttled } from "./verbs.js";

/** The worker's report about a job: its finish, or its release. */
export type JobOutcome = "finish" | "release";

/** The events of a job whose handler has ended. */
export type JobEvent =
  /** The handler returned. */
  | { readonly type: "job_finished"; readonly job: LeasedJob; readonly durationMs: number }
  /** The handler threw. `requeues_remaining` of the job is 0 if it is a dead letter now, -1 for no limit. */
  | {
      readonly type: "job_failed";
      readonly job: LeasedJob;
      readonly durationMs: number;
      readonly error: unknown;
    }
  /** The handler threw Retry. */
  | {
      readonly type: "job_retried";
      readonly job: LeasedJob;
      readonly durationMs: number;
      readonly retry: Retry;
    }
  /** The handler threw Throttled. */
  | {
      readonly type: "job_throttled";
      readonly job: LeasedJob;
      readonly durationMs: number;
      readonly throttled: Throttled;
    }
  /** The handler threw Drop. */
  | {
      readonly type: "job_dropped";
      readonly job: LeasedJob;
      readonly durationMs: number;
      readonly drop: Drop;
    }
  /** The stop ran out of time, and the handler ended when its signal was aborted. The job is released. */
  | { readonly type: "job_stopped"; readonly job: LeasedJob; readonly durationMs: number }
  /** The stop ran out of time, and the handler still runs. The job comes back when its lease ends. */
  | { readonly type: "job_abandoned"; readonly job: LeasedJob; readonly durationMs: number };

/** An event of a worker. `type` tells them apart. */
export type WorkerEvent =
  | JobEvent
  | {
      readonly type: "worker_started";
      readonly queueTypes: readonly string[];
      readonly concurrency: number;
    }
  /** A stop has begun. A second signal ends the worker at once. */
  | { readonly type: "worker_stopping"; readonly signal: NodeJS.Signals | null }
  /** The worker ends at once. */
  | { readonly type: "worker_aborting"; readonly signal: NodeJS.Signals | null }
  | { readonly type: "worker_stopped" }
  /** A handler is about to be called with a job. */
  | { readonly type: "job_started"; readonly job: LeasedJob }
  /** A request for jobs failed. The worker tries again. */
  | { readonly type: "dequeue_failed"; readonly error: SharqError; readonly retryInMs: number }
  /**
   * A lease was not extended. The worker tries again, unless the lease is lost or the request was wrong. The same error
   * of a lease is told once, until it is extended.
   */
  | { readonly type: "extend_failed"; readonly job: LeasedJob; readonly error: SharqError }
  /** A lease ended before the worker had reported the job, so that another worker may run it again. */
  | { readonly type: "lease_lost"; readonly job: LeasedJob; readonly error: SharqError }
  /** A result was no JSON or too long. The job is finished without it, because its work is done. */
  | { readonly type: "result_left_out"; readonly job: LeasedJob; readonly error: Error }
  /**
   * The server refused an outcome with a result, an error, or the hold of a type or cap. It is sent without them, and
   * holds the job's queue instead.
   */
  | { readonly type: "details_left_out"; readonly job: LeasedJob; readonly error: SharqError }
  /** The server has taken the outcome of a job. */
  | { readonly type: "outcome_reported"; readonly job: LeasedJob; readonly outcome: JobOutcome }
  /** The server refused the outcome of a job for good. */
  | {
      readonly type: "outcome_refused";
      readonly job: LeasedJob;
      readonly outcome: JobOutcome;
      readonly error: SharqError;
    }
  /** The server did not take outcomes. The worker tries again. */
  | { readonly type: "outcomes_not_reported"; readonly count: number; readonly error: SharqError }
  /** The worker has stopped, and the server does not know these outcomes. The jobs come back as their leases end. */
  | { readonly type: "outcomes_left_unreported"; readonly count: number }
  /** Something keeps the event loop: meanwhile no other job runs and no lease is extended. It is reported once. */
  | { readonly type: "loop_blocked"; readonly blockedMs: number };

/** Takes the events of a worker. */
export type OnEvent = (event: WorkerEvent) => void;

/**
 * Write the events that somebody should look at to the standard error, each as a line: failed jobs with their errors,
 * and whatever the worker could not do. It is what a worker does without an `onEvent`. Payloads are not written.
 */
export function logEvent(event: WorkerEvent): void {
  const text = textOf(event);
  if (text !== null) console.error(`sharq ${event.type} ${text}`);
}

function textOf(event: WorkerEvent): string | null {
  switch (event.type) {
    case "job_failed": {
      const { job, error } = event;
      const attempts = `attempt=${job.attempt} requeues_remaining=${job.requeues_remaining}`;
      return `${idsOf(job)} ${attempts}: ${error instanceof Error ? (error.stack ?? String(error)) : String(error)}`;
    }
    case "job_dropped":
      return `${idsOf(event.job)} reason=${event.drop.reason}`;
    case "job_stopped":
    case "job_abandoned":
      return idsOf(event.job);
    case "dequeue_failed":
      return `retry_in_ms=${Math.round(event.retryInMs)}: ${event.error.message}`;
    case "extend_failed":
    case "lease_lost":
    case "result_left_out":
    case "details_left_out":
    case "outcome_refused":
      return `${idsOf(event.job)}: ${event.error.message}`;
    case "outcomes_not_reported":
      return `count=${event.count}: ${event.error.message}`;
    case "outcomes_left_unreported":
      return `count=${event.count}`;
    case "loop_blocked":
      return (
        `blocked_ms=${Math.round(event.blockedMs)}: while it is blocked, no other job runs and no lease is extended. ` +
        "Move the work to a worker thread or a child process"
      );
    case "worker_stopping":
    case "worker_aborting":
      return event.signal === null ? null : `signal=${event.signal}`;
    case "worker_started":
    case "worker_stopped":
    case "job_started":
    case "job_finished":
    case "job_retried":
    case "job_throttled":
    case "outcome_reported":
      return null;
  }
}

function idsOf({ queue_type, queue_id, job_id }: LeasedJob): string {
  return `queue_type=${queue_type} queue_id=${queue_id} job_id=${job_id}`;
}
