/**
 * Reports the outcomes of leased jobs (finish or release) in bulk, and retries until the server has answered.
 *
 * While a call is in flight, further outcomes collect for the next one, so calls carry more the busier the worker is.
 */
import { inspect } from "node:util";
import type { Client, ReleaseOptions } from "../client.js";
import { InvalidRequest, type SharqError, TooLarge } from "../errors.js";
import { mayRepeat, pauseMs } from "../http/failures.js";
import type { RawJson } from "../json.js";
import type { LeasedJob } from "../shapes.js";
import type { JobOutcome } from "./events.js";
import { Flag, passTurns } from "./flag.js";
import type { Retry, Throttled } from "./verbs.js";

/** The delay of a failed job for which neither the job, its queue nor its gathered type has a retry policy. */
const DELAY_WITHOUT_POLICY_MS = 1_000;

/** The length at which the server cuts the error of a release, in bytes of UTF-8. */
const MAX_ERROR_BYTES = 2_048;

/** The conditions of a release. Jobs with the same ones travel in one call. */
type ReleaseTerms = Omit<ReleaseOptions, "error" | "cost">;

/** The outcome of one job. */
interface Report {
  readonly job: LeasedJob;
  /** The conditions of a release; null for a finish. */
  readonly release: ReleaseTerms | null;
  /** The reason of a release. */
  readonly error?: string | undefined;
  /** The result of a finished job. */
  readonly result?: RawJson | undefined;
  /** The cost that a finished job turned out to have. */
  readonly cost?: number | undefined;
}

/** The callbacks about reported outcomes. */
export interface ReportHooks {
  /** Called once for each outcome that the server has answered, with the error if it refused it for good. */
  readonly onReported: (job: LeasedJob, outcome: JobOutcome, error: SharqError | null) => void;
  /** Called if the server refused an outcome with details, such as a result, which is sent again without them. */
  readonly onDetailsRefused: (job: LeasedJob, error: SharqError) => void;
  /** Called after each round of calls, when fewer outcomes are unreported. */
  readonly onAnswered: () => void;
  /** Called when the server did not take outcomes, which are sent again. */
  readonly onNotReported: (count: number, error: SharqError) => void;
}

/** The outcomes that the server has not answered yet. */
export class Outcomes {
  readonly #client: Client;
  readonly #failed: ReleaseTerms;
  readonly #hooks: ReportHooks;
  readonly #changed = new Flag();
  #waiting: Report[] = [];
  #sending: Report[] = [];
  #isClosed = false;
  readonly #hasGivenUp = new Flag();
  #isGivenUp = false;

  /** @param releaseDelayMs - the delay of jobs that failed; undefined for that of their retry policies. */
  constructor(client: Client, releaseDelayMs: number | undefined, hooks: ReportHooks) {
    this.#client = client;
    this.#failed =
      releaseDelayMs === undefined
        ? { delayMs: DELAY_WITHOUT_POLICY_MS, preferRetry: true }
        : { delayMs: releaseDelayMs };
    this.#hooks = hooks;
  }

  /** The number of outcomes that the server has not answered. */
  get unreported(): number {
    return this.#sending.length + this.#waiting.length;
  }

  /** Add the finish of a job to the next report, with its result and its actual cost. */
  addFinished(job: LeasedJob, result?: RawJson, cost?: number): void {
    this.#add({ job, release: null, result, cost });
  }

  /** Add the release of a job whose attempt failed, with the text of the error; undefined if it was interrupted. */
  addFailed(job: LeasedJob, error?: string): void {
    this.#add({ job, release: this.#failed, error });
  }

  /** Add the release of a job that no handler has seen. Its attempt does not count. */
  addUnstarted(job: LeasedJob): void {
    this.#add({ job, release: { counts: false } });
  }

  /** Add the release of a job whose attempt does not count, with a hold of its queue, its type or a cap. */
  addThrottled(job: LeasedJob, { holdMs, holdsType, cap }: Throttled): void {
    const own = holdsType ? { holdTypeMs: holdMs } : { holdMs };
    const hold = cap === undefined ? own : { holdCap: { name: cap, ms: holdMs } };
    this.#add({ job, release: { ...hold, counts: false } });
  }

  /** Add the release of a job that is tried again after the delay which its handler chose. */
  addRetry(job: LeasedJob, retry: Retry): void {
    const error = cut(retry.reason) || textOfError(retry.cause ?? retry);
    this.#add({ job, release: { delayMs: retry.delayMs }, error });
  }

  /** Let `run` return once everything is reported. */
  close(): void {
    this.#isClosed = true;
    this.#changed.set();
  }

