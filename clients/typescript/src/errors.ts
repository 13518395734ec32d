/**
 * Defines the errors that the client throws, each with its code on the wire, its HTTP status and the state of the work.
 */
import type { components } from "./generated/openapi.js";

/** The codes of errors: those of the API, and those that only the client has. */
export type ErrorCode =
  | components["schemas"]["FailureCode"]
  | "unknown_host"
  | "wrong_url"
  | "untrusted_certificate"
  | "enqueue_stopped"
  | "incomplete_list";

/** The facts that all errors of one class share. */
interface Facts {
  readonly code: ErrorCode;
  readonly status: number;
  readonly perhapsDone?: boolean;
  readonly retryAfterMs?: number;
}

/**
 * The base of all errors. The message is for people and names the field in question.
 *
 * An error of this class itself is a fault of the server (`internal_error`), or has a code that this client does not
 * know: the work was perhaps done.
 */
export class SharqError extends Error {
  /** The facts of the class. */
  protected static readonly facts: Facts = { code: "internal_error", status: 500, perhapsDone: true };

  /** The code on the wire; each class has its own. */
  readonly code: ErrorCode;
  /** The HTTP status; 0 for an error that no answer of a server stands for. */
  readonly status: number;
  /** True if the work may have been done; false if certainly nothing changed. */
  readonly perhapsDone: boolean;
  /** The milliseconds after which a retry makes sense; null if a retry cannot help. */
  readonly retryAfterMs: number | null;

  constructor(message: string, options: SharqErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const facts = new.target.facts;
    this.name = new.target.name;
    this.code = facts.code;
    this.status = facts.status;
    this.perhapsDone = options.perhapsDone ?? facts.perhapsDone ?? false;
    // A server may ask for a longer pause; it cannot make an error repeatable that is not.
    const leastMs = facts.retryAfterMs ?? null;
    this.retryAfterMs = leastMs === null ? null : Math.max(leastMs, options.retryAfterMs ?? 0);
  }
}

/** The details of an error besides its message. */
export interface SharqErrorOptions {
  /** The error below this one. */
  readonly cause?: unknown;
  /** True if the work may have been done, where the class does not say it. */
  readonly perhapsDone?: boolean;
  /** The pause that the server asks for, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/** The request is wrong, and the message names the field. Nothing was done. */
export class InvalidRequest extends SharqError {
  protected static override readonly facts: Facts = { code: "invalid_request", status: 400 };
}

/** The request has no token, or an unknown one. Nothing was done. */
export class Unauthorized extends SharqError {
  protected static override readonly facts: Facts = { code: "unauthorized", status: 401 };
}

/** The request is not permitted from this page or under this host name. Nothing was done. */
export class Forbidden extends SharqError {
  protected static override readonly facts: Facts = { code: "forbidden", status: 403 };
}

/** The queue, job or path does not exist. Nothing was done. */
export class NotFound extends SharqError {
  protected static override readonly facts: Facts = { code: "not_found", status: 404 };
}

/** The path does not support the method. Nothing was done. */
export class MethodNotAllowed extends SharqError {
  protected static override readonly facts: Facts = { code: "method_not_allowed", status: 405 };
}

/** Another lease of the job exists, or the job is dead or deleted. Nothing was done. */
export class LeaseLost extends SharqError {
  protected static override readonly facts: Facts = { code: "lease_lost", status: 409 };
}

/** A worker has the job, so it is not cancelled without force. Nothing was done. */
export class Leased extends SharqError {
  protected static override readonly facts: Facts = { code: "leased", status: 409 };
}

/** The job is leased, finished, dead, cancelled or expired, so it cannot be changed. Nothing was done. */
export class NotWaiting extends SharqError {
  protected static override readonly facts: Facts = { code: "not_waiting", status: 409 };
}

/** The batch of the job was cancelled, so it takes no further jobs. Nothing was done. */
export class BatchCancelled extends SharqError {
  protected static override readonly facts: Facts = { code: "batch_cancelled", status: 409 };
}

/** A dead letter whose queue has waiting or leased jobs of as many other windows as it may. Nothing was done. */
export class TooManyWindows extends SharqError {
  protected static override readonly facts: Facts = { code: "too_many_windows", status: 409 };
}

/** Jobs or settings use the window, so it is not deleted. Nothing was done. */
export class WindowUsed extends SharqError {
  protected static override readonly facts: Facts = { code: "window_used", status: 409 };
}

/** A live job has this id. Nothing was done. */
export class Duplicate extends SharqError {
  protected static override readonly facts: Facts = { code: "duplicate", status: 409 };
}

/** The body did not arrive in time. Nothing was done. */
export class TooSlow extends SharqError {
  protected static override readonly facts: Facts = { code: "too_slow", status: 408 };
}

/** The server does not support the encoding of the body. Nothing was done. */
export class UnsupportedEncoding extends SharqError {
  protected static override readonly facts: Facts = { code: "unsupported_encoding", status: 415 };
}

/** The payload or the body is longer than its limit. Nothing was done. */
export class TooLarge extends SharqError {
  protected static override readonly facts: Facts = { code: "too_large", status: 413 };
}

/** The queue has as many jobs as the enqueue allows. Nothing was done. */
export class QueueFull extends SharqError {
  protected static override readonly facts: Facts = { code: "queue_full", status: 429 };
  /** The number of queued and delayed jobs at the refusal. */
  readonly queueLength: number;

