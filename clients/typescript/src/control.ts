/**
 * Offers the calls of operators: settings, caps, holds, pauses above a queue, windows, lists, and the cluster's state.
 */
import type { Caller } from "./caller.js";
import { NotFound } from "./errors.js";
import { pathOf } from "./http/paths.js";
import { Schedules } from "./schedules.js";
import type {
  Cap,
  CapDefined,
  CapRow,
  CapState,
  ClusterState,
  QueueAge,
  QueueRow,
  QueueSettings,
  QueueStats,
  TokenRights,
  TypeRow,
  TypeSettings,
  TypeStats,
  Window,
  WindowRow,
  WindowState,
} from "./shapes.js";

/** The order of queues: those that have been ready longest first, or those that hold most jobs. */
export type QueueOrder = "age" | "depth";

/** The orders of a list of queues with their numbers: as QueueOrder, and `dead` for most dead letters first. */
export type RowOrder = QueueOrder | "dead";

/** The calls of operators. Every method throws as those of Client do; all are safe to repeat. */
export class Control {
  /** The calls about schedules, which enqueue a job again and again at set times. */
  readonly schedules: Schedules;
  readonly #caller: Caller;

  /** @internal */
  constructor(caller: Caller) {
    this.#caller = caller;
    this.schedules = new Schedules(caller);
  }

  /**
   * Change settings of a queue, which is created if need be, and return its state afterwards.
   *
   * Settings last until they are cleared, and win over the values that enqueues carry.
   */
  async setQueue(queueType: string, queueId: string, settings: QueueSettings): Promise<QueueStats> {
    const path = pathOf("queue", queueType, queueId);
    return this.#caller.ask<QueueStats>({ method: "POST", path, body: settings });
  }

  /**
   * Change settings of a gathered type, one with a `~` in its name, and return its state afterwards.
   *
   * Settings last until they are cleared, and no enqueue changes them.
   *
   * @throws InvalidRequest: a setting is out of range, or the type has no `~`. Nothing was done.
   */
  async setType(queueType: string, settings: TypeSettings): Promise<TypeStats> {
    return this.#caller.ask<TypeStats>({ method: "POST", path: pathOf("type", queueType), body: settings });
  }

  /** Return the state of a gathered type. */
  async type(queueType: string): Promise<TypeStats> {
    return this.#caller.ask<TypeStats>({ method: "GET", path: pathOf("type", queueType) });
  }

  /** Clear all settings of a gathered type, and return its state afterwards. A pause stays. */
  async clearType(queueType: string): Promise<TypeStats> {
    return this.#caller.ask<TypeStats>({ method: "DELETE", path: pathOf("type", queueType) });
  }

  /**
   * Hold a queue: it accepts jobs and hands none out before a time. Return false if there is no such queue.
   *
   * A hold only grows and ends by itself; `Client.resume` ends it at once.
   *
   * @param end - `forMs`: the time from now, from 1 ms to 24 hours. Or `untilMs`: the end in milliseconds since the epoch
   *   by the store's clock, up to 24 hours from now.
   * @throws RangeError: not exactly one of the two is given.
   */
  async hold(
    queueType: string,
    queueId: string,
    end: { readonly forMs: number } | { readonly untilMs: number },
  ): Promise<boolean> {
    const { forMs, untilMs } = end as Partial<Record<"forMs" | "untilMs", number | null>>;
    const given = Object.entries({ for: forMs ?? undefined, until: untilMs ?? undefined });
    const times = given.filter(([, ms]) => ms !== undefined);
    // Without a time the call would pause the queue, which never ends by itself.
    if (times.length !== 1) throw new RangeError("forMs, untilMs: expected one of the two");
    const body = Object.fromEntries(times);
    return this.#caller.done({ method: "POST", path: `${pathOf("queue", queueType, queueId)}pause/`, body });
  }

