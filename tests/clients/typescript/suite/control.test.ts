/** Every operation of operators, once, on a real server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidRequest, WindowUsed } from "sharq-client";
import { all, newType, open, until } from "./support.js";

const client = open();

test("the settings of operators", async () => {
  const type = newType();
  const gathered = `${type}~carrier`;
  const queue = await client.control.setQueue(type, "q", {
    rate: "5/s",
    weight: 3,
    max_leased: 7,
  });
  assert.deepEqual([queue.interval, queue.weight, queue.max_leased], [200, 3, 7]);
  assert.equal((await client.control.setQueue(type, "q", { max_leased: null })).max_leased, null);
  assert.equal(await client.control.hold(type, "q", { forMs: 5_000 }), true);
  assert.equal(await client.control.hold(type, "q", { untilMs: Date.now() + 60_000 }), true);
  assert.ok((await client.queue(type, "q"))?.held_until);
  const stats = await client.control.setType(gathered, {
    limits: [{ rate: "40/s" }],
    quotas: [{ quota: 2000, period: "day", tz: "Asia/Tokyo" }],
    max_leased: 9,
  });
  assert.deepEqual([stats.limits[0]?.interval, stats.max_leased, stats.quotas[0]?.used], [25, 9, 0]);
  assert.equal((await client.control.type(gathered)).max_leased, 9);
  assert.equal((await client.control.clearType(gathered)).max_leased, null);
  await client.control.pauseType(type);
  await client.enqueue({
    queue_type: type,
    queue_id: "free",
    payload: 1,
    interval: 0,
  });
  assert.equal(await client.dequeue(type), null);
  await client.control.resumeType(type);
  assert.ok(await client.dequeue(type, { waitMs: 2_000 }));
});

test("the lists of operators", async () => {
  const type = newType();
  const jobs = ["x", "y", "y"].map((queueId) => ({
    queue_type: type,
    queue_id: queueId,
    payload: 1,
    rate: "1/h",
  }));
  await client.enqueueMany(jobs);
  const rows = await all(client.control.queues(type, { page: 1 }));
  assert.deepEqual(rows.map((row) => [row.queue_id, row.queued]).sort(), [
    ["x", 1],
    ["y", 2],
  ]);
  assert.equal((await client.control.topQueues(type, "depth", { limit: 1 }))[0]?.queue_id, "y");
  assert.deepEqual((await client.control.queueAges(type)).map((row) => row.queue_id).sort(), ["x", "y"]);
  assert.ok((await all(client.control.types())).some((row) => row.queue_type === type && row.queued === 3));
});

test("the calls about caps", async () => {
  const [type, name] = [newType(), newType()];
  const defined = await client.control.putCap(name, { rate: "40/s", burst: 2, max_leased: 5 });
  assert.deepEqual([defined.limits[0]?.interval, defined.max_leased, defined.leased], [25, 5, 0]);
  const queue = await client.control.setQueue(type, "q", { caps: [name] });
  assert.deepEqual([queue.caps, queue.settings], [[name], ["caps"]]);
  assert.equal((await client.control.cap(name))?.queues, 1);
  assert.ok((await all(client.control.caps({ page: 1 }))).some((row) => row.name === name));
  assert.equal(await client.control.holdCap(name, 60_000), true);
  await client.enqueue({ queue_type: type, queue_id: "q", payload: 1, interval: 0 });
  assert.equal(await client.dequeue(type), null);
  assert.equal((await client.queue(type, "q"))?.blocked_by, `cap:${name}`);
  await client.control.putCap(name, { hold: null });
  const job = await client.dequeue(type, { waitMs: 5_000 });
  assert.ok(job);
  await client.release(job, { holdCap: { name, ms: 60_000 } });
  assert.ok((await client.control.cap(name))?.held_until);
  assert.equal(await client.control.dropCap(name), 1);
  assert.equal(await client.control.dropCap(name), null);
  assert.equal(await client.control.holdCap(name, 1), false);
  assert.equal(await client.control.cap(name), null);
});

test("the calls about windows", async () => {
  const name = newType();
  const type = newType();
  await client.control.putWindow(name, {
    tz: "Asia/Kolkata",
    open: [{ days: "daily", from: "00:00", to: "24:00" }],
    except: ["2030-01-01"],
  });
  assert.equal((await client.control.window(name))?.is_open, true);
  assert.ok((await all(client.control.windows({ page: 1 }))).some((row) => row.name === name));
  await client.control.setQueue(type, "q", { window: name });
  await assert.rejects(client.control.dropWindow(name), WindowUsed);
  await client.control.setQueue(type, "q", { window: null });
  await until(() => client.control.dropWindow(name));
  assert.equal(await client.control.dropWindow(name), false);
  assert.equal(await client.control.window(name), null);
});

test("the calls about schedules", async () => {
  const { schedules } = client.control;
  const name = newType();
  const type = newType();
  const job = {
    queue_type: type,
    queue_id: "q",
    payload: { n: 1 },
    interval: 0,
  };
  const state = await schedules.put(name, job, {
    cron: "0 8 * * 1",
    tz: "Asia/Kolkata",
  });
  assert.deepEqual([state.cron, state.tz, state.paused], ["0 8 * * 1", "Asia/Kolkata", false]);
  const { interval: _, ...unrated } = { ...job, queue_id: "unrated" };
  await assert.rejects(schedules.put(name, unrated, { every: 60_000 }), InvalidRequest);
  const later = { every: 60_000, rate_later: true };
  assert.equal((await schedules.put(name, unrated, later)).every, 60_000);
  assert.equal((await schedules.put(name, job, { every: 1_000 })).every, 1_000);
  const fired = await client.dequeue<{ n: number }>(type, { waitMs: 10_000 });
  assert.equal(fired?.payload.n, 1);
  assert.equal(fired?.requeues_remaining, 10);
  assert.equal(await schedules.pause(name), true);
  assert.equal((await schedules.get(name))?.paused, true);
  assert.equal(await schedules.resume(name), true);
  assert.ok((await all(schedules.list())).some((row) => row.name === name));
  assert.equal(await schedules.delete(name), true);
  assert.equal(await schedules.get(name), null);
  assert.equal(await schedules.pause(name), false);
});

test("the calls about the server", async () => {
  assert.equal(await client.healthz(), true);
  assert.equal(await client.readyz(), true);
  assert.equal(await client.deepstatus(), true);
  assert.ok((await client.control.cluster()).members.length >= 1);
  assert.match(await client.control.prometheus(), /^# HELP /m);
  assert.equal((await client.control.openapi())["openapi"], "3.1.0");
  assert.match(await client.control.greeting(), /SharQ/);
});
