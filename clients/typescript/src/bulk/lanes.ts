/**
 * Gathers the jobs of a stream into bulk calls.
 *
 * The jobs of one queue travel in one lane, whose calls are sent one after the other: so they keep their order although
 * several calls are in flight. At any time at most two calls of each lane are in memory.
 */
import type { EnqueueBody } from "../bodies.js";
import { MAX_JOBS_A_CALL } from "./calls.js";

/** The limit of bytes in one call of a stream, far below the server's, so that large payloads take little memory. */
const MAX_BYTES_A_STREAM_CALL = 1024 * 1024;

/** The time after which a call is sent although it is not full, at the next job of a slow iterable. */
const MAX_AGE_MS = 1_000;

/** The jobs of one call, with their places in the stream. */
export interface Batch {
  /** The number of its lane. Its call begins when the call before in this lane has ended. */
  readonly lane: number;
  readonly indexes: readonly number[];
  readonly bodies: readonly EnqueueBody[];
}

/** The jobs that are gathered for the next call of a lane. */
class Lane {
  readonly #number: number;
  #indexes: number[] = [];
  #bodies: EnqueueBody[] = [];
  #bytes = 0;
  #begunMs = 0;

  constructor(number: number) {
    this.#number = number;
  }

  /** The place of the first gathered job; undefined if there is none. */
  get first(): number | undefined {
    return this.#indexes[0];
  }

  hasRoomFor(body: EnqueueBody): boolean {
    if (this.#bodies.length >= MAX_JOBS_A_CALL) return false;
    return !this.#bodies.length || this.#bytes + body.bytes <= MAX_BYTES_A_STREAM_CALL;
  }

  add(index: number, body: EnqueueBody, nowMs: number): void {
    if (!this.#bodies.length) this.#begunMs = nowMs;
    this.#indexes.push(index);
    this.#bodies.push(body);
    this.#bytes += body.bytes;
  }

  /** Return true if its first job has waited for too long. */
  isOverdue(nowMs: number): boolean {
    return this.#bodies.length > 0 && nowMs >= this.#begunMs + MAX_AGE_MS;
  }

  /** Return the jobs, and begin with none. */
  take(): Batch {
    const batch = { lane: this.#number, indexes: this.#indexes, bodies: this.#bodies };
    this.#indexes = [];
    this.#bodies = [];
    this.#bytes = 0;
    return batch;
  }
}

/** The lanes of one stream. */
export class Lanes {
  /** The jobs until one call is full: all of them gather in it, so that a short list is one call. */
  #opening: Lane | null = new Lane(0);
  readonly #lanes: readonly Lane[];
  #lookAgainMs = 0;

  constructor(count: number) {
    this.#lanes = Array.from({ length: count }, (_, number) => new Lane(number));
  }

  /** Gather one job, and return the calls that are to be sent now. Most often there is none. */
  add(index: number, body: EnqueueBody): readonly Batch[] {
    const nowMs = performance.now();
    if (this.#opening !== null) {
      if (this.#opening.hasRoomFor(body) && !this.#opening.isOverdue(nowMs)) {
        this.#opening.add(index, body, nowMs);
        return [];
      }
      this.#spread(this.#opening.take(), nowMs);
      this.#opening = null;
    }
    const lane = this.#laneOf(body);
    const departing = lane.hasRoomFor(body) ? [] : [lane.take()];
    lane.add(index, body, nowMs);
    if (nowMs >= this.#lookAgainMs) {
      this.#lookAgainMs = nowMs + MAX_AGE_MS / 4;
      departing.push(...this.#lanes.filter((each) => each.isOverdue(nowMs)).map((each) => each.take()));
    }
    return departing;
  }

  /** Yield the calls that remain once all jobs were taken. */
  *rest(): Generator<Batch> {
    for (const lane of this.#all()) if (lane.first !== undefined) yield lane.take();
  }

  /** Return the least place of a gathered job; undefined if none is gathered. */
  first(): number | undefined {
    const places = this.#all().flatMap((lane) => lane.first ?? []);
    return places.length ? Math.min(...places) : undefined;
  }

  #all(): readonly Lane[] {
    return this.#opening === null ? this.#lanes : [this.#opening];
  }

  #spread(batch: Batch, nowMs: number): void {
    batch.bodies.forEach((body, place) => {
      this.#laneOf(body).add(batch.indexes[place] as number, body, nowMs);
    });
  }

  #laneOf(body: EnqueueBody): Lane {
    return this.#lanes[hashOf(`${body.queue_type}\0${body.queue_id}`) % this.#lanes.length] as Lane;
  }
}

/** Return the FNV-1a hash of a text: an integer of 32 bits, 0 or more. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let place = 0; place < text.length; place += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(place), 0x01000193);
  }
  return hash >>> 0;
}
