// The rates at which the slots of caps are used.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CapUsage } from "./static/cap_usage.js";

/**
 * @param {number} slots_used
 * @param {{interval?: number, unit: "job" | "cost"}[]} [limits]
 */
function cap(slots_used, limits = [{ interval: 25, unit: "job" }]) {
  return { name: "acct17", limits, slots_used };
}

test("a rate is known from the second answer on", () => {
  const usage = new CapUsage();
  usage.note([cap(100)], 0);
  assert.equal(usage.text(cap(100)), "");
  usage.note([cap(290)], 5_000);
  assert.equal(usage.text(cap(290)), "38/s (95 %)");
});

test("an answer that comes soon after another keeps the rate", () => {
  const usage = new CapUsage();
  usage.note([cap(0)], 0);
  usage.note([cap(100)], 5_000);
  usage.note([cap(101)], 5_100);
  assert.equal(usage.text(cap(101)), "20/s (50 %)");
  usage.note([cap(200)], 10_000);
  assert.equal(usage.text(cap(200)), "20/s (50 %)");
});

test("a cap that was defined anew begins again", () => {
  const usage = new CapUsage();
  usage.note([cap(100)], 0);
  usage.note([cap(5)], 5_000);
  assert.equal(usage.text(cap(5)), "");
});

test("the share is that of the lowest limit in jobs, and at most all of it", () => {
  /** @type {{interval?: number, unit: "job" | "cost"}[]} */
  const limits = [
    { interval: 10, unit: "job" },
    { interval: 100, unit: "job" },
    { interval: 5, unit: "cost" },
  ];
  const usage = new CapUsage();
  usage.note([cap(0, limits)], 0);
  usage.note([cap(55, limits)], 5_000);
  assert.equal(usage.text(cap(55, limits)), "11/s (100 %)");
  assert.equal(usage.text(cap(55, [{ interval: 5, unit: "cost" }])), "11/s");
});
