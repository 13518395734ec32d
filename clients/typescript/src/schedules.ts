/** Offers the calls about schedules, which enqueue a job again and again at set times. */
import { scheduledText } from "./bodies.js";
import type { Caller } from "./caller.js";
import { pathOf } from "./http/paths.js";
import { fieldsText } from "./json.js";
import type { ScheduledJob, ScheduleRow, ScheduleState, Slots } from "./shapes.js";

/** The calls about schedules. Every method throws as those of Client do; all are safe to repeat. */
export class Schedules {
  readonly #caller: Caller;

  /** @internal */
  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /**
   * Create or replace a schedule, and return its state. One that is paused stays so.
   *
   * @param name - up to 86 characters. The jobs have the ids `<name>@<slot in ms>`, so that each slot enqueues once.
   * @param job - the job that each slot enqueues; it has no job_id, delay, at or expires_at.
   * @param slots - `cron`: a cron expression of five fields, in the time zone `tz` (UTC by default). Or `every`: the
   *   time between two slots in milliseconds, 1,000 or more. The first one comes after this time. `rate_later`: true if
   *   the queue gets its rate later. While it has none, its slots enqueue nothing.
   * @throws InvalidRequest: a field is wrong, or neither the job nor its queue has a rate. Nothing was done.
   */
  async put(name: string, job: ScheduledJob, slots: Slots): Promise<ScheduleState> {
    const { cron, every, tz, rate_later } = slots;
    const text = fieldsText({ cron, every, tz, rate_later });
    const body = `${text.slice(0, -1)}${text === "{}" ? "" : ","}"job":${scheduledText(job)}}`;
    return this.#caller.ask<ScheduleState>({ method: "PUT", path: pathOf("schedule", name), body });
  }

  /** Return the state of a schedule; null if there is none. */
  async get(name: string): Promise<ScheduleState | null> {
    return this.#caller.find<ScheduleState>(pathOf("schedule", name));
  }

  /** Pause a schedule: no slot enqueues until `resume`. Return false if there is no such schedule. */
  async pause(name: string): Promise<boolean> {
    return this.#caller.done({ method: "POST", path: `${pathOf("schedule", name)}pause/` });
  }

  /** Resume a schedule from its next slot on. Return false if there is no such schedule. */
  async resume(name: string): Promise<boolean> {
    return this.#caller.done({ method: "POST", path: `${pathOf("schedule", name)}resume/` });
  }

  /** Delete a schedule; its jobs stay. Return false if there is no such schedule, as after a retry perhaps. */
  async delete(name: string): Promise<boolean> {
    return this.#caller.done({ method: "DELETE", path: pathOf("schedule", name) });
  }

  /**
   * Yield all schedules, in no order.
   *
   * @param options - `page`: the number of schedules for each request, 1 to 10,000; 1,000 by default.
   */
  list(options: { readonly page?: number } = {}): AsyncIterableIterator<ScheduleRow> {
    return this.#caller.entries<ScheduleRow>("/schedules/", "schedules", options.page ?? 1_000);
  }
}