  /**
   * End `run` early: the remaining outcomes stay unreported, and those jobs are requeued when their leases end.
   */
  giveUp(): void {
    this.#hasGivenUp.set();
    this.#isGivenUp = true;
    this.#changed.set();
  }

  /** Report outcomes until `close` was called and all are reported. Retry while the server is unreachable. */
  async run(): Promise<void> {
    let tries = 0;
    while (!this.#isGivenUp && (this.unreported > 0 || !this.#isClosed)) {
      await this.#changed.wait();
      // Handlers that end together are reported together.
      await passTurns();
      this.#changed.clear();
      const error = await this.#report();
      tries = error === null ? 0 : tries + 1;
      if (error !== null && !this.#isGivenUp) {
        this.#hooks.onNotReported(this.unreported, error);
        await this.#hasGivenUp.waitFor(pauseMs(error, tries));
        this.#changed.set();
      }
    }
  }

  #add(report: Report): void {
    this.#waiting.push(report);
    this.#changed.set();
  }

  /** Send the current outcomes. Return an error after which a retry can help, or null. */
  async #report(): Promise<SharqError | null> {
    this.#sending = this.#waiting;
    this.#waiting = [];
    const groups = new Map<string, Report[]>();
    for (const report of this.#sending) {
      const terms = JSON.stringify(report.release);
      const group = groups.get(terms);
      if (group === undefined) groups.set(terms, [report]);
      else group.push(report);
    }
    const kept: Report[] = [];
    let lastError: SharqError | null = null;
    const answered = await Promise.all(
      [...groups.values()].map(async (reports) => ({ reports, answers: await this.#send(reports) })),
    );
    for (const { reports, answers } of answered) {
      for (const [index, report] of reports.entries()) {
        const error = answers[index] ?? null;
        if (error !== null && mayRepeat(error, true)) {
          kept.push(report);
          lastError = error;
        } else if (isRefused(error) && isDetailed(report)) {
          // What was done is not done again for it.
          kept.push(withoutDetails(report));
          this.#changed.set();
          this.#hooks.onDetailsRefused(report.job, error);
        } else {
          this.#hooks.onReported(report.job, report.release === null ? "finish" : "release", error);
        }
      }
    }
    this.#sending = [];
    this.#waiting = [...kept, ...this.#waiting];
    this.#hooks.onAnswered();
    return lastError;
  }

  async #send(reports: readonly Report[]): Promise<readonly (SharqError | null)[]> {
    const jobs = reports.map((report) => report.job);
    const release = reports[0]?.release ?? null;
    if (release === null) {
      const results = reports.map((report) => report.result);
      const costs = reports.map((report) => report.cost);
      return (await this.#client.finishMany(jobs, { results, costs })).answers;
    }
    const errors = reports.map((report) => report.error);
    return (await this.#client.releaseMany(jobs, { ...release, error: errors })).answers;
  }
}

function isRefused(error: SharqError | null): error is SharqError {
  return error instanceof InvalidRequest || error instanceof TooLarge;
}

/** Return true if a report has a result, an error, or a hold of more than the job's queue, which a server may refuse. */
function isDetailed({ release, result, error }: Report): boolean {
  const holdsMore = release?.holdTypeMs !== undefined || release?.holdCap !== undefined;
  return holdsMore || result !== undefined || error !== undefined;
}

/** Return the report of a job without them; a hold is one of the job's queue alone. */
function withoutDetails({ job, release, cost }: Report): Report {
  if (release === null) return { job, release, cost };
  const { holdTypeMs, holdCap, ...terms } = release;
  const holdMs = terms.holdMs ?? holdTypeMs ?? holdCap?.ms;
  return { job, release: holdMs === undefined ? terms : { ...terms, holdMs }, cost };
}

/** Return an error as "TypeName: message", cut to 2 KiB of UTF-8. */
export function textOfError(error: unknown): string {
  try {
    if (!(error instanceof Error)) return cut(typeof error === "string" ? error : inspect(error));
    return cut(error.message ? `${error.name}: ${error.message}` : error.name);
  } catch (failure) {
    // An error of the application may have any message.
    return `an error whose message threw ${failure instanceof Error ? failure.name : typeof failure}`;
  }
}

/** Return a text cut to 2 KiB of UTF-8. Half a character, which UTF-8 cannot encode, becomes U+FFFD. */
function cut(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_ERROR_BYTES) return bytes.toString();
  // A character that the cut goes through is left out.
  return new TextDecoder().decode(bytes.subarray(0, MAX_ERROR_BYTES)).replace(/\uFFFD+$/, "");
}
