/** The worker runs handlers and reports what they say about their jobs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  Drop,
  type EnqueueJob,
  JobResult,
  type JobStatus,
  RawJson,
  Retry,
  type RunningJob,
  Throttled,
  Worker,
  type WorkerEvent,
  type WorkerOptions,
  WrongUrl,
} from "sharq-client";
import { newType, open, SHARED_URL, until } from "./support.js";

const client = open();

/** Run a worker until something is true, and return its events. */
async function work(
  register: (worker: Worker) => void,
  isDone: (events: readonly WorkerEvent[]) => boolean | Promise<boolean>,
  options: WorkerOptions = {},
): Promise<WorkerEvent[]> {
  const events: WorkerEvent[] = [];
  const onEvent = (event: WorkerEvent) => events.push(event);
  const worker = new Worker(client, {
    waitMs: 200,
    onEvent,
    handleSignals: false,
    ...options,
  });
  register(worker);
  const running = worker.run();
  try {
    await Promise.race([running, until(() => isDone(events))]);
  } finally {
    worker.stop();
    await running;
  }
  return events;
}

function count(events: readonly WorkerEvent[], type: WorkerEvent["type"]): number {
  return events.filter((event) => event.type === type).length;
}

function hasReported(jobs: number): (events: readonly WorkerEvent[]) => boolean {
  return (events) => count(events, "outcome_reported") >= jobs;
}

/** Enqueue one job for each id, with the id as its payload. */
async function enqueue(
  type: string,
  ids: readonly string[],
  fields: Partial<EnqueueJob> = {},
): Promise<void> {
  const jobs = ids.map((id) => ({
    queue_type: type,
    queue_id: id,
    job_id: id,
    payload: id,
    interval: 0,
  }));
  const { failed } = await client.enqueueMany(jobs.map((job) => ({ ...job, ...fields })));
  assert.equal(failed, 0);
}

async function statusOf(type: string, id: string): Promise<JobStatus> {
  const status = await client.job(type, id, id);
  assert.ok(status, `${id} is not known`);
  return status;
}

test("what a handler returns or throws decides the fate of its job", async () => {
  const type = newType();
  const verbs: Record<string, () => unknown> = {
    done: () => undefined,
    ignored: () => ({ anything: 1 }),
    result: () => new JobResult({ sid: 7 }, { cost: 3 }),
    left_out: () => new JobResult("x".repeat(20_000)),
    no_json: () => new JobResult(1n),
    failed: () => Promise.reject(new TypeError("no number")),
    odd: () => Promise.reject("just text"),
    retry: () => Promise.reject(new Retry({ afterMs: 60_000, cause: new Error("busy") })),
    retry_returned: () => new Retry({ afterMs: 60_000, reason: "later" }),
    throttled: () => Promise.reject(new Throttled({ retryAfterMs: 60_000 })),
    drop: () => Promise.reject(new Drop("unknown number")),
  };
  const names = Object.keys(verbs);
  await enqueue(type, names);
  const events = await work(
    (worker) => worker.handle<string>(type, (job) => verbs[job.payload]?.()),
    hasReported(names.length),
  );
  for (const id of ["done", "ignored", "result", "left_out", "no_json", "drop"]) {
    assert.equal((await statusOf(type, id)).state, "finished", id);
  }
  assert.deepEqual((await statusOf(type, "result")).result, { sid: 7 });
  const failed = await statusOf(type, "failed");
  assert.deepEqual([failed.error, failed.attempt], ["TypeError: no number", 1]);
  assert.equal((await statusOf(type, "odd")).error, "just text");
  const retry = await statusOf(type, "retry");
  assert.deepEqual([retry.state, retry.error, retry.attempt], ["delayed", "Error: busy", 1]);
  assert.equal((await statusOf(type, "retry_returned")).error, "later");
  const throttled = await statusOf(type, "throttled");
  assert.deepEqual([throttled.state, throttled.attempt], ["queued", 0]);
  assert.equal((await client.queue(type, "throttled"))?.blocked_by, "hold");
  const told = [
    "job_finished",
    "job_failed",
    "job_retried",
    "job_throttled",
    "job_dropped",
    "result_left_out",
  ] as const;
  assert.deepEqual(
    told.map((name) => count(events, name)),
    [5, 2, 2, 1, 1, 2],
  );
  assert.equal(events[0]?.type, "worker_started");
  assert.equal(events.at(-1)?.type, "worker_stopped");
});

