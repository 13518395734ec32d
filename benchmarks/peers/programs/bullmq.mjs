// Adds or processes jobs with BullMQ, run by node: folder with the packages, add or process, socket of the store, number
// of jobs. Prints the jobs, the seconds from the first to the last, and this process's CPU seconds in that time, as JSON.
import { createRequire } from "node:module";

const [folder, step, socket, count] = process.argv.slice(2);
const { Queue, Worker } = createRequire(folder + "/")("bullmq");

const total = Number(count);
const bulk = 64;
const concurrency = 100;
const connection = { path: socket, maxRetriesPerRequest: null };

function start() {
  const [startedMs, cpu] = [performance.now(), process.cpuUsage()];
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return { jobs: total, duration_s: (performance.now() - startedMs) / 1000, cpu_s: (user + system) / 1e6 };
  };
}

async function add() {
  const queue = new Queue("sms", { connection });
  await queue.waitUntilReady();
  const stop = start();
  const job = { name: "sms", data: { message: "hello, world", to: "4912345678" }, opts: { removeOnComplete: true } };
  for (let first = 0; first < total; first += bulk) {
    await queue.addBulk(Array(Math.min(bulk, total - first)).fill(job));
  }
  const result = stop();
  await queue.close();
  return result;
}

async function work() {
  const worker = new Worker("sms", async () => {}, { connection, concurrency, autorun: false });
  await worker.waitUntilReady();
  const result = await new Promise((resolve, reject) => {
    let done = 0;
    const stop = start();
    worker.on("error", reject);
    worker.on("completed", () => {
      if (++done === total) resolve(stop());
    });
    worker.run();
  });
  await worker.close();
  return result;
}

console.log(JSON.stringify(await { add, process: work }[step]()));
