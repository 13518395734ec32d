/** Builds the bodies of requests as JSON text, each encoded once for all of its tries. */
import { randomUUID } from "node:crypto";
import { InvalidRequest } from "./errors.js";
import { fieldsText, jsonText } from "./json.js";
import { pathOf } from "./http/paths.js";
import {
  DEFAULT_REQUEUE_LIMIT,
  DEFAULT_RETRY,
  type CapHold,
  type EnqueueJob,
  type JobRef,
  type ScheduledJob,
} from "./shapes.js";

/** The names of a job's fields. */
const JOB_FIELDS: Readonly<Record<keyof EnqueueJob, true>> = {
  queue_type: true,
  queue_id: true,
  payload: true,
  job_id: true,
  interval: true,
  rate: true,
  requeue_limit: true,
  burst: true,
  delay: true,
  max_queued_length: true,
  repeat: true,
  cost: true,
  max_leased: true,
  at: true,
  priority: true,
  expires: true,
  expires_at: true,
  on_expiry: true,
  retry: true,
  window: true,
  ignore_window: true,
  batch: true,
  traceparent: true,
  tracestate: true,
  caps: true,
};

const REQUIRED = ["queue_type", "queue_id", "payload"] as const;

/** One job of a bulk call, or the body of a single one. */
export interface Body {
  /** The JSON text. */
  readonly text: string;
  /** Its length in UTF-8. */
  readonly bytes: number;
}

/** A job that is ready to send, and to send again. */
export interface EnqueueBody extends Body {
  readonly queue_type: string;
  readonly queue_id: string;
  readonly job_id: string;
  /** True if it says that it was perhaps sent before. */
  readonly saysRepeat: boolean;
}

/** The report of one lease. */
export interface LeaseBody extends Body {
  /** True if it names the lease, so that it is safe to repeat. */
  readonly hasLease: boolean;
}

/** The terms of a finish, extend or release besides the job and its lease. */
export interface LeaseTerms {
  readonly by?: number | undefined;
  readonly delay?: number | undefined;
  readonly prefer_retry?: boolean | undefined;
  readonly cost?: number | undefined;
  readonly hold?: number | undefined;
  readonly hold_type?: number | undefined;
  readonly hold_cap?: CapHold | undefined;
  readonly count?: boolean | undefined;
  readonly error?: string | undefined;
}

/** The JSON of a finish or an extension, which is already text. */
export interface LeaseValues {
  readonly result?: string | undefined;
  readonly progress?: string | undefined;
}

/**
 * Return a job with an id, so that it can be sent again, as JSON text.
 *
 * @param isRepeat - true to mark the job as perhaps sent before.
 * @throws InvalidRequest: a field is missing or unknown, or the payload is no JSON. Nothing was sent.
 */
export function enqueueBody(job: EnqueueJob, isRepeat = false): EnqueueBody {
  checkFields(job);
  const jobId = job.job_id ?? randomUUID();
  const saysRepeat = isRepeat || job.repeat === true;
  const fields = { ...job, ...defaultsOf(job), job_id: jobId, repeat: saysRepeat || undefined };
  const text = withJson(fields, "payload", jsonText(job.payload, "payload"));
  const { queue_type, queue_id } = job;
  return { text, bytes: Buffer.byteLength(text), queue_type, queue_id, job_id: jobId, saysRepeat };
}

/** Return the JSON text of the job of a schedule, which has no id. It throws as `enqueueBody` does. */
export function scheduledText(job: ScheduledJob): string {
  checkFields(job);
  return withJson({ ...job, ...defaultsOf(job) }, "payload", jsonText(job.payload, "payload"));
}

/** Return the job marked as sent before, so that the server answers a duplicate instead of a second one. */
export function asRepeat(body: EnqueueBody): EnqueueBody {
  if (body.saysRepeat) return body;
  const text = withMember(body.text, "repeat", "true");
  return { ...body, text, bytes: Buffer.byteLength(text), saysRepeat: true };
}

/** Return the report of one lease. With `isAlone` it is the body of a single call, without the job's ids. */
export function leaseBody(
  job: JobRef,
  terms: LeaseTerms,
  values: LeaseValues = {},
  isAlone = false,
): LeaseBody {
  checkRef(job);
  const { queue_type, queue_id, job_id, lease } = job;
  const ids = isAlone ? {} : { queue_type, queue_id, job_id };
  let text = fieldsText({ ...ids, lease, ...terms });
  if (values.result !== undefined) text = withMember(text, "result", values.result);
  if (values.progress !== undefined) text = withMember(text, "progress", values.progress);
  return { text, bytes: Buffer.byteLength(text), hasLease: lease !== undefined };
}

/** Return the path of a verb about one job. */
export function jobPath(verb: string, job: JobRef): string {
  checkRef(job);
  return pathOf(verb, job.queue_type, job.queue_id, job.job_id);
}

/** Return the body of a bulk call as JSON text. */
export function bulkText(bodies: readonly Body[]): string {
  return `{"jobs":[${bodies.map((body) => body.text).join(",")}]}`;
}

/** Return an object as a body with its length. */
export function plainBody(value: object): Body {
  const text = fieldsText(value);
  return { text, bytes: Buffer.byteLength(text) };
}

/**
 * Check a reference to a job.
 *
 * @throws InvalidRequest: it is none, such as the null of a dequeue without a job. Nothing was sent.
 */
export function checkRef(job: JobRef): void {
  if (typeof job !== "object" || job === null || typeof job.job_id !== "string") {
    const got = job === null ? "null" : typeof job;
    throw new InvalidRequest(`job: expected a job with queue_type, queue_id and job_id, got ${got}`);
  }
}

function checkFields(job: object): void {
  if (typeof job !== "object" || job === null) {
    throw new InvalidRequest(`job: expected an object, got ${job === null ? "null" : typeof job}`);
  }
  for (const name in job) {
    if (!Object.hasOwn(JOB_FIELDS, name)) {
      const known = Object.keys(JOB_FIELDS).join(", ");
      throw new InvalidRequest(`job.${name}: unknown; the known fields are: ${known}`);
    }
  }
  for (const name of REQUIRED) {
    if (!(name in job)) throw new InvalidRequest(`job.${name}: required; it is missing`);
  }
}

/** Return the fields that make a job safe; null leaves one to the server. */
function defaultsOf({ requeue_limit: limit, retry }: Pick<EnqueueJob, "requeue_limit" | "retry">) {
  return {
    requeue_limit: limit === null ? undefined : (limit ?? DEFAULT_REQUEUE_LIMIT),
    retry: retry === null ? undefined : (retry ?? DEFAULT_RETRY),
  };
}

function withJson(fields: object, name: string, json: string): string {
  return withMember(fieldsText({ ...fields, [name]: undefined }), name, json);
}

/** Return the text of an object with one member more, whose value is JSON text. */
function withMember(text: string, name: string, json: string): string {
  return `${text.slice(0, -1)}${text === "{}" ? "" : ","}"${name}":${json}}`;
}