test("what the server refuses of a job spoils no outcome, and no lease", async () => {
  const type = newType();
  const half = "\u{1f600}".slice(0, 1);
  const verbs: Readonly<Record<string, (job: RunningJob) => unknown>> = {
    error: () => {
      throw new Error(`cut here: ${half}`);
    },
    odd: () => {
      throw Object.defineProperty(new Error(), "message", {
        get() {
          throw new Error("no message");
        },
      });
    },
    result: () => new JobResult({ text: half }),
    raw: () => new JobResult(new RawJson("oops")),
    plain: () => new JobResult(1),
    throttled: () => new Throttled({ retryAfterMs: 60_000, holdsType: true }), // the type has no ~
    deep: async (job) => {
      let deep: unknown = 1;
      for (let level = 0; level < 505; level += 1) deep = [deep]; // the server takes 500
      job.progress(deep);
      await sleep(1_000);
      return new JobResult(deep);
    },
  };
  await enqueue(type, Object.keys(verbs), { retry: { delay: 50_000 } });
  const events = await work(
    (worker) => worker.handle<string>(type, (job) => verbs[job.job_id]?.(job)),
    hasReported(7),
    { leaseMs: 400 },
  );
  for (const id of ["result", "raw", "plain", "deep"]) {
    const { state, attempt } = await statusOf(type, id);
    assert.deepEqual([state, attempt], ["finished", 1], id);
  }
  assert.equal((await statusOf(type, "plain")).result, 1);
  assert.equal((await statusOf(type, "error")).error, "Error: cut here: \uFFFD");
  assert.equal((await statusOf(type, "odd")).error, "an error whose message threw Error");
  assert.equal((await client.queue(type, "throttled"))?.blocked_by, "hold");
  assert.deepEqual([count(events, "result_left_out"), count(events, "details_left_out")], [2, 2]);
  assert.equal(count(events, "lease_lost"), 0);
});

test("a failed job waits as its retry policy says, a second without one, or as the option says", async () => {
  const type = newType();
  await enqueue(type, ["policy"], { retry: { delay: 50_000 } });
  await enqueue(type, ["none"], { retry: null });
  const fail = () => {
    throw new Error("no");
  };
  await work((worker) => worker.handle(type, fail), hasReported(2));
  const waitMs = ({ delayed_until, error_at }: JobStatus) => (delayed_until ?? 0) - (error_at ?? 0);
  assert.equal(waitMs(await statusOf(type, "policy")), 50_000);
  assert.equal(waitMs(await statusOf(type, "none")), 1_000);
  const other = newType();
  await enqueue(other, ["option"]);
  await work((worker) => worker.handle(other, fail), hasReported(1), {
    releaseDelayMs: 7_000,
  });
  assert.equal(waitMs(await statusOf(other, "option")), 7_000);
});

test("no more handlers run than may, and a slow one does not hold up the others", async () => {
  const [type, other] = [newType(), newType()];
  const ids = Array.from({ length: 30 }, (_, number) => `j${number}`);
  await enqueue(type, ids);
  await enqueue(other, ["slow"]);
  let running = 0;
  let most = 0;
  let letGo = () => {};
  const isFree = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const register = (worker: Worker) => {
    worker.handle(type, async () => {
      running += 1;
      most = Math.max(most, running);
      await sleep(5);
      running -= 1;
    });
    worker.handle(other, () => isFree);
  };
  await work(
    register,
    (events) => {
      if (count(events, "outcome_reported") === ids.length) letGo();
      return count(events, "outcome_reported") === ids.length + 1;
    },
    { concurrency: 4 },
  );
  assert.ok(most <= 4 && most >= 2, `${most} ran at once`);
});

test("a batch handler gets what is ready, and says the outcome of each job", async () => {
  const type = newType();
  const ids = ["a", "b", "c", "d", "e"];
  await enqueue(type, ids);
  const sizes: number[] = [];
  await work(
    (worker) =>
      worker.handleBatch<string>(type, 3, (jobs) => {
        sizes.push(jobs.length);
        return jobs.map(({ payload }) => {
          if (payload === "b") return new Retry({ afterMs: 60_000 });
          if (payload === "c") return new Error("no");
          return payload === "d" ? new JobResult(4) : null;
        });
      }),
    hasReported(5),
  );
  assert.deepEqual(
    sizes.reduce((sum, each) => sum + each),
    5,
  );
  assert.ok(sizes.every((size) => size <= 3));
  assert.equal((await statusOf(type, "a")).state, "finished");
  assert.equal((await statusOf(type, "b")).state, "delayed");
  assert.equal((await statusOf(type, "c")).error, "Error: no");
  assert.equal((await statusOf(type, "d")).result, 4);
  const other = newType();
  await enqueue(other, ["x", "y"]);
  await work((worker) => worker.handleBatch(other, 10, () => [null, null, null]), hasReported(2));
  assert.match(
    (await statusOf(other, "x")).error ?? "",
    /TypeError: batch handler: .*the 2 jobs, got an array of 3/,
  );
});

