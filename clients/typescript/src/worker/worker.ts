/** Offers the worker: an application registers its handlers and middleware, and runs it. */
import type { Client, QueueTypes } from "../client.js";
import { type Settings, settingsOf, type WorkerOptions } from "./options.js";
import { type BatchHandler, type Handler, type Middleware, Registry } from "./registry.js";
import { Run } from "./run.js";
import { stopOnSignals } from "./signals.js";

/**
 * A worker that leases jobs of one queue type or several, and runs a handler for each.
 *
 * ```ts
 * const worker = new Worker(new Client(), { concurrency: 50 });
 * worker.handle<Sms>("sms", async (job) => { await carrier.send(job.payload); });
 * await worker.run();
 * ```
 *
 * A job is finished if its handler returns, and released with the text of the error if it throws; the retry policy of
 * the job then decides when it comes back. A handler may also throw Throttled, Retry or Drop, and return a JobResult.
 *
 * Delivery is at least once: a handler may get a job again after a crash, so it must be safe to run twice.
 */
export class Worker {
  readonly #client: Client;
  readonly #settings: Settings;
  readonly #registry = new Registry();
  #run: Run | null = null;
  #hasRun = false;
  #isStopped = false;

  /**
   * Configure the worker. This leases nothing yet.
   *
   * @throws RangeError: an option is out of range.
   */
  constructor(client: Client, options: WorkerOptions = {}) {
    this.#client = client;
    this.#settings = settingsOf(options);
  }

  /** The queue types that have a handler. */
  get queueTypes(): readonly string[] {
    return this.#registry.queueTypes;
  }

  /**
   * Register the handler of queue types, and return the worker.
   *
   * @typeParam PayloadT - the type of the payloads. Nothing checks it.
   * @param queueTypes - the types, 1 to 16 for all handlers together. One request asks for all of them, and the job that
   *   has been due longest comes first; `job.queue_type` tells them apart.
   * @throws TypeError: the handler is no function that could work.
   * @throws RangeError: there is no type, more than 16, or one that has a handler already.
   * @throws Error: the worker runs already.
   */
  handle<PayloadT = unknown>(queueTypes: QueueTypes, handler: Handler<PayloadT>): this {
    this.#checkNotRunning();
    this.#registry.add(queueTypes, handler, null);
    return this;
  }

  /**
   * Register a handler that gets several jobs at once, those that were ready, and return the worker.
   *
   * @param size - the most jobs of one call, 1 to 1,000.
   * @throws as `handle`; RangeError also if the size is out of range.
   */
  handleBatch<PayloadT = unknown>(
    queueTypes: QueueTypes,
    size: number,
    handler: BatchHandler<PayloadT>,
  ): this {
    this.#checkNotRunning();
    this.#registry.add(queueTypes, handler, size);
    return this;
  }

  /**
   * Register a function that runs around every handler, and return the worker. The first one is the outermost.
   *
   * @throws TypeError: it is no function.
   * @throws Error: the worker runs already.
   */
  use(middleware: Middleware): this {
    this.#checkNotRunning();
    this.#registry.addMiddleware(middleware);
    return this;
  }

  /** Stop leasing. `run` returns once all current jobs are done and reported. */
  stop(): void {
    this.#stop(null);
  }

  /**
   * End at once: abort the signals of all jobs, and release those whose handlers end within a second. The others come
   * back when their leases end.
   */
  abort(): void {
    this.#abort(null);
  }

  /**
   * Work until `stop` or a signal, also across restarts of the server. Call it once.
   *
   * SIGTERM, SIGINT and SIGHUP stop it, unless `handleSignals` is false: the first one as `stop` does, a second one as `abort`
   * does. The client stays open.
   *
   * @throws InvalidRequest, Unauthorized, Forbidden, NotFound, WrongUrl: the server refuses to lease, and a retry cannot
   *   help.
   * @throws TypeError: a handler returned a generator, so that it would never handle a job.
   * @throws Error: no handler is registered, or the worker has run already.
   */
  async run(): Promise<void> {
    if (!this.#registry.handlers.length) {
      throw new Error('run: no handler is registered; register one with worker.handle("sms", ...)');
    }
    if (this.#hasRun)
      throw new Error("run: this worker has been run already; make a new Worker for another run");
    this.#hasRun = true;
    this.#run = new Run(this.#client, this.#settings, this.#registry);
    if (this.#isStopped) this.#run.stop();
    const release = this.#settings.handleSignals
      ? stopOnSignals({ stop: (signal) => this.#stop(signal), abort: (signal) => this.#abort(signal) })
      : () => {};
    try {
      await this.#run.work();
    } finally {
      release();
    }
  }

  #stop(signal: NodeJS.Signals | null): void {
    if (!this.#isStopped) this.#settings.onEvent({ type: "worker_stopping", signal });
    this.#isStopped = true;
    this.#run?.stop();
  }

  #abort(signal: NodeJS.Signals | null): void {
    this.#isStopped = true;
    this.#settings.onEvent({ type: "worker_aborting", signal });
    this.#run?.abort();
  }

  #checkNotRunning(): void {
    if (this.#hasRun) throw new Error("handle: register all handlers and middleware before the worker runs");
  }
}
