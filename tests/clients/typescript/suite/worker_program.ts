/** A worker that pytest's tests signal: node worker_program.js URL TYPE. Each payload says what its handler does. */
import { setTimeout as sleep } from "node:timers/promises";
import { Client, Worker } from "sharq-client";

const [url = "", type = ""] = process.argv.slice(2);
const client = new Client({ url });
const worker = new Worker(client, {
  concurrency: 50,
  leaseMs: 2_000,
  waitMs: 500,
  onEvent: (event) => {
    const detail = "signal" in event ? ` ${event.signal}` : "";
    if (!event.type.startsWith("job_") && event.type !== "outcome_reported") {
      console.log(`event ${event.type}${detail}`);
    }
  },
});
worker.handle<string>(type, async ({ payload, signal }) => {
  console.log(`job ${payload}`);
  if (payload === "slow") await sleep(1_500);
  if (payload === "forever") await sleep(600_000, undefined, { signal });
  if (payload === "block") block(1_800);
});
await worker.run();
client.close();
console.log("ended");

function block(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}
