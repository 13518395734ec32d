/** Defines the options of a worker, and validates them when the worker is made. */
import { logEvent, type OnEvent } from "./events.js";
import { MAX_DELAY_MS } from "./verbs.js";

/** The options of a worker. All have defaults. */
export interface WorkerOptions {
  /** The most handlers that run at once, 10 by default. Each batch handler has as many calls of its own. */
  readonly concurrency?: number | undefined;
  /** The most jobs to lease with one request for handlers that get one job, 1 to 1,000; 100 by default. */
  readonly batch?: number | undefined;
  /**
   * The length of a lease in milliseconds, 100 to 86,400,000; 30,000 by default. The worker extends a lease half-way to
   * its end, for as long as the handler runs.
   */
  readonly leaseMs?: number | undefined;
  /**
   * The time in milliseconds that the server holds a request while no job is ready, 0 to 60,000; 2,000 by default. A
   * stop waits for the request, so that no lease is lost in an unread answer.
   */
  readonly waitMs?: number | undefined;
  /**
   * The delay in milliseconds of a job whose handler threw, 0 for none. Absent for that of the retry policy of the
   * job, its queue or its gathered type, or a second if there is none.
   */
  readonly releaseDelayMs?: number | undefined;
  /**
   * The time in milliseconds that a stop waits for handlers, and then again for the reports; 30,000 by default. The
   * signals of the jobs that still run are aborted then, and their handlers have as long again, at most 5 s.
   */
  readonly stopTimeoutMs?: number | undefined;
  /** True, the default, if SIGTERM, SIGINT and SIGHUP stop `run`: the first one gracefully, a second one at once. */
  readonly handleSignals?: boolean | undefined;
  /**
   * Called with each event, for logs and metrics. It must not block. Without it the events that somebody should look at
   * are written to the standard error; see {@link logEvent}.
   */
  readonly onEvent?: OnEvent | undefined;
}

/** The validated options of a worker. */
export interface Settings {
  readonly concurrency: number;
  readonly batch: number;
  readonly leaseMs: number;
  readonly waitMs: number;
  readonly releaseDelayMs: number | undefined;
  readonly stopTimeoutMs: number;
  readonly handleSignals: boolean;
  readonly onEvent: OnEvent;
}

/**
 * Return the options with their defaults.
 *
 * @throws RangeError: an option is out of its range.
 */
export function settingsOf(options: WorkerOptions): Settings {
  const { releaseDelayMs, onEvent = logEvent } = options;
  const settings = {
    concurrency: options.concurrency ?? 10,
    batch: options.batch ?? 100,
    leaseMs: options.leaseMs ?? 30_000,
    waitMs: options.waitMs ?? 2_000,
    releaseDelayMs,
    stopTimeoutMs: options.stopTimeoutMs ?? 30_000,
    handleSignals: options.handleSignals ?? true,
    onEvent: guarded(onEvent),
  };
  checkCount("concurrency", settings.concurrency);
  checkCount("batch", settings.batch, 1_000);
  check("leaseMs", settings.leaseMs, 100, 86_400_000);
  check("waitMs", settings.waitMs, 0, 60_000);
  check("releaseDelayMs", releaseDelayMs ?? 0, 0, MAX_DELAY_MS);
  check("stopTimeoutMs", settings.stopTimeoutMs, 0, 2 ** 31 - 1);
  return settings;
}

/**
 * Check a number of jobs.
 *
 * @throws RangeError: it is no integer from 1 to `most`.
 */
export function checkCount(name: string, value: number, most = Infinity): void {
  check(name, value, 1, most);
  if (!Number.isInteger(value)) throw new RangeError(`${name}: expected an integer, got ${value}`);
}

function check(name: string, value: number, least: number, most = Infinity): void {
  if (value >= least && value <= most) return;
  const expected = most === Infinity ? `${least} or more` : `${least} to ${most}`;
  throw new RangeError(`${name}: expected ${expected}, got ${value}`);
}

/** Return a callback whose errors become warnings of the process: a job must not suffer for its log line. */
function guarded(onEvent: OnEvent): OnEvent {
  return (event) => {
    try {
      onEvent(event);
    } catch (error) {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      process.emitWarning(`onEvent threw at ${event.type}: ${reason}`, "SharqWarning");
    }
  };
}