  /**
   * Pause all queues of a type, those that come later, too, until `resumeType`.
   *
   * @throws OutcomeUnknown: not every partition has confirmed it. Call again until it returns.
   */
  async pauseType(queueType: string): Promise<void> {
    await this.#caller.ask({ method: "POST", path: `${pathOf("type", queueType)}pause/` });
  }

  /** Resume a paused type; queues that are paused themselves stay paused. It throws as `pauseType` does. */
  async resumeType(queueType: string): Promise<void> {
    await this.#caller.ask({ method: "POST", path: `${pathOf("type", queueType)}resume/` });
  }

  /** Pause all queues of all types until `resumeAll`. It throws as `pauseType` does. */
  async pauseAll(): Promise<void> {
    await this.#caller.ask({ method: "POST", path: "/pause/" });
  }

  /** End the pause of everything; paused types and queues stay paused. It throws as `pauseType` does. */
  async resumeAll(): Promise<void> {
    await this.#caller.ask({ method: "POST", path: "/resume/" });
  }

  /**
   * Yield the queues of a type with their numbers, in no order.
   *
   * @param options - `page`: the number of queues for each request, 1 to 10,000; 1,000 by default. `search`: only
   *   queues whose ids contain this text.
   */
  queues(
    queueType: string,
    options: { readonly page?: number; readonly search?: string } = {},
  ): AsyncIterableIterator<QueueRow> {
    const { page = 1_000, search } = options;
    return this.#caller.entries<QueueRow>(pathOf("queues", queueType), "queues", page, { search });
  }

  /**
   * Return the queues of a type that have been ready longest, that hold most jobs, or that have most dead letters, with
   * their numbers. Partitions whose data is broken are left out, and a warning of the process names them.
   *
   * @param options - `limit`: the number of queues, 1 to 100; 20 by default.
   */
  async topQueues(
    queueType: string,
    by: RowOrder,
    options: { readonly limit?: number } = {},
  ): Promise<QueueRow[]> {
    const query = { by, limit: options.limit ?? 20 };
    const path = pathOf("queues", queueType);
    const answer = await this.#caller.ask<FirstOf<QueueRow>>({ method: "GET", path, query });
    warnOfUnread(answer);
    return answer.queues;
  }

  /**
   * Return how long jobs wait in the queues of a type that have been ready longest, or that hold most jobs. Broken
   * partitions are left out as by `topQueues`.
   *
   * @param options - `limit`: the number of queues, 1 to 100; 20 by default.
   */
  async queueAges(
    queueType: string,
    by: QueueOrder = "age",
    options: { readonly limit?: number } = {},
  ): Promise<QueueAge[]> {
    const query = { by, limit: options.limit ?? 20 };
    const path = pathOf("top", queueType);
    const answer = await this.#caller.ask<FirstOf<QueueAge>>({ method: "GET", path, query });
    warnOfUnread(answer);
    return answer.queues;
  }

  /**
   * Yield all types with their numbers, in the order of their names.
   *
   * @param options - `page`: the number of types for each request, 1 to 10,000; 1,000 by default.
   */
  types(options: { readonly page?: number } = {}): AsyncIterableIterator<TypeRow> {
    return this.#caller.entries<TypeRow>("/types/", "types", options.page ?? 1_000);
  }

  /**
   * Define a cap, or define it anew, and return its state. Queues that name it share its limits.
   *
   * @throws InvalidRequest: the definition is wrong. Nothing was done.
   */
  async putCap(name: string, cap: Cap): Promise<CapDefined> {
    return this.#caller.ask<CapDefined>({ method: "PUT", path: pathOf("cap", name), body: cap });
  }

  /** Return a cap, its state and what waits for it; null if there is none of this name. */
  async cap(name: string): Promise<CapState | null> {
    return this.#caller.find<CapState>(pathOf("cap", name));
  }

