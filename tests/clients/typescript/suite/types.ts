/** Programs for the type checker. They are compiled and never run: an expected error that does not occur fails it. */
import type {
  BulkAnswers,
  Client,
  EnqueueAnswers,
  EnqueueSummary,
  JobState,
  LeasedJob,
  Worker,
} from "sharq-client";

interface Sms {
  to: string;
}

/** Each answer has its type. */
export async function right(client: Client, worker: Worker): Promise<void> {
  const one: LeasedJob<Sms> | null = await client.dequeue<Sms>("sms");
  const many: LeasedJob<Sms>[] = await client.dequeue<Sms>(["sms", "voice"], { count: 5 });
  const answers: EnqueueAnswers = await client.enqueueMany([{ queue_type: "t", queue_id: "q", payload: 1 }]);
  const summary: EnqueueSummary = await client.enqueueMany(
    new Set([{ queue_type: "t", queue_id: "q", payload: 1 }]),
  );
  const states: BulkAnswers<JobState> = await client.jobs.cancelMany(many);
  const state: JobState | undefined = (await client.job("t", "q", "j"))?.state;
  worker.handle<Sms>("sms", ({ payload, signal }) => void [payload.to, signal.aborted]);
  worker.handleBatch<Sms>("sms", 10, (jobs) => jobs.map((job) => job.payload.to));
  void [one, answers.answers.length, summary.failures, states, state];
}

/** Each line that is marked has one mistake. */
export async function wrong(client: Client, worker: Worker): Promise<void> {
  // @ts-expect-error a field that no job has
  await client.enqueue({ queue_type: "t", queue_id: "q", payload: 1, intervall: 5 });
  // @ts-expect-error a job without a payload
  await client.enqueue({ queue_type: "t", queue_id: "q" });
  // @ts-expect-error the fate of a job that expires is dead or drop
  await client.enqueue({ queue_type: "t", queue_id: "q", payload: 1, on_expiry: "vanish" });
  // @ts-expect-error there may be no job
  (await client.dequeue("sms")).job_id;
  // @ts-expect-error nothing is known of the payload
  (await client.dequeue("sms"))?.payload.to;
  // @ts-expect-error a summary has no answers
  (await client.enqueueMany(new Set([]))).answers;
  // @ts-expect-error the options have their units in their names
  await client.dequeue("sms", { wait: 5 });
  // @ts-expect-error a hold has an end
  await client.control.hold("t", "q", {});
  // @ts-expect-error a handler is a function
  worker.handle("sms", "send");
}
