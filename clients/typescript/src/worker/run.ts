/** Runs a worker once, from its first lease to its stop: leases, handlers, heartbeats and reports side by side. */
import type { Client } from "../client.js";
import { Calls } from "./calls.js";
import { Flag } from "./flag.js";
import { Lane } from "./lane.js";
import { watchLoop } from "./loop_watch.js";
import type { Settings } from "./options.js";
import type { Registration, Registry } from "./registry.js";

/** The time that the reports of outcomes have if the worker shall end at once. */
const ABORT_REPORT_MS = 5_000;

/** One run of a worker. */
export class Run {
  readonly #settings: Settings;
  readonly #queueTypes: readonly string[];
  readonly #calls: Calls;
  readonly #lanes: readonly Lane[];
  readonly #isAborted = new Flag();
  #failure: unknown = null;
  #hasAborted = false;

  constructor(client: Client, settings: Settings, registry: Registry) {
    this.#settings = settings;
    this.#queueTypes = registry.queueTypes;
    this.#calls = new Calls(
      client,
      settings,
      registry.middleware,
      () => this.#wakeLanes(),
      (error) => this.#fail(error),
    );
    this.#lanes = lanesOf(registry.handlers).map((group) => new Lane(client, settings, group, this.#calls));
  }

  /** Stop leasing. `work` returns once all current jobs are done and reported. */
  stop(): void {
    for (const lane of this.#lanes) lane.stop();
  }

  /** End at once: abort the signals of the jobs, and release those whose handlers end. */
  abort(): void {
    this.#hasAborted = true;
    for (const lane of this.#lanes) lane.abort();
    this.#calls.abort();
    this.#isAborted.set();
  }

  /**
   * Work until `stop`.
   *
   * @throws InvalidRequest, Unauthorized, Forbidden, NotFound, WrongUrl: the server refuses to lease, and a retry cannot
   *   help.
   * @throws TypeError: a handler returned a generator, so that it would never handle a job.
   */
  async work(): Promise<void> {
    const { onEvent, concurrency, stopTimeoutMs } = this.#settings;
    onEvent({ type: "worker_started", queueTypes: this.#queueTypes, concurrency });
    const endWatch = watchLoop((blockedMs) => onEvent({ type: "loop_blocked", blockedMs }));
    const { outcomes, leases } = this.#calls;
    // None ends by itself before the stop: if one fails, the worker must not go on without it.
    const reports = this.#guard(outcomes.run());
    const heartbeats = [this.#guard(leases.extendInTime()), this.#guard(leases.reportProgress())];
    try {
      await Promise.all(this.#lanes.map((lane) => this.#guard(lane.run())));
      await this.#calls.finish(stopTimeoutMs);
      leases.close();
      await Promise.all(heartbeats);
      await this.#finishReports(reports);
    } finally {
      endWatch();
      onEvent({ type: "worker_stopped" });
    }
    if (this.#failure !== null) throw this.#failure;
  }

  /** Wait for a part of the worker. If it fails, the worker stops, and `work` throws the error in the end. */
  async #guard(part: Promise<void>): Promise<void> {
    try {
      await part;
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.stop();
  }

  #wakeLanes(): void {
    for (const lane of this.#lanes) lane.wake();
  }

  async #finishReports(reports: Promise<void>): Promise<void> {
    const { outcomes } = this.#calls;
    outcomes.close();
    const done = new Flag();
    void reports.then(() => done.set());
    await Promise.race([done.waitFor(this.#settings.stopTimeoutMs), this.#isAborted.wait()]);
    if (this.#hasAborted) await done.waitFor(ABORT_REPORT_MS);
    const count = outcomes.unreported;
    if (count) this.#settings.onEvent({ type: "outcomes_left_unreported", count });
    outcomes.giveUp();
  }
}

/** Return the handlers that share a lane: all that get one job, and each batch handler alone. */
function lanesOf(registrations: readonly Registration[]): readonly (readonly Registration[])[] {
  const single = registrations.filter((each) => each.batch === null);
  const batches = registrations.filter((each) => each.batch !== null).map((each) => [each]);
  return single.length ? [single, ...batches] : batches;
}
