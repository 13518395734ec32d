/** Every operation of producers and workers, once, on a real server; control.test.ts has those of operators. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import {
  Duplicate,
  hasEnded,
  Leased,
  LeaseLost,
  NotFound,
  NotWaiting,
  RawJson,
  DEFAULT_RETRY,
} from "sharq-client";
import { all, newType, open, SHARED_URL } from "./support.js";

const client = open();

test("a job goes from enqueue over dequeue to finish, with its result", async () => {
  const type = newType();
  const queued = await client.enqueue({
    queue_type: type,
    queue_id: "acme",
    payload: { to: "+15550100" },
    rate: "10/s",
  });
  assert.equal(queued.duplicate, false);
  const job = await client.dequeue<{ to: string }>(type, {
    waitMs: 2_000,
    leaseMs: 20_000,
  });
  assert.ok(job);
  assert.deepEqual([job.queue_type, job.queue_id, job.job_id], [type, "acme", queued.job_id]);
  assert.equal(job.payload.to, "+15550100");
  assert.deepEqual([job.attempt, job.requeues_remaining], [1, 10]);
  assert.equal(await client.finish(job, { result: { sid: 7 } }), true);
  const status = await client.job(type, "acme", job.job_id);
  assert.ok(status);
  assert.equal(status.state, "finished");
  assert.deepEqual(status.result, { sid: 7 });
  assert.ok(!("status" in status));
  await client.finish(job); // a repetition of the same finish is one, too
  await assert.rejects(client.finish({ ...job, job_id: "nothing" }), NotFound);
});

test("a job says that it is safe by default, and null leaves it to the server", async () => {
  const type = newType();
  const job = { queue_type: type, queue_id: "q", payload: 1, interval: 0 };
  await client.enqueue({ ...job, job_id: "safe" });
  await client.enqueue({
    ...job,
    job_id: "plain",
    requeue_limit: null,
    retry: null,
  });
  const safe = await client.job(type, "q", "safe");
  assert.equal(safe?.requeue_limit, 10);
  assert.deepEqual(safe?.retry, DEFAULT_RETRY);
  const plain = await client.job(type, "q", "plain");
  assert.equal(plain?.requeue_limit, -1);
  assert.equal(plain?.retry, undefined);
});

test("identifiers and payloads of any characters come back as they were", async () => {
  const type = newType();
  const payload = { text: 'é"\\\u0000 \u{1f600}', list: [1, null, true, { at: new Date(0) }] };
  const job = { queue_type: type, queue_id: "eu/acme:7+b@c.d", job_id: "2030/11:j", interval: 0 };
  await client.enqueue({ ...job, payload });
  await client.enqueue({ ...job, job_id: "raw", payload: new RawJson('{"id":  12345678901234567890}') });
  assert.equal((await client.queue(type, job.queue_id))?.queued, 2);
  const [first, second] = await client.dequeue(type, { count: 10 });
  assert.ok(first && second);
  assert.deepEqual(first.payload, JSON.parse(JSON.stringify(payload)));
  assert.deepEqual([first.queue_id, first.job_id], [job.queue_id, job.job_id]);
  await client.finish(first);
  assert.equal((await client.job(type, job.queue_id, job.job_id))?.state, "finished");
  const text = await (
    await fetch(`${SHARED_URL}/job/${type}/${encodeURIComponent(job.queue_id)}/raw/`)
  ).text();
  assert.match(text, /"payload":\{"id":\s*12345678901234567890\}/);
});

test("dequeue leases several jobs of several types, an empty array or null if nothing is ready", async () => {
  const [one, other] = [newType(), newType()];
  for (const type of [one, other]) {
    await client.enqueue({
      queue_type: type,
      queue_id: "q",
      payload: type,
      interval: 0,
    });
  }
  const jobs = await client.dequeue([one, other], { count: 5 });
  assert.deepEqual(new Set(jobs.map((job) => job.queue_type)), new Set([one, other]));
  assert.deepEqual(await client.dequeue(one, { count: 5 }), []);
  assert.equal(await client.dequeue(one), null);
  assert.equal(await client.dequeue([one, other], { waitMs: 20 }), null);
});

test("a dequeue ends when its signal is aborted, and the job goes to the next one", async () => {
  const type = newType();
  const reason = new Error("enough");
  const controller = new AbortController();
  const waiting = client.dequeue(type, {
    waitMs: 30_000,
    signal: controller.signal,
  });
  setTimeout(() => controller.abort(reason), 50);
  await assert.rejects(waiting, (error) => error === reason);
  await assert.rejects(
    client.dequeue(type, { signal: AbortSignal.abort(reason) }),
    (error) => error === reason,
  );
  await client.enqueue({
    queue_type: type,
    queue_id: "q",
    payload: 1,
    interval: 0,
  });
  assert.ok(await client.dequeue(type, { waitMs: 2_000 }));
});

test("extend moves the end of a lease, with a progress, and an older lease is lost", async () => {
  const type = newType();
  await client.enqueue({
    queue_type: type,
    queue_id: "q",
    job_id: "j",
    payload: 1,
    interval: 0,
    retry: null,
  });
  const first = await client.dequeue(type, { leaseMs: 100 });
  assert.ok(first);
  const [second] = await client.dequeue(type, { count: 1, waitMs: 5_000 });
  assert.ok(second);
  assert.equal(second.attempt, 2);
  await assert.rejects(client.finish(first), LeaseLost);
  const end = await client.extend(second, 60_000, { progress: { done: 0.5 } });
  assert.ok(end > second.lease_expires_at);
  const status = await client.job(type, "q", "j");
  assert.deepEqual([status?.lease_expires_at, status?.progress], [end, { done: 0.5 }]);
});

test("release gives a job back with its error, a delay and a hold of its queue", async () => {
  const type = newType();
  await client.enqueue({
    queue_type: type,
    queue_id: "q",
    job_id: "j",
    payload: 1,
    interval: 0,
  });
  const job = await client.dequeue(type);
  assert.ok(job);
  await client.release(job, {
    delayMs: 0,
    error: "busy",
    counts: false,
    holdMs: 60_000,
    cost: 2,
  });
  const status = await client.job(type, "q", "j");
  assert.deepEqual([status?.state, status?.attempt, status?.error], ["queued", 0, "busy"]);
  const queue = await client.queue(type, "q");
  assert.ok(queue?.held_until);
});

test("the bulk calls answer for each job", async () => {
  const type = newType();
  const ids = ["a", "b", "c", "d"];
  const sent = await client.enqueueMany(
    ids.map((id) => ({
      queue_type: type,
      queue_id: id,
      job_id: id,
      payload: id,
      interval: 0,
    })),
  );
  assert.deepEqual([sent.sent, sent.queued, sent.failed], [4, 4, 0]);
  assert.deepEqual(sent.answers[0], { job_id: "a", duplicate: false });
  const jobs = (await client.dequeue(type, { count: 10 })).sort((x, y) => (x.job_id < y.job_id ? -1 : 1));
  const [a, b, c, d] = jobs;
  assert.ok(a && b && c && d);
  assert.equal(
    (
      await client.extendMany([a, b], 50_000, {
        progress: [{ p: 1 }, undefined],
      })
    ).failed,
    0,
  );
  assert.deepEqual((await client.job(type, "a", "a"))?.progress, { p: 1 });
  assert.equal((await client.finishMany([a], { results: ["done"] })).failed, 0);
  assert.equal((await client.job(type, "a", "a"))?.result, "done");
  assert.equal(
    (
      await client.releaseMany([b, c], {
        delayMs: 0,
        error: ["why", undefined],
      })
    ).failed,
    0,
  );
  assert.equal((await client.job(type, "b", "b"))?.error, "why");
  const again = await client.finishMany([{ ...a, job_id: "nothing" }, d]);
  assert.equal(again.failed, 1);
  assert.ok(again.answers[0] instanceof NotFound);
  assert.equal(again.answers[1], null);
  assert.deepEqual((await client.finishMany([])).answers, []);
});

test("the calls about queues", async () => {
  const type = newType();
  const jobs = ["x", "y"].map((queueId) => ({
    queue_type: type,
    queue_id: queueId,
    payload: 1,
    rate: "1/h",
  }));
  await client.enqueueMany([...jobs, ...jobs]);
  assert.equal(await client.setInterval(type, "x", { rate: "20/s", burst: 2, pin: true }), true);
  assert.equal(await client.setInterval(type, "nothing", { interval: 10 }), false);
  const warned = once(process, "warning");
  assert.equal(await client.setInterval(type, "fast", { rate: "1000/s", pin: true }), true);
  const [warning] = (await warned) as [Error];
  assert.equal(warning.name, "SharqWarning");
  assert.match(
    warning.message,
    new RegExp(`^queue ${type} fast: interval: 1 ms is not kept in full at burst 1`),
  );
  const queue = await client.queue(type, "x");
  assert.deepEqual([queue?.interval, queue?.burst, queue?.pinned, queue?.queued], [50, 2, true, 2]);
  assert.equal(await client.queue(type, "nothing"), null);
  assert.equal(await client.pause(type, "x"), true);
  assert.equal((await client.queue(type, "x"))?.paused, true);
  assert.equal(await client.resume(type, "x"), true);
  assert.deepEqual((await all(client.queues(type, { page: 1 }))).sort(), ["x", "y"]);
  const counts = await client.queueCounts(type, "x");
  assert.equal(
    Object.values(counts.enqueue_counts).reduce((sum, each) => sum + each),
    2,
  );
  assert.ok((await client.counts()).queue_types.includes(type));
  assert.equal(await client.deleteQueue(type, "x", { purgeAll: true }), true);
  assert.equal(await client.deleteQueue(type, "x"), false);
});

test("the calls about dead letters", async () => {
  const type = newType();
  const ids = ["a", "b", "c", "d"];
  for (const id of ids) {
    await client.enqueue({
      queue_type: type,
      queue_id: "q",
      job_id: id,
      payload: id,
      interval: 0,
      requeue_limit: 0,
    });
  }
  for (const job of await client.dequeue(type, { count: 4 })) await client.release(job, { error: "no" });
  const letters = await all(client.dead(type, { page: 2 }));
  assert.deepEqual(letters.map((letter) => letter.job_id).sort(), ids);
  assert.equal(letters[0]?.error, "no");
  assert.deepEqual(await all(client.dead(type, { queueId: "other" })), []);
  await client.jobs.redrive(type, "q", "a");
  await assert.rejects(client.jobs.redrive(type, "q", "a"), NotFound);
  const many = await client.redriveMany(
    type,
    letters.filter((letter) => letter.job_id < "c"),
  );
  assert.deepEqual(many.answers.map((answer) => answer?.code ?? null).sort(), ["not_found", null].sort());
  assert.equal(await client.jobs.dropDeadLetter(type, "q", "c"), true);
  assert.equal(await client.jobs.dropDeadLetter(type, "q", "c"), false);
  assert.equal(await client.redrive(type), 1);
  assert.equal(await client.dropDead(type), 0);
});

test("a live job is in the way of the dead letter of its id", async () => {
  const type = newType();
  const job = {
    queue_type: type,
    queue_id: "q",
    job_id: "j",
    payload: 1,
    interval: 0,
    requeue_limit: 0,
  };
  await client.enqueue(job);
  const leased = await client.dequeue(type);
  assert.ok(leased);
  await client.release(leased);
  await client.enqueue(job);
  await assert.rejects(client.jobs.redrive(type, "q", "j"), Duplicate);
});

test("the calls that look after jobs", async () => {
  const type = newType();
  const job = {
    queue_type: type,
    queue_id: "q",
    payload: 1,
    interval: 0,
    batch: "campaign",
  };
  for (const id of ["a1", "a2", "b1", "b2"]) await client.enqueue({ ...job, job_id: id, delay: 60_000 });
  const changed = await client.jobs.change(type, "q", "a1", {
    delay: 0,
    priority: 1,
    payload: [2],
    expires: undefined,
  });
  assert.deepEqual([changed.state, changed.priority, changed.payload], ["queued", 1, [2]]);
  assert.deepEqual(
    (await all(client.jobs.inQueue(type, "q"))).map((row) => row.job_id),
    ["a1"],
  );
  const delayed = client.jobs.inQueue(type, "q", {
    state: "delayed",
    prefix: "b",
    page: 1,
  });
  assert.deepEqual(
    (await all(delayed)).map((row) => row.job_id),
    ["b1", "b2"],
  );
  const leased = await client.dequeue(type);
  assert.ok(leased);
  await assert.rejects(client.jobs.cancel(type, "q", "a1"), Leased);
  await assert.rejects(client.jobs.change(type, "q", "a1", { priority: 2 }), NotWaiting);
  assert.equal((await client.jobs.batch(type, "campaign"))?.leased, 1);
  const cancelled = await client.jobs.cancelMany([leased, { ...leased, job_id: "nothing" }], { force: true });
  assert.equal(cancelled.answers[0], "leased");
  assert.ok(cancelled.answers[1] instanceof NotFound);
  assert.equal(await client.jobs.cancel(type, "q", "a2"), "delayed");
  assert.equal(await client.jobs.cancel(type, "q", "a2"), "cancelled");
  assert.equal(await client.jobs.cancel(type, "q", "nothing"), null);
  assert.equal(await client.jobs.cancelMatching(type, "q", "b1"), 1);
  assert.equal(await client.jobs.cancelBatch(type, "campaign"), 1);
  assert.equal(await client.jobs.batch(type, "nothing"), null);
  await assert.rejects(client.jobs.cancelBatch(type, "nothing"), NotFound);
});

test("wait returns when the job has ended, or when the time is over", async () => {
  const type = newType();
  await client.enqueue({
    queue_type: type,
    queue_id: "q",
    job_id: "j",
    payload: 1,
    interval: 0,
  });
  const early = await client.jobs.wait(type, "q", "j", { timeoutMs: 50 });
  assert.ok(early && !hasEnded(early));
  const waiting = client.jobs.wait(type, "q", "j");
  const job = await client.dequeue(type);
  assert.ok(job);
  await client.finish(job, { result: 42 });
  const ended = await waiting;
  assert.ok(ended && hasEnded(ended));
  assert.equal(ended.result, 42);
  assert.equal(await client.jobs.wait(type, "q", "nothing"), null);
});
