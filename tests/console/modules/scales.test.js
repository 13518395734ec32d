import assert from "node:assert/strict";
import test from "node:test";
import * as scales from "./static/scales.js";

const MINUTE = 60_000;
const same = (value) => value;

test("a linear scale maps both ends and what lies between", () => {
  const y = scales.linear(0, 50, 200, 0);
  assert.deepEqual([0, 25, 50].map(y), [200, 100, 0]);
  assert.equal(scales.linear(5, 5, 10, 20)(5), 10);
});

test("ticks are round, begin at zero and reach the largest value", () => {
  assert.deepEqual(scales.ticks(40), [0, 10, 20, 30, 40]);
  assert.deepEqual(scales.ticks(42), [0, 20, 40, 60]);
  assert.deepEqual(scales.ticks(0.3), [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(scales.ticks(0), [0, 1]);
  for (const largest of [0.017, 0.9, 1, 3, 7, 99, 12_345]) {
    const found = scales.ticks(largest);
    assert.ok(found.at(-1) >= largest, `${largest}`);
    assert.ok(found.length <= 7, `${largest}: ${found}`);
  }
});

test("moments on an axis are whole minutes within it, and not too many", () => {
  const from = 1_000 * MINUTE + 12_000;
  assert.deepEqual(
    scales.timeTicks(from, from + 3 * MINUTE, 5),
    [1001, 1002, 1003].map((minute) => minute * MINUTE),
  );
  const few = scales.timeTicks(from, from + 10 * MINUTE, 3);
  assert.deepEqual(
    few,
    [1005, 1010].map((minute) => minute * MINUTE),
  );
});

test("a line breaks where the value is not known", () => {
  const points = [1, 2, null, 4, 5].map((value, index) => ({ at: index * 10, value }));
  assert.equal(scales.linePath(points, same, same), "M0 1L10 2M30 4L40 5");
  assert.equal(scales.linePath([], same, same), "");
});

test("an area goes back along the axis, one for each stretch", () => {
  const points = [1, 2, null, 4].map((value, index) => ({ at: index * 10, value }));
  assert.equal(scales.areaPath(points, same, same), "M0 1L10 2L10 0L0 0ZM30 4L30 0L30 0Z");
});

test("a stair holds each value until the next", () => {
  const stair = scales.stair(
    [
      { at: 0, value: 1 },
      { at: 10, value: 3 },
    ],
    20,
  );
  assert.deepEqual(
    stair.map(({ at, value }) => [at, value]),
    [
      [0, 1],
      [10, 1],
      [10, 3],
      [20, 3],
    ],
  );
});

test("the value at a time is the last one before it", () => {
  const points = [
    { at: 10, value: 1 },
    { at: 20, value: 2 },
  ];
  assert.equal(scales.pointAt(points, 19)?.value, 1);
  assert.equal(scales.pointAt(points, 20)?.value, 2);
  assert.equal(scales.pointAt(points, 5)?.value, 1);
  assert.equal(scales.pointAt([], 5), null);
  assert.equal(scales.largest([...points, { at: 30, value: null }]), 2);
});