test("middleware runs around handlers, the first one outermost", async () => {
  const type = newType();
  await enqueue(type, ["j"]);
  const trace: string[] = [];
  await work((worker) => {
    worker.use(async (work, next) => {
      trace.push(`outer ${(work as RunningJob).job_id}`);
      const value = await next();
      trace.push("outer ends");
      return value;
    });
    worker.use((_, next) => {
      trace.push("inner");
      return next();
    });
    worker.handle(type, () => {
      trace.push("handler");
      return new JobResult(trace.length);
    });
  }, hasReported(1));
  assert.deepEqual(trace, ["outer j", "inner", "handler", "outer ends"]);
  assert.equal((await statusOf(type, "j")).result, 3);
});

test("leases are extended while handlers run, and progress is shown", async () => {
  const type = newType();
  await enqueue(type, ["long"]);
  const seen: unknown[] = [];
  const events = await work(
    (worker) =>
      worker.handle(type, async (job) => {
        for (let step = 1; step <= 12; step += 1) {
          job.progress({ step });
          await sleep(100);
        }
        seen.push((await statusOf(type, "long")).progress);
        assert.throws(
          () => job.progress("x".repeat(2_000)),
          /^RangeError: progress: expected up to 1024 bytes/,
        );
      }),
    hasReported(1),
    { leaseMs: 400 },
  );
  assert.equal((await statusOf(type, "long")).attempt, 1);
  assert.ok((seen[0] as { step: number }).step > 6, JSON.stringify(seen));
  assert.equal(count(events, "lease_lost"), 0);
});

test("an extension that is wrong is told once, and not tried again", async () => {
  const type = newType();
  await enqueue(type, ["wrong"], { requeue_limit: 0 });
  await enqueue(type, ["right"]);
  const events = await work(
    (worker) =>
      worker.handle(type, async (job) => {
        if (job.job_id === "wrong") Object.assign(job, { queue_id: "no such" });
        await sleep(1_500);
      }),
    (all) => count(all, "outcome_reported") + count(all, "outcome_refused") === 2,
    { leaseMs: 400 },
  );
  const told = events.filter((event) => event.type === "extend_failed");
  assert.deepEqual(
    told.map(({ job, error }) => [job.job_id, error.code]),
    [["wrong", "invalid_request"]],
  );
  assert.equal((await statusOf(type, "right")).attempt, 1);
});

test("a progress that is refused is told once, and leaves the lease as it is", async () => {
  const type = newType();
  await enqueue(type, ["deep"]);
  let deep: unknown = 1;
  for (let level = 0; level < 505; level += 1) deep = [deep]; // the server takes 500
  const events = await work(
    (worker) =>
      worker.handle(type, async (job) => {
        for (let step = 0; step < 12; step += 1) {
          job.progress(deep);
          await sleep(100);
        }
      }),
    hasReported(1),
    { leaseMs: 60_000 },
  );
  assert.equal(count(events, "extend_failed"), 1);
  assert.equal((await statusOf(type, "deep")).state, "finished");
});

test("the signal of a job is aborted when its lease is lost", async () => {
  const type = newType();
  await enqueue(type, ["j"]);
  const reasons: unknown[] = [];
  const events = await work(
    (worker) =>
      worker.handle(type, async ({ signal }) => {
        await client.jobs.cancel(type, "j", "j", { force: true });
        await sleep(10_000, undefined, { signal }).catch(() => reasons.push(signal.reason));
      }),
    (all) => count(all, "outcome_refused") === 1,
    { leaseMs: 400 },
  );
  assert.match(String(reasons[0]), /^(LeaseLost|NotFound): /);
  assert.ok(count(events, "lease_lost") >= 1);
  assert.equal((await statusOf(type, "j")).state, "cancelled");
});

test("a stop waits for handlers, and tells those that run too long", async () => {
  const type = newType();
  await enqueue(type, ["quick", "listens", "deaf"]);
  const ended: string[] = [];
  const beganMs = performance.now();
  const events = await work(
    (worker) =>
      worker.handle<string>(type, async ({ payload, signal }) => {
        if (payload === "quick") await sleep(300);
        else if (payload === "listens") await sleep(20_000, undefined, { signal });
        else await sleep(7_000, undefined, { ref: false });
        ended.push(payload);
      }),
    (all) => count(all, "job_started") === 3,
    { stopTimeoutMs: 600 },
  );
  assert.ok(performance.now() - beganMs < 6_000);
  assert.deepEqual(ended, ["quick"]);
  assert.equal((await statusOf(type, "quick")).state, "finished");
  const listens = await statusOf(type, "listens");
  assert.deepEqual([listens.state, listens.attempt, listens.error], ["delayed", 1, undefined]);
  assert.equal((await statusOf(type, "deaf")).state, "leased");
  assert.deepEqual([count(events, "job_stopped"), count(events, "job_abandoned")], [1, 1]);
});

