/** The client of SHARQ cluster, and its worker. */
export { Client } from "./client.js";
export type {
  DequeueOptions,
  FinishOptions,
  QueueTypes,
  ReleaseManyOptions,
  ReleaseOptions,
  SettleOptions,
} from "./client.js";
export type { ClientOptions } from "./http/settings.js";
export type { Jobs } from "./jobs.js";
export type { Control, QueueOrder, RowOrder } from "./control.js";
export type { Schedules } from "./schedules.js";
export type { BulkAnswers } from "./bulk/answers.js";
export type { EnqueueManyOptions, JobStream } from "./bulk/stream.js";
export { EnqueueStopped } from "./bulk/ledger.js";
export type {
  EnqueueAnswers,
  EnqueueFailure,
  EnqueueNumbers,
  EnqueueProgress,
  EnqueueSummary,
} from "./bulk/ledger.js";
export {
  BatchCancelled,
  Duplicate,
  Forbidden,
  IncompleteList,
  InvalidRequest,
  Leased,
  LeaseLost,
  MethodNotAllowed,
  NotFound,
  NotWaiting,
  OutcomeUnknown,
  Overloaded,
  QueueFull,
  SharqError,
  StoreFull,
  TooLarge,
  TooManyWindows,
  TooSlow,
  Unauthorized,
  Unavailable,
  UnknownHost,
  UnsupportedEncoding,
  UntrustedCertificate,
  WindowUsed,
  WrongUrl,
} from "./errors.js";
export type { ErrorCode, SharqErrorOptions } from "./errors.js";
export { RawJson } from "./json.js";
export { DEFAULT_REQUEUE_LIMIT, DEFAULT_RETRY, hasEnded } from "./shapes.js";
export type {
  BatchStatus,
  Cap,
  CapDefined,
  CapHold,
  CapRow,
  CapState,
  ClusterState,
  Counts,
  DeadLetter,
  DeadReason,
  DeadRef,
  Enqueued,
  EnqueueJob,
  JobChange,
  JobRef,
  JobRow,
  JobState,
  JobStatus,
  LeasedJob,
  QueueAge,
  QueueCounts,
  QueueRow,
  QueueSettings,
  QueueStats,
  RateChange,
  RetryPolicy,
  ScheduledJob,
  ScheduleRow,
  ScheduleState,
  Slots,
  TokenRights,
  TypeRow,
  TypeSettings,
  TypeStats,
  Window,
  WindowRow,
  WindowState,
} from "./shapes.js";
export { Worker } from "./worker/worker.js";
export type { WorkerOptions } from "./worker/options.js";
export type { BatchHandler, Handler, Middleware, Work } from "./worker/registry.js";
export { Drop, JobResult, Retry, Throttled } from "./worker/verbs.js";
export type { RetryOptions, ThrottledOptions } from "./worker/verbs.js";
export { WorkerStopped } from "./worker/running_job.js";
export type { RunningJob } from "./worker/running_job.js";
export { logEvent } from "./worker/events.js";
export type { JobOutcome, WorkerEvent } from "./worker/events.js";
