/** Extends the leases of jobs whose handlers run: half-way to their ends, and with each report of progress. */
import type { Client } from "../client.js";
import { InvalidRequest, LeaseLost, NotFound, type SharqError } from "../errors.js";
import { mayRepeat } from "../http/failures.js";
import { RawJson } from "../json.js";
import type { OnEvent } from "./events.js";
import { Flag } from "./flag.js";
import type { Running } from "./running_job.js";

/** The time in which reports of progress gather. Of several reports of a job in that time the latest is sent. */
const REPORT_EVERY_MS = 200;

/** One lease. */
interface Held {
  readonly job: Running;
  /** When to extend it, by `performance.now`; Infinity if it is lost, or cannot be extended. */
  extendAtMs: number;
  /** The code of the error that was told last; empty after an extension. */
  told: string;
}

/** The leases of running jobs, and the reports of their progress that are not sent yet. */
export class Leases {
  readonly #client: Client;
  readonly #leaseMs: number;
  readonly #onEvent: OnEvent;
  readonly #held = new Map<string, Held>();
  readonly #hasEnded = new Flag();
  readonly #hasNews = new Flag();
  #latest = new Map<string, RawJson>();
  #isClosed = false;

  /** @param leaseMs - the length of a lease, and of each extension. */
  constructor(client: Client, leaseMs: number, onEvent: OnEvent) {
    this.#client = client;
    this.#leaseMs = leaseMs;
    this.#onEvent = onEvent;
  }

  /** Extend the leases of these jobs from now on. */
  begin(jobs: Iterable<Running>): void {
    const extendAtMs = this.#nextMs();
    for (const job of jobs) this.#held.set(job.lease, { job, extendAtMs, told: "" });
  }

  /** Forget jobs whose handler has ended: their outcomes say the rest. */
  end(jobs: Iterable<Running>): void {
    for (const { lease } of jobs) {
      this.#held.delete(lease);
      this.#latest.delete(lease);
    }
  }

  /** Add a report of progress, as JSON text. */
  report(lease: string, json: string): void {
    if (!this.#held.has(lease)) return;
    this.#latest.set(lease, new RawJson(json));
    this.#hasNews.set();
  }

  /** End `extendInTime` and `reportProgress`. */
  close(): void {
    this.#isClosed = true;
    this.#hasEnded.set();
    this.#hasNews.set();
  }

  /** Extend each lease half-way to its end, until `close`. It looks eight times a lease, so that none is late. */
  async extendInTime(): Promise<void> {
    for (;;) {
      await this.#hasEnded.waitFor(this.#leaseMs / 8);
      if (this.#isClosed) return;
      const nowMs = performance.now();
      const due = [...this.#held.values()].filter((held) => held.extendAtMs <= nowMs).map(({ job }) => job);
      if (!due.length) continue;
      const { answers } = await this.#client.extendMany(due, this.#leaseMs);
      for (const [index, job] of due.entries()) this.#onExtended(job, answers[index] ?? null);
    }
  }

  /** Send reports of progress, several a second at most, until `close`. */
  async reportProgress(): Promise<void> {
    for (;;) {
      await this.#hasNews.wait();
      await this.#hasEnded.waitFor(REPORT_EVERY_MS);
      if (this.#isClosed) return;
      this.#hasNews.clear();
      const reports = this.#latest;
      this.#latest = new Map();
      const jobs = [...reports.keys()].flatMap((lease) => this.#held.get(lease)?.job ?? []);
      const progress = jobs.map((job) => reports.get(job.lease));
      const { answers } = await this.#client.extendMany(jobs, this.#leaseMs, { progress });
      for (const [index, job] of jobs.entries()) {
        const error = answers[index] ?? null;
        const isNewest = this.#held.has(job.lease) && !this.#latest.has(job.lease);
        if (error !== null && mayRepeat(error, true) && isNewest) {
          this.#latest.set(job.lease, progress[index] as RawJson);
          this.#hasNews.set();
        }
        this.#onExtended(job, error, true);
      }
    }
  }

  /**
   * Schedule the next extension. A lost lease gets none: its handler may end, and its finish will be refused.
   *
   * @param isReport - the extension carried a progress. If that is refused, the lease is as it was.
   */
  #onExtended(job: Running, error: SharqError | null, isReport = false): void {
    const held = this.#held.get(job.lease);
    if (held === undefined || held.extendAtMs === Infinity) return;
    if (error === null) {
      held.extendAtMs = this.#nextMs();
      held.told = "";
      return;
    }
    if (held.told !== error.code) {
      held.told = error.code;
      this.#onEvent({ type: "extend_failed", job, error });
    }
    // The same request would be refused again, eight times a lease. Any other error may pass.
    if (isLost(error) || (error instanceof InvalidRequest && !isReport)) held.extendAtMs = Infinity;
    if (isLost(error)) {
      this.#onEvent({ type: "lease_lost", job, error });
      job.abort(error);
    }
  }

  #nextMs(): number {
    return performance.now() + this.#leaseMs / 2;
  }
}

/** Return true if an error says that the lease does not exist any more. */
export function isLost(error: SharqError): boolean {
  return error instanceof LeaseLost || error instanceof NotFound;
}
