/** Sends calls of the API with their retries, and decodes the answers. The classes beside it say which calls. */
import { type Body, jobPath, type LeaseBody } from "./bodies.js";
import { type BulkAnswers, failuresOf, statesOf } from "./bulk/answers.js";
import { sendBulk } from "./bulk/calls.js";
import { IncompleteList, NotFound, OutcomeUnknown, Unavailable } from "./errors.js";
import type { Query } from "./http/paths.js";
import type { Call, Transport } from "./http/transport.js";
import { fieldsText } from "./json.js";
import type { JobRef, JobState } from "./shapes.js";

/** A call whose body is an object, which is sent as JSON. */
export interface Ask extends Omit<Call, "body"> {
  readonly body?: object | string | undefined;
  /** False if a call that was perhaps done may not be sent again; true by default. */
  readonly isSafeTwice?: boolean;
}

/** The fields of the small answers together. Each call reads the one that it needs. */
interface Reply {
  readonly status: string;
  readonly lease_expires_at: number;
  readonly result_kept?: boolean;
}

/** A page of a list: the list itself under its own name, and what every page has. */
interface Page extends Record<string, unknown> {
  readonly cursor?: string | null;
  /** The partitions that the page is without, because their data is broken. */
  readonly unread_partitions?: readonly number[];
}

/** The sender of calls over one transport. */
export class Caller {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Send a call, and return its answer without the `status`. */
  async ask<AnswerT extends object>({ body, isSafeTwice = true, ...call }: Ask): Promise<AnswerT> {
    const text = typeof body === "object" ? fieldsText(body) : body;
    const answer = await this.#transport.sendRepeated<AnswerT & { status?: unknown }>(
      { ...call, body: text },
      { isSafeTwice },
    );
    const { status: _, ...fields } = answer;
    return fields as unknown as AnswerT;
  }

  /** Send a call, and return the `status` of its answer. */
  async statusOf({ body, isSafeTwice = true, ...call }: Ask): Promise<string> {
    const text = typeof body === "object" ? fieldsText(body) : body;
    const { status } = await this.#transport.sendRepeated<Reply>({ ...call, body: text }, { isSafeTwice });
    return status;
  }

  /** Return what is at a path; null if the server answers that there is nothing. */
  async find<AnswerT extends object>(
    path: string,
    options: Pick<Ask, "query" | "waitMs" | "signal"> = {},
  ): Promise<AnswerT | null> {
    try {
      return await this.ask<AnswerT>({ method: "GET", path, ...options });
    } catch (error) {
      if (error instanceof NotFound) return null;
      throw error;
    }
  }

  /** Return the content at a path as text. It is not retried. */
  async text(path: string): Promise<string> {
    return this.#transport.sendForText({ method: "GET", path });
  }

  /**
   * Yield the entries of a list, in order, page by page.
   *
   * @param member - the name of the list in each page.
   * @param limit - the most entries of one page.
   * @throws IncompleteList: all entries were yielded that could be read, and those of some partitions are missing.
   */
  async *entries<EntryT>(path: string, member: string, limit: number, query?: Query): AsyncGenerator<EntryT> {
    const unread = new Set<number>();
    let cursor: string | null | undefined;
    do {
      const page: Page = await this.ask({ method: "GET", path, query: { ...query, limit, cursor } });
      for (const partition of page.unread_partitions ?? []) unread.add(partition);
      yield* page[member] as EntryT[];
      cursor = page.cursor;
    } while (cursor !== null && cursor !== undefined);
    if (unread.size) throw new IncompleteList([...unread].sort((one, other) => one - other));
  }

  /** Send a call. Return false if the server answers that the object of the path does not exist. */
  async done(call: Ask): Promise<boolean> {
    try {
      await this.ask(call);
    } catch (error) {
      if (error instanceof NotFound) return false;
      throw error;
    }
    return true;
  }

  /** Return true if the server answers a GET with success. */
  async answers(path: string): Promise<boolean> {
    try {
      await this.#transport.send({ method: "GET", path });
    } catch (error) {
      if (error instanceof Unavailable || error instanceof OutcomeUnknown) return false;
      throw error;
    }
    return true;
  }

  /** Finish, extend or release one lease. */
  async report(verb: LeaseVerb, job: JobRef, body: LeaseBody): Promise<Reply> {
    return this.ask<Reply>({
      method: "POST",
      path: jobPath(verb, job),
      body: body.text,
      isSafeTwice: body.hasLease,
    });
  }

  /** Finish, extend or release leases. Return one answer for each, in order; null for success. */
  async reportMany(verb: LeaseVerb, bodies: readonly LeaseBody[]): Promise<BulkAnswers<null>> {
    const isSafeTwice = (body: LeaseBody) => body.hasLease;
    return failuresOf(await sendBulk(this.#transport, `/${verb}/`, bodies, { isSafeTwice }));
  }

  /** Redrive dead letters. Return one answer for each, in order; null for success. */
  async redriveMany(path: string, bodies: readonly Body[]): Promise<BulkAnswers<null>> {
    return failuresOf(await sendBulk(this.#transport, path, bodies, { isSafeTwice: () => false }));
  }

  /** Cancel jobs. Return the state before the call, or an error, for each, in order. */
  async cancelMany(bodies: readonly Body[]): Promise<BulkAnswers<JobState>> {
    return statesOf(await sendBulk(this.#transport, "/cancel/", bodies, { isSafeTwice: () => true }));
  }
}

/** A call about a lease. */
export type LeaseVerb = "finish" | "extend" | "release";
