// Drives BullMQ: reads one request a line as JSON, [method, ...arguments], and prints each answer as JSON.
// Usage: node bullmq_jobs.js PORT DATABASE QUEUE
const readline = require('node:readline');
const { FlowProducer, Queue, Worker } = require('bullmq');

const [port, db, name] = process.argv.slice(2);
const connection = { host: '127.0.0.1', port: Number(port), db: Number(db), maxRetriesPerRequest: null };

const methods = {
  add: (queue, ...job) => queue.add(...job).then((added) => added.id),
  pause: (queue) => queue.pause(),
  schedule: (queue, every) => queue.upsertJobScheduler('every', { every }, { name: 'tick', data: {} }).then((job) => job.id),
  flow: async () => {
    const flow = new FlowProducer({ connection });
    const children = [{ name: 'child', queueName: name, data: { customer: 'acme' } }];
    await flow.add({ name: 'parent', queueName: name, data: {}, children });
    await flow.close();
  },
  counts: (queue) => queue.getJobCounts(),
  work: async (queue, ms) => {
    const seen = [];
    const worker = new Worker(name, async (job) => { seen.push(job.id); }, { connection });
    await new Promise((resolve) => setTimeout(resolve, ms));
    await worker.close();
    return seen;
  },
};

(async () => {
  const queue = new Queue(name, { connection });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [method, ...rest] = JSON.parse(line);
    console.log(JSON.stringify((await methods[method](queue, ...rest)) ?? null));
  }
  await queue.close();
})();
