// The worker: it gives each mail to the provider. It stops on SIGTERM or Ctrl-C, once the mails at hand are sent.
import { Client, Drop, JobResult, Throttled, Worker } from "sharq-client";

const PROVIDER = process.env.PROVIDER_URL ?? "http://127.0.0.1:9000";

const client = new Client();
const worker = new Worker(client, { concurrency: 20 });

worker.handle("mails", async (job) => {
  const answer = await fetch(PROVIDER, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ customer: job.queue_id, ...job.payload }),
    signal: AbortSignal.any([job.signal, AbortSignal.timeout(5_000)]),
  });
  if (answer.status === 429) {
    // Nothing of this customer is sent before then, and the attempt does not count.
    throw new Throttled({ retryAfterMs: Number(answer.headers.get("Retry-After") ?? 10) * 1_000 });
  }
  if (answer.status >= 400 && answer.status < 500) throw new Drop(`refused with ${answer.status}`);
  if (!answer.ok) throw new Error(`the provider answered ${answer.status}`); // tried again, ever more rarely
  return new JobResult({ receipt: (await answer.json()).receipt });
});

await worker.run();
client.close();
