/** Defines the answers of bulk calls: one for each job, in order, and an error for each job that failed. */
import { OutcomeUnknown, SharqError } from "../errors.js";
import { toError } from "../http/failures.js";
import type { Enqueued, Failure, JobState } from "../shapes.js";

/**
 * The answers of a bulk call.
 *
 * @typeParam AnswerT - the answer of a job that did not fail; null if success is all that it says.
 */
export interface BulkAnswers<AnswerT> {
  /** One answer for each job, in order. */
  readonly answers: readonly (AnswerT | SharqError)[];
  /** The number of jobs that failed. Look at it: a call in which every job failed returns like any other. */
  readonly failed: number;
}

/** The result of one job of a bulk call on the wire: the verb's answer, or status "failure" with code and message. */
export interface Result extends Partial<Failure> {
  readonly status: "queued" | "success" | "failure";
  readonly job_id?: string;
  readonly duplicate?: boolean;
  readonly was?: JobState;
}

const PLACE = /^jobs\[\d+\]\./;

/** Return the result of one job, or its error if it failed. */
export function toAnswer(result: Result): Result | SharqError {
  if (result.status !== "failure") return result;
  // The server names the job by its place in the call, which need not be its place in the caller's list.
  const message = (result.message ?? "").replace(PLACE, "");
  return toError({
    code: result.code ?? "",
    message,
    ...(result.current_queue_length === undefined
      ? {}
      : { current_queue_length: result.current_queue_length }),
  });
}

/** Return for each answer null, or its error. */
export function failuresOf(answers: readonly (Result | SharqError)[]): BulkAnswers<null> {
  return counted(answers.map((answer) => (answer instanceof SharqError ? answer : null)));
}

/** Return for each answer to a cancellation the state before it, or the error of the job. */
export function statesOf(answers: readonly (Result | SharqError)[]): BulkAnswers<JobState> {
  return counted(
    answers.map((answer) => {
      if (answer instanceof SharqError) return answer;
      return answer.was ?? new OutcomeUnknown("the server did not say which state the job was in");
    }),
  );
}

/** Return what the client says of a job that the server has. */
export function toEnqueued(jobId: string, answer: Partial<Enqueued>): Enqueued {
  const { duplicate = false, current_queue_length: length, warning } = answer;
  return {
    job_id: jobId,
    duplicate,
    ...(length === undefined ? {} : { current_queue_length: length }),
    ...(warning === undefined ? {} : { warning }),
  };
}

function counted<AnswerT>(answers: readonly (AnswerT | SharqError)[]): BulkAnswers<AnswerT> {
  return { answers, failed: answers.filter((answer) => answer instanceof SharqError).length };
}
