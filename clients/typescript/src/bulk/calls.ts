/**
 * Sends bulk calls, with one answer for each job, in order, even if a whole call fails.
 *
 * A list that is longer than one call permits is split. Failed jobs are retried without the others, if that is safe.
 */
import { type Body, bulkText } from "../bodies.js";
import { OutcomeUnknown, SharqError } from "../errors.js";
import { mayRepeat, pauseMs } from "../http/failures.js";
import { pause, type Transport } from "../http/transport.js";
import { type Result, toAnswer } from "./answers.js";

/** The server's limit of jobs in one bulk call. */
export const MAX_JOBS_A_CALL = 1_000;

/** The limit of bytes in one bulk call: half of the server's default limit. */
const MAX_BYTES_A_CALL = 8 * 1024 * 1024;

/** The rule by which the jobs of a call may be repeated. */
export interface BulkRepeats<BodyT> {
  /** Returns true if a job that was perhaps done may be sent again. */
  readonly isSafeTwice: (body: BodyT) => boolean;
  /** Returns the form in which to send a job again that was perhaps done; absent for the same one. */
  readonly toRepeat?: (body: BodyT) => BodyT;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Send jobs, and retry those that failed up to the transport's number of retries. It throws no SharqError: if a call
 * fails as a whole, each of its jobs gets the error.
 *
 * Cost: one request for each 1,000 jobs or 8 MiB.
 */
export async function sendBulk<BodyT extends Body>(
  transport: Transport,
  path: string,
  bodies: readonly BodyT[],
  { isSafeTwice, toRepeat = (body) => body, signal }: BulkRepeats<BodyT>,
): Promise<(Result | SharqError)[]> {
  const toSend = [...bodies];
  const answers = await sendOnce(transport, path, toSend, signal);
  for (let tries = 1; tries <= transport.retries; tries += 1) {
    const failed: [number, SharqError][] = [];
    for (const [index, body] of toSend.entries()) {
      const answer = answers[index];
      if (answer instanceof SharqError && mayRepeat(answer, isSafeTwice(body))) failed.push([index, answer]);
    }
    if (!failed.length) break;
    // One pause for all: the longest, so that no job is sent again before its own pause is over.
    await pause(longestPauseMs(failed, tries), signal);
    for (const [index, error] of failed) {
      if (error.perhapsDone) toSend[index] = toRepeat(toSend[index] as BodyT);
    }
    const again = await sendOnce(
      transport,
      path,
      failed.map(([index]) => toSend[index] as BodyT),
      signal,
    );
    for (const [place, [index]] of failed.entries()) answers[index] = again[place] as Result | SharqError;
  }
  return answers;
}

/** Split jobs, in order, into calls that stay within the server's limits of jobs and bytes. */
export function* split<BodyT extends Body>(bodies: readonly BodyT[]): Generator<readonly BodyT[]> {
  let start = 0;
  let bytes = 0;
  for (const [index, body] of bodies.entries()) {
    const isFull = index - start === MAX_JOBS_A_CALL || bytes + body.bytes > MAX_BYTES_A_CALL;
    if (isFull && index > start) {
      yield bodies.slice(start, index);
      start = index;
      bytes = 0;
    }
    bytes += body.bytes + 1; // with its comma
  }
  if (bodies.length) yield bodies.slice(start);
}

async function sendOnce(
  transport: Transport,
  path: string,
  bodies: readonly Body[],
  signal: AbortSignal | undefined,
): Promise<(Result | SharqError)[]> {
  const answers: (Result | SharqError)[] = [];
  for (const call of split(bodies)) answers.push(...(await sendCall(transport, path, call, signal)));
  return answers;
}

async function sendCall(
  transport: Transport,
  path: string,
  bodies: readonly Body[],
  signal: AbortSignal | undefined,
): Promise<(Result | SharqError)[]> {
  let results: readonly Result[];
  try {
    ({ results } = await transport.send<{ results: readonly Result[] }>({
      method: "POST",
      path,
      body: bulkText(bodies),
      signal,
    }));
  } catch (error) {
    if (!(error instanceof SharqError)) throw error;
    return bodies.map(() => error);
  }
  if (results.length !== bodies.length) {
    const text = `the server sent ${results.length} answers to a call about ${bodies.length} jobs`;
    const error = new OutcomeUnknown(text);
    return bodies.map(() => error);
  }
  return results.map(toAnswer);
}

function longestPauseMs(failed: readonly [number, SharqError][], tries: number): number {
  return failed.reduce((longest, [, error]) => Math.max(longest, pauseMs(error, tries)), 0);
}