  /**
   * Yield all caps, in no order.
   *
   * @param options - `page`: the number of caps for each request, 1 to 10,000; 1,000 by default.
   */
  caps(options: { readonly page?: number } = {}): AsyncIterableIterator<CapRow> {
    return this.#caller.entries<CapRow>("/caps/", "caps", options.page ?? 1_000);
  }

  /**
   * Hold a cap: no queue with it hands out jobs for a time. Return false if there is none of this name.
   *
   * @param forMs - the time from now, up to 24 hours. A hold only grows, and ends by itself.
   */
  async holdCap(name: string, forMs: number): Promise<boolean> {
    return this.#caller.done({ method: "POST", path: `${pathOf("cap", name)}hold/`, body: { for: forMs } });
  }

  /**
   * Delete a cap, and return how many queues name it; null if there is none of this name.
   *
   * Those queues give no jobs until the cap exists again or they no longer name it.
   */
  async dropCap(name: string): Promise<number | null> {
    const call = { method: "DELETE", path: pathOf("cap", name) } as const;
    try {
      return (await this.#caller.ask<{ queues: number }>(call)).queues;
    } catch (error) {
      if (error instanceof NotFound) return null;
      throw error;
    }
  }

  /**
   * Define a window, or define it anew.
   *
   * @throws InvalidRequest: the definition is wrong, or there are 1,000 other windows. Nothing was done.
   * @throws OutcomeUnknown: not every partition has confirmed it. Call again until it returns.
   */
  async putWindow(name: string, window: Window): Promise<void> {
    await this.#caller.ask({ method: "PUT", path: pathOf("window", name), body: window });
  }

  /** Return a window and its state; null if there is none of this name. */
  async window(name: string): Promise<WindowState | null> {
    return this.#caller.find<WindowState>(pathOf("window", name));
  }

  /**
   * Yield all windows, in the order of their creation.
   *
   * @param options - `page`: the number of windows for each request, 1 to 10,000; 1,000 by default.
   */
  windows(options: { readonly page?: number } = {}): AsyncIterableIterator<WindowRow> {
    return this.#caller.entries<WindowRow>("/windows/", "windows", options.page ?? 1_000);
  }

  /**
   * Delete a window; return false if there is none of this name.
   *
   * @throws WindowUsed: jobs or settings use it. Nothing was done.
   * @throws OutcomeUnknown: not every partition has confirmed it. Call again until it returns.
   */
  async dropWindow(name: string): Promise<boolean> {
    return this.#caller.done({ method: "DELETE", path: pathOf("window", name) });
  }

  /** Return the cluster as the router sees it that answers: its members, and how each sees the store. */
  async cluster(): Promise<ClusterState> {
    return this.#caller.ask<ClusterState>({ method: "GET", path: "/cluster/" });
  }

  /** Return the rights of this client's token: its permissions, queue types and limits. */
  async token(): Promise<TokenRights> {
    return this.#caller.ask<TokenRights>({ method: "GET", path: "/token/" });
  }

  /** Return the metrics of the process that answers, as Prometheus text. */
  async prometheus(): Promise<string> {
    return this.#caller.text("/metrics");
  }

  /** Return the OpenAPI document of the HTTP API. */
  async openapi(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.#caller.text("/openapi.json")) as Record<string, unknown>;
  }

  /** Return the greeting of the server, which needs no token. */
  async greeting(): Promise<string> {
    return (await this.#caller.ask<{ message: string }>({ method: "GET", path: "/" })).message;
  }
}

/** The first queues of an order, and the partitions that they are without, because their data is broken. */
interface FirstOf<RowT> {
  readonly queues: RowT[];
  readonly unread_partitions?: readonly number[];
}

/** Warn of the partitions that a list is without. */
function warnOfUnread({ unread_partitions: unread = [] }: FirstOf<unknown>): void {
  if (!unread.length) return;
  process.emitWarning(
    `the list is without partition ${unread.join(", ")}: the data there is broken`,
    "SharqWarning",
  );
}