test("a job that arrives during the stop is given back, and its attempt does not count", async () => {
  const type = newType();
  const worker = new Worker(client, {
    waitMs: 3_000,
    handleSignals: false,
  }).handle(type, () => {
    throw new Error("it was started");
  });
  const running = worker.run();
  await sleep(300);
  worker.stop();
  await enqueue(type, ["late"]);
  await running;
  await until(async () => (await statusOf(type, "late")).state === "queued");
  const { state, attempt, error } = await statusOf(type, "late");
  assert.deepEqual([state, attempt, error], ["queued", 0, undefined]);
});

test("an error that a retry cannot mend ends the worker", async () => {
  const lost = new Worker(open({ url: `${SHARED_URL}/prefix` }), {
    handleSignals: false,
    onEvent: () => {},
  });
  await assert.rejects(lost.handle("t", () => {}).run(), WrongUrl);
  const type = newType();
  await enqueue(type, ["j"]);
  const worker = new Worker(client, {
    waitMs: 100,
    handleSignals: false,
    onEvent: () => {},
  });
  worker.handle(type, () => (function* () {})());
  await assert.rejects(worker.run(), /^TypeError: handler: it returned a generator/);
  await assert.rejects(worker.run(), /has been run already/);
});

test("what could never work is refused when it is registered", async () => {
  const worker = new Worker(client);
  await assert.rejects(worker.run(), /no handler is registered/);
  assert.throws(() => worker.handle("t", Promise.resolve() as never), /got a promise: hand in the function/);
  assert.throws(() => worker.handle("t", class Send {} as never), /got the class Send/);
  assert.throws(() => worker.handle("t", async function* send() {} as never), /generator function send/);
  assert.throws(() => worker.use(undefined as never), /^TypeError: middleware: expected a function/);
  assert.throws(() => worker.handle([], () => {}), /^RangeError: queueTypes: /);
  worker.handle("t", () => {});
  assert.throws(() => worker.handle(["u", "t"], () => {}), /t has a handler already/);
  assert.throws(() => worker.handleBatch("v", 0, () => {}), /^RangeError: batch: expected 1 to 1000, got 0/);
  const many = Array.from({ length: 16 }, (_, number) => `t${number}`);
  assert.throws(() => worker.handle(many, () => {}), /up to 16 types/);
  assert.deepEqual(worker.queueTypes, ["t"]);
  for (const options of [
    { concurrency: 0 },
    { batch: 2_000 },
    { leaseMs: 5 },
    { releaseDelayMs: Infinity },
    { waitMs: -1 },
    { concurrency: 1.5 },
  ]) {
    assert.throws(() => new Worker(client, options), /^RangeError: \w+: expected/);
  }
  assert.throws(() => new JobResult(1, { cost: -1 }), /^RangeError: cost: expected an integer/);
  assert.throws(() => new Retry({ afterMs: -1 }), /^RangeError: afterMs: /);
  assert.throws(() => new Throttled({ retryAfterMs: Number.NaN }), /^RangeError: retryAfterMs: /);
});

test("an error of onEvent is a warning of the process, and no job suffers for it", async () => {
  const type = newType();
  await enqueue(type, ["j"]);
  const warnings: string[] = [];
  const onWarning = (warning: Error) => warnings.push(warning.message);
  process.on("warning", onWarning);
  const onEvent = ({ type: name }: WorkerEvent) => {
    if (name === "job_finished") throw new Error("no metrics");
  };
  await work(
    (worker) => worker.handle(type, () => {}),
    async () => (await statusOf(type, "j")).state === "finished",
    {
      onEvent,
    },
  );
  process.off("warning", onWarning);
  assert.match(warnings.join(), /onEvent threw at job_finished: Error: no metrics/);
});

test("the cost that a handler reports frees the rate", async () => {
  const type = newType();
  const job = {
    queue_type: type,
    queue_id: "q",
    payload: 1,
    rate: "1/s",
    cost: 3_600,
  };
  await client.enqueueMany([job, job]);
  await work((worker) => worker.handle(type, () => new JobResult(undefined, { cost: 1 })), hasReported(2));
});
