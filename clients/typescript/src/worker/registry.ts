/** Registers the handlers and the middleware of a worker, and refuses what could never work at once. */
import { checkCount } from "./options.js";
import type { RunningJob } from "./running_job.js";

/** The most queue types that one dequeue may name. */
const MAX_TYPES = 16;

/** The most jobs that one dequeue may lease. */
const MAX_BATCH = 1_000;

/**
 * A function that does the work of one job, async or not. A JobResult that it returns is kept with the finished job; any
 * other value is ignored.
 *
 * @typeParam PayloadT - the type of the payload. Nothing checks it.
 */
export type Handler<PayloadT = unknown> = (job: RunningJob<PayloadT>) => unknown;

/**
 * A handler that gets several jobs at once. It returns nothing, or an array with the outcome of each job, in order: a
 * JobResult or an error, such as a Retry or a Drop; anything else stands for a finished job without a result.
 */
export type BatchHandler<PayloadT = unknown> = (jobs: RunningJob<PayloadT>[]) => unknown;

/** The argument of a handler: one job, or the jobs of a batch handler. */
export type Work = RunningJob | readonly RunningJob[];

/**
 * A function that runs around every handler, for logs, metrics or traces. It returns, or throws, what `await next()`
 * does; it sees the handler's JobResult and errors, and may replace them. Around a batch handler `work` is the array
 * of its jobs.
 */
export type Middleware = (work: Work, next: () => Promise<unknown>) => unknown;

/** A handler and what it handles. */
export interface Registration {
  /** Its types, one or more. */
  readonly queueTypes: readonly string[];
  /** The most jobs of one call; null for a handler that gets one job. */
  readonly batch: number | null;
  readonly call: (work: never) => unknown;
}

/** The handlers and the middleware of one worker. */
export class Registry {
  readonly handlers: Registration[] = [];
  readonly middleware: Middleware[] = [];

  /** The types that have a handler, in the order of their registration. */
  get queueTypes(): string[] {
    return this.handlers.flatMap((each) => each.queueTypes);
  }

  /**
   * Register a handler.
   *
   * @param batch - the most jobs of one call; null for a handler that gets one job.
   * @throws TypeError: the handler can never handle a job.
   * @throws RangeError: there is no type, more than 16, or one that has a handler already; or batch is out of range.
   */
  add(queueTypes: string | readonly string[], call: (work: never) => unknown, batch: number | null): void {
    const names = typeof queueTypes === "string" ? [queueTypes] : [...queueTypes];
    checkFunction("handler", call, batch === null ? "the job" : "the array of jobs");
    this.#checkTypes(names);
    if (batch !== null) checkCount("batch", batch, MAX_BATCH);
    this.handlers.push({ queueTypes: names, batch, call });
  }

  /**
   * Register middleware. The first one is the outermost.
   *
   * @throws TypeError: it is no function.
   */
  addMiddleware(middleware: Middleware): void {
    checkFunction("middleware", middleware, "the job and next");
    this.middleware.push(middleware);
  }

  #checkTypes(names: readonly string[]): void {
    if (!names.length) throw new RangeError("queueTypes: expected a type, or 1 to 16 types, got none");
    const known = new Set(this.queueTypes);
    for (const name of names) {
      if (typeof name !== "string") throw new TypeError(`queueTypes: expected names, got ${typeof name}`);
      if (known.has(name)) throw new RangeError(`queueTypes: ${name} has a handler already`);
      known.add(name);
    }
    if (known.size > MAX_TYPES) throw new RangeError(`queueTypes: expected up to ${MAX_TYPES} types`);
  }
}

function checkFunction(name: string, value: unknown, takes: string): void {
  const expected = `${name}: expected a function that takes ${takes}`;
  if (typeof value !== "function") {
    const isPromise = value instanceof Promise;
    const got = isPromise ? "a promise: hand in the function without calling it" : typeof value;
    throw new TypeError(`${expected}, got ${got}`);
  }
  if (/^class\b/.test(Function.prototype.toString.call(value))) {
    throw new TypeError(`${expected}, got the class ${value.name}`);
  }
  if (/GeneratorFunction$/.test(value.constructor.name)) {
    throw new TypeError(`${expected}, got the generator function ${value.name}: it would never run`);
  }
}
