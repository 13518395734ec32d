// Run by node: folder with the packages, socket of the store, number of jobs. Prints both rates as JSON.
import { createRequire } from "node:module";

const [folder, socket, count] = process.argv.slice(2);
const require = createRequire(folder + "/");
const { Queue, Worker } = require("bullmq");

const total = Number(count);
const connection = { path: socket, maxRetriesPerRequest: null };
const queue = new Queue("sms", { connection });
await queue.waitUntilReady();

const addStarted = performance.now();
for (let first = 0; first < total; first += 1000) {
  const size = Math.min(1000, total - first);
  const job = { name: "sms", data: { message: "hello, world", to: "4912345678" }, opts: { removeOnComplete: true } };
  await queue.addBulk(Array(size).fill(job));
}
const enqueueS = (performance.now() - addStarted) / 1000;

const consumeS = await new Promise((resolve, reject) => {
  let done = 0;
  let started;
  const worker = new Worker("sms", async () => {}, { connection, concurrency: 100, autorun: false });
  worker.on("error", reject);
  worker.on("completed", async () => {
    if (++done === total) {
      const seconds = (performance.now() - started) / 1000;
      await worker.close();
      resolve(seconds);
    }
  });
  worker.waitUntilReady().then(() => { started = performance.now(); worker.run(); });
});
await queue.close();
console.log(JSON.stringify({ enqueue_rate: total / enqueueS, consume_rate: total / consumeS }));
