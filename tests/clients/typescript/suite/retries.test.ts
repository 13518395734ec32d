/** Calls are repeated if that is safe, and streams go on, while a server is killed and started again. */
import assert from "node:assert/strict";
import * as http from "node:http";
import { after, test } from "node:test";
import { type EnqueueJob, EnqueueStopped, OutcomeUnknown, Unavailable } from "sharq-client";
import { freePort, IS_FULL, listen, newType, open, OwnServer, SHARED_URL, until, Wire } from "./support.js";

/** The jobs of the stream through which the server is killed. */
const JOBS = IS_FULL ? 100_000 : 8_000;
const QUEUES = 50;

/** Return a job of a new type. */
function newJob() {
  return {
    queue_type: newType(),
    queue_id: "q",
    job_id: "j",
    payload: 1,
    interval: 0,
  };
}

test("an enqueue that was perhaps done is sent again as a repetition, and is queued once", async () => {
  const { wire, port } = await Wire.open(SHARED_URL);
  const client = open({ url: `http://127.0.0.1:${port}` });
  wire.passesAnswer = () => {
    wire.passesAnswer = () => true;
    wire.cut();
    return false;
  };
  const job = newJob();
  const answer = await client.enqueue(job);
  assert.equal(answer.duplicate, true);
  assert.equal((await client.queue(job.queue_type, "q"))?.queued, 1);
});

test("a dequeue that was perhaps done is not sent again", async () => {
  const { wire, port } = await Wire.open(SHARED_URL);
  const client = open({ url: `http://127.0.0.1:${port}` });
  const job = newJob();
  await client.enqueue(job);
  wire.passesAnswer = () => {
    wire.cut();
    return false;
  };
  await assert.rejects(client.dequeue(job.queue_type), OutcomeUnknown);
  assert.equal(wire.connections, 1);
});

test("a finish with its lease is sent again", async () => {
  const { wire, port } = await Wire.open(SHARED_URL);
  const client = open({ url: `http://127.0.0.1:${port}` });
  const job = newJob();
  await client.enqueue(job);
  const leased = await client.dequeue(job.queue_type);
  assert.ok(leased);
  wire.passesAnswer = () => {
    wire.passesAnswer = () => true;
    wire.cut();
    return false;
  };
  assert.equal(await client.finish(leased), null);
  assert.equal((await client.job(job.queue_type, "q", "j"))?.state, "finished");
});

test("kept connections are used again, and one that the server has closed is not", async () => {
  const { wire, port } = await Wire.open(SHARED_URL);
  const client = open({ url: `http://127.0.0.1:${port}`, retries: 0 });
  for (let round = 0; round < 20; round += 1) await client.healthz();
  assert.equal(wire.connections, 1);
  for (let round = 0; round < 20; round += 1) {
    wire.cut();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await client.healthz(), true);
  }
  assert.equal(wire.connections, 21);
});

test("the next router is asked at once if one accepts no connection, and it stays the first", async () => {
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  const client = open({ url: [nowhere, SHARED_URL], retries: 0 });
  assert.equal((await client.enqueue(newJob())).duplicate, false);
  const both = open({
    url: [nowhere, `http://127.0.0.1:${await freePort()}`],
    retries: 0,
  });
  await assert.rejects(both.enqueue(newJob()), Unavailable);
});

test("a 503 with a Retry-After is repeated after that time, and a 429 as well", async () => {
  const refusals = [503, 429];
  const { hostname, port } = new URL(SHARED_URL);
  // A load balancer without a free server, which then finds one.
  const balancer = http.createServer((request, response) => {
    const status = refusals.shift();
    if (status !== undefined) {
      request.resume();
      response.writeHead(status, { "retry-after": "2" }).end("busy");
      return;
    }
    const { method, url, headers } = request;
    const far = http.request({ hostname, port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    request.pipe(far);
  });
  const front = await listen(balancer);
  after(() => balancer.close());
  const client = open({ url: `http://127.0.0.1:${front}`, retries: 1 });
  const beganMs = performance.now();
  await assert.rejects(client.enqueue(newJob()), /Overloaded: answered 429/);
  assert.ok(performance.now() - beganMs >= 2_000);
  assert.equal((await client.enqueue(newJob())).duplicate, false);
});

test(`a stream of ${JOBS} jobs loses none and queues none twice, although the server is killed`, async () => {
  const server = await OwnServer.start();
  const client = open({ url: server.url });
  const type = newType();
  function* jobs(from = 0): Generator<EnqueueJob> {
    for (let n = from; n < JOBS; n += 1) {
      yield {
        queue_type: type,
        queue_id: `q${n % QUEUES}`,
        job_id: `j${n}`,
        payload: { n },
        interval: 0,
      };
    }
  }
  let restart: Promise<void> | null = null;
  const onProgress = ({ sent }: { sent: number }) => {
    if (restart === null && sent > JOBS / 4) restart = server.kill().then(() => server.start());
  };
  let begin = 0;
  for (;;) {
    try {
      const summary = await client.enqueueMany(jobs(begin), {
        repeat: begin > 0,
        onProgress,
        inFlight: 4,
      });
      assert.equal(summary.failed, 0);
      break;
    } catch (error) {
      if (!(error instanceof EnqueueStopped)) throw error;
      assert.ok(
        error.cause instanceof Unavailable || error.cause instanceof OutcomeUnknown,
        String(error.cause),
      );
      begin += error.resumeAt;
      await restart;
    }
  }
  assert.ok(restart !== null);
  await restart;
  let queued = 0;
  for await (const row of client.control.queues(type)) queued += row.queued;
  assert.equal(queued, JOBS);
  await until(() => client.readyz());
});