  constructor(queueLength: number) {
    super("Max queue length reached");
    this.queueLength = queueLength;
  }
}

/** The server has reached its limit of work in flight. Nothing was done; try again, or at another router. */
export class Overloaded extends SharqError {
  protected static override readonly facts: Facts = { code: "overloaded", status: 429, retryAfterMs: 1_000 };
}

/** The store or the shard is unreachable or refused the call, or no connection was made. Nothing was done. */
export class Unavailable extends SharqError {
  protected static override readonly facts: Facts = { code: "unavailable", status: 503, retryAfterMs: 1_000 };
}

/** The name of the server's host is not known. Nothing was done. A client does not retry it; a worker goes on. */
export class UnknownHost extends Unavailable {
  protected static override readonly facts: Facts = {
    code: "unknown_host",
    status: 503,
    retryAfterMs: 1_000,
  };
}

/** The call was sent and no answer came, so it may have been done. Retry it with the same ids. */
export class OutcomeUnknown extends SharqError {
  protected static override readonly facts: Facts = {
    code: "outcome_unknown",
    status: 504,
    perhapsDone: true,
    retryAfterMs: 1_000,
  };
}

/** The store's memory is full: it accepts no more jobs; dequeue and finish still work. Nothing was done. */
export class StoreFull extends SharqError {
  protected static override readonly facts: Facts = { code: "store_full", status: 507 };
}

/** The URL leads to something else than the API of a SHARQ server. Nothing was done. */
export class WrongUrl extends SharqError {
  protected static override readonly facts: Facts = { code: "wrong_url", status: 0 };
}

/** The server's certificate is not trusted, has expired or is for another host. Nothing was sent. */
export class UntrustedCertificate extends SharqError {
  protected static override readonly facts: Facts = { code: "untrusted_certificate", status: 0 };
}

/**
 * A list has ended without the entries of some partitions, whose data in the store is broken. Trying again does not help
 * before the store is repaired.
 */
export class IncompleteList extends SharqError {
  protected static override readonly facts: Facts = { code: "incomplete_list", status: 0 };
  /** The numbers of these partitions, sorted. */
  readonly partitions: readonly number[];

  constructor(partitions: readonly number[]) {
    const numbers = partitions.join(", ");
    super(`the list is without partition ${numbers}: the data there is broken; see the log of the shard`);
    this.partitions = partitions;
  }
}

type ErrorClass = new (message: string, options?: SharqErrorOptions) => SharqError;

/** The class of each code of the API, but for the one whose error is made of a number. */
const CLASSES: Readonly<Record<Exclude<components["schemas"]["FailureCode"], "queue_full">, ErrorClass>> = {
  internal_error: SharqError,
  invalid_request: InvalidRequest,
  unauthorized: Unauthorized,
  forbidden: Forbidden,
  not_found: NotFound,
  method_not_allowed: MethodNotAllowed,
  lease_lost: LeaseLost,
  leased: Leased,
  not_waiting: NotWaiting,
  batch_cancelled: BatchCancelled,
  too_many_windows: TooManyWindows,
  window_used: WindowUsed,
  duplicate: Duplicate,
  too_slow: TooSlow,
  unsupported_encoding: UnsupportedEncoding,
  too_large: TooLarge,
  overloaded: Overloaded,
  unavailable: Unavailable,
  outcome_unknown: OutcomeUnknown,
  store_full: StoreFull,
};

/**
 * Return the error for the server's error code. An unknown code counts as perhaps done.
 *
 * @param queueLength - the length of a full queue; unused for other errors.
 * @param retryAfterMs - the pause that the server asks for.
 */
export function errorFromCode(
  code: string,
  message: string,
  queueLength = 0,
  retryAfterMs?: number,
): SharqError {
  if (code === "queue_full") return new QueueFull(queueLength);
  const errorClass = Object.hasOwn(CLASSES, code) ? CLASSES[code as keyof typeof CLASSES] : SharqError;
  return new errorClass(message, { retryAfterMs });
}
