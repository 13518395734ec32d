/** enqueueMany takes arrays and streams, keeps the order within a queue, and needs bounded memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type EnqueueJob,
  type EnqueueProgress,
  EnqueueStopped,
  InvalidRequest,
  Unavailable,
} from "sharq-client";
import { all, freePort, IS_FULL, newType, open } from "./support.js";

const client = open();

function* jobsOf(type: string, count: number, queues: number, payload: unknown = 1): Generator<EnqueueJob> {
  for (let n = 0; n < count; n += 1) {
    const jobId = `j${String(n).padStart(7, "0")}`;
    yield {
      queue_type: type,
      queue_id: `q${n % queues}`,
      job_id: jobId,
      payload,
      interval: 0,
    };
  }
}

test("a stream gives a summary, and the jobs of each queue keep their order", async () => {
  const type = newType();
  const progress: EnqueueProgress[] = [];
  const summary = await client.enqueueMany(jobsOf(type, 5_500, 3), {
    inFlight: 3,
    onProgress: (each) => progress.push(each),
  });
  assert.deepEqual(summary, {
    sent: 5_500,
    queued: 5_500,
    duplicates: 0,
    failed: 0,
    failures: [],
  });
  assert.ok(progress.length >= 6);
  assert.equal(progress.at(-1)?.resumeAt, 5_500);
  for (let number = 0; number < 3; number += 1) {
    const ids = (await all(client.jobs.inQueue(type, `q${number}`, { page: 1_000 }))).map(
      (row) => row.job_id,
    );
    assert.equal(ids.length, Math.ceil((5_500 - number) / 3));
    assert.deepEqual(ids, [...ids].sort());
  }
});

test("an async iterable is read, and closed if the stream ends early", async () => {
  const type = newType();
  let isClosed = false;
  async function* jobs(): AsyncGenerator<EnqueueJob> {
    try {
      yield* jobsOf(type, 10, 1);
    } finally {
      isClosed = true;
    }
  }
  assert.equal((await client.enqueueMany(jobs())).queued, 10);
  assert.ok(isClosed);
  assert.equal((await client.enqueueMany(jobs(), { repeat: true })).duplicates, 10);
});

test("what the server refuses by itself is listed and stops nothing", async () => {
  const type = newType();
  const jobs = [...jobsOf(type, 5, 1)];
  const mixed: unknown[] = [jobs[0], { ...jobs[1], priority: 99 }, { ...jobs[2], payload: 1n }, 7, jobs[3]];
  const summary = await client.enqueueMany(new Set(mixed) as Set<EnqueueJob>);
  assert.deepEqual([summary.queued, summary.failed], [2, 3]);
  assert.deepEqual(
    summary.failures.map((failure) => [failure.index, failure.job_id, failure.error.code]),
    [
      [1, "j0000001", "invalid_request"],
      [2, "j0000002", "invalid_request"],
      [3, "", "invalid_request"],
    ],
  );
  const { answers, failed } = await client.enqueueMany(mixed as EnqueueJob[], {
    repeat: true,
  });
  assert.equal(failed, 3);
  assert.deepEqual(answers[0], { job_id: "j0000000", duplicate: true });
  assert.ok(answers[2] instanceof InvalidRequest);
});

test("a stream that no server takes says where to resume, and an array has an error for each job", async () => {
  const nowhere = open({
    url: `http://127.0.0.1:${await freePort()}`,
    retries: 0,
  });
  const type = newType();
  await assert.rejects(nowhere.enqueueMany(jobsOf(type, 50_000, 10)), (error) => {
    assert.ok(error instanceof EnqueueStopped);
    assert.ok(error.cause instanceof Unavailable);
    assert.deepEqual([error.code, error.resumeAt, error.perhapsDone], ["enqueue_stopped", 0, false]);
    return true;
  });
  const { answers, failed, sent } = await nowhere.enqueueMany([...jobsOf(type, 3_000, 2)]);
  assert.deepEqual([failed, sent], [3_000, 3_000]);
  assert.ok(answers.every((answer) => answer instanceof Unavailable));
});

test("if the iterable fails, the jobs before are sent and its error is thrown", async () => {
  const type = newType();
  const fault = new Error("line 8 is no JSON");
  function* jobs(): Generator<EnqueueJob> {
    yield* jobsOf(type, 7, 2);
    throw fault;
  }
  await assert.rejects(client.enqueueMany(jobs()), (error) => error === fault);
  assert.equal((await client.queue(type, "q0"))?.queued, 4);
  await assert.rejects(
    client.enqueueMany(jobsOf(type, 5_000, 2), {
      onProgress: () => {
        throw fault;
      },
    }),
    (error) => error === fault,
  );
});

test("a signal ends a stream", async () => {
  const type = newType();
  const controller = new AbortController();
  const reason = new Error("enough");
  let read = 0;
  function* jobs(): Generator<EnqueueJob> {
    for (const job of jobsOf(type, 1_000_000, 10)) {
      read += 1;
      if (read === 5_000) controller.abort(reason);
      yield job;
    }
  }
  await assert.rejects(
    client.enqueueMany(jobs(), { signal: controller.signal }),
    (error) => error === reason,
  );
  assert.ok(read < 20_000);
});

test("what is no iterable of jobs is refused", async () => {
  for (const jobs of ["text", { queue_type: "t" }, null, 5]) {
    await assert.rejects(client.enqueueMany(jobs as never), /^TypeError: jobs: expected an array/);
  }
  await assert.rejects(client.enqueueMany([], { inFlight: 0 }), /^RangeError: inFlight: expected 1 to 64/);
  assert.equal((await client.enqueueMany([])).sent, 0);
});

test("memory is bounded, and no more jobs are read than calls hold", async () => {
  const type = newType();
  const count = IS_FULL ? 200_000 : 25_000;
  const payload = "x".repeat(1_000);
  let sent = 0;
  let mostAhead = 0;
  let read = 0;
  function* jobs(): Generator<EnqueueJob> {
    for (const job of jobsOf(type, count, 100, payload)) {
      read += 1;
      mostAhead = Math.max(mostAhead, read - sent);
      yield job;
    }
  }
  const before = process.memoryUsage().rss;
  const summary = await client.enqueueMany(jobs(), {
    onProgress: (progress) => {
      sent = progress.sent;
    },
  });
  assert.equal(summary.queued, count);
  // Two calls of each of the four lanes: one in flight, one that gathers.
  assert.ok(mostAhead <= 8 * 1_000 + 1, `${mostAhead} jobs were read ahead`);
  const grownBytes = process.memoryUsage().rss - before;
  assert.ok(grownBytes < 120 * 1024 * 1024, `${grownBytes} bytes more`);
});
