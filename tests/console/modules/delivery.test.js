import assert from "node:assert/strict";
import test from "node:test";
import {
  capOf,
  LiveRate,
  promisedNow,
  RateHistory,
  ratesByMinute,
  shareDelivered,
  typeRatesByMinute,
  WINDOW_MS,
} from "./static/delivery.js";

const MINUTE = 60_000;
const T = 28_000_000 * MINUTE;
const byMinute = (...jobs) => Object.fromEntries(jobs.map((count, index) => [T + index * MINUTE, count]));

/** The end of the last of some minutes. */
const after = (minutes) => T + minutes * MINUTE;

test("the promise of a minute is the rate while jobs wait, and else what there was to give", () => {
  const counts = {
    enqueued: byMinute(100, 0, 30),
    delivered: byMinute(60, 40, 30),
    waiting: 0,
    intervalMs: 1000,
  };
  const rates = ratesByMinute(counts, after(3));
  assert.deepEqual(
    rates.map(({ at }) => (at - T) / MINUTE),
    [0, 1, 2],
  );
  assert.deepEqual(
    rates.map(({ delivered }) => delivered * 60),
    [60, 40, 30],
  );
  assert.deepEqual(
    rates.map(({ promised }) => promised * 60),
    [60, 40, 30],
  );
});

test("a queue that gave less than its rate while jobs waited broke its promise", () => {
  const counts = { enqueued: byMinute(200, 0), delivered: byMinute(60, 15), waiting: 125, intervalMs: 1000 };
  const rates = ratesByMinute(counts, after(2));
  assert.deepEqual(
    rates.map(({ promised }) => promised * 60),
    [60, 60],
  );
  const [promised, delivered] = ["promised", "delivered"].map((name) => [
    ...rates.map((each) => ({ at: each.at, value: each[name] })),
    { at: after(2), value: null },
  ]);
  assert.equal(shareDelivered(promised, delivered), 75 / 120);
});

test("a burst is no broken promise, and an unlimited queue promises nothing", () => {
  const counts = { enqueued: byMinute(90), delivered: byMinute(90), waiting: 0, intervalMs: 1000 };
  assert.equal(ratesByMinute(counts, after(1))[0].promised * 60, 90);
  assert.equal(ratesByMinute({ ...counts, intervalMs: 0 }, after(1))[0].promised, null);
  assert.equal(shareDelivered([{ at: 0, value: null }], [{ at: 0, value: 3 }]), null);
});

test("the current minute counts as far as it has passed, and not at all at its begin", () => {
  const counts = { enqueued: byMinute(60, 20), delivered: byMinute(60, 20), waiting: 500, intervalMs: 1000 };
  const [, present] = ratesByMinute(counts, after(1) + 20_000);
  assert.deepEqual(present, { at: after(1), delivered: 1, promised: 1 });
  assert.equal(ratesByMinute(counts, after(1) + 1000).length, 1);
});

test("a type promises what its queues could give, up to its cap", () => {
  const slow = { enqueued: byMinute(0), delivered: byMinute(60), waiting: 500, intervalMs: 1000 };
  const unlimited = { enqueued: byMinute(0), delivered: byMinute(30), waiting: 30, intervalMs: 0 };
  const [minute] = typeRatesByMinute([slow, unlimited], 40, after(1));
  assert.deepEqual(minute, { at: T, delivered: 1.5, promised: 2 });
  assert.equal(typeRatesByMinute([slow, unlimited], 1.8, after(1))[0].promised, 1.8);
  assert.equal(typeRatesByMinute([slow], null, after(1))[0].promised, null);
  assert.equal(
    capOf([
      { interval: 25, unit: "job" },
      { interval: 20, unit: "job" },
      { interval: 50, unit: "cost" },
    ]),
    40,
  );
  assert.equal(capOf([{ interval: 50, unit: "cost" }]), null);
});

test("a live rate is the mean of some seconds, across the turn of a minute", () => {
  const live = new LiveRate();
  let jobs = 0;
  let rate = null;
  for (let at = after(0) + 50_000; at <= after(1) + 10_000; at += 2000) {
    const minute = at >= after(1) ? after(1) : after(0);
    jobs = minute === after(1) ? ((at - minute) / 1000) * 5 : 200 + ((at - after(0) - 50_000) / 1000) * 5;
    rate = live.add(at, minute, jobs, 200);
    if (at < after(0) + 55_000) assert.equal(rate, null);
    else assert.ok(Math.abs(rate.perSecond - 5) < 1e-9, `${rate.perSecond} at ${at}`);
  }
  assert.ok(rate.overMs >= 8000 && rate.overMs <= 12_000);
});

test("the live rate of a slow queue covers several of its intervals", () => {
  const live = new LiveRate();
  let rate = null;
  for (let second = 0; second <= 58; second += 2) {
    rate = live.add(T + second * 1000, T, Math.floor(second / 10), 10_000);
  }
  assert.ok(rate.overMs >= 38_000, `${rate.overMs}`);
  assert.ok(Math.abs(rate.perSecond - 0.1) < 0.026, `${rate.perSecond}`);
});

test("a live promise is the rate while jobs wait", () => {
  assert.equal(promisedNow(5, { perSecond: 3, overMs: 10_000 }, 400), 5);
  assert.equal(promisedNow(5, { perSecond: 3, overMs: 10_000 }, 0), 3);
  assert.equal(promisedNow(5, { perSecond: 3, overMs: 10_000 }, 10), 4);
  assert.equal(promisedNow(null, { perSecond: 3, overMs: 10_000 }, 10), null);
});

test("a history shows minutes, then live values, and stays bounded", () => {
  const history = new RateHistory();
  history.seed([
    { at: T, delivered: 1, promised: 2 },
    { at: T + MINUTE, delivered: 3, promised: 3 },
  ]);
  history.add({ at: T + 2 * MINUTE + 30_000, delivered: 4, promised: 5 });
  const { delivered, promised, from, to } = history.lines(T + 2 * MINUTE + 30_000);
  assert.equal(to - from, WINDOW_MS);
  assert.deepEqual(
    delivered.map(({ value }) => value),
    [1, 1, 3, 3, null, 4],
  );
  assert.deepEqual(
    promised.map(({ value }) => value),
    [2, 2, 3, 3, null, 5],
  );
  for (let index = 1; index <= 2000; index += 1) {
    history.add({ at: T + 2 * MINUTE + 30_000 + index * 2000, delivered: 4, promised: 5 });
  }
  assert.ok(history.live.length <= WINDOW_MS / 2000 + 1, `${history.live.length}`);
  assert.deepEqual(history.minutes, []);
});

test("values that are far apart are not joined", () => {
  const history = new RateHistory();
  history.add({ at: T, delivered: 1, promised: 1 });
  history.add({ at: T + MINUTE, delivered: 2, promised: 2 });
  assert.deepEqual(
    history.lines(T + MINUTE).delivered.map(({ value }) => value),
    [1, null, 2],
  );
});
