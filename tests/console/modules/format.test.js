import assert from "node:assert/strict";
import test from "node:test";
import * as format from "./static/format.js";

test("what is not known is a dash in every format", () => {
  const writers = [
    format.count,
    format.compact,
    format.rate,
    format.rateOfInterval,
    format.duration,
    format.clock,
    format.dateTime,
    format.percent,
  ];
  for (const write of writers) {
    assert.equal(write(null), format.UNKNOWN, write.name);
    assert.equal(write(undefined), format.UNKNOWN, write.name);
    assert.equal(write(NaN), format.UNKNOWN, write.name);
  }
});

test("counts have their thousands apart", () => {
  assert.equal(format.count(0), "0");
  assert.equal(format.count(1234567), "1,234,567");
  assert.equal(format.amount(1, "job"), "1 job");
  assert.equal(format.amount(2000, "job"), "2,000 jobs");
  assert.equal(format.amount(2, "queue of it", "queues of it"), "2 queues of it");
});

test("narrow numbers have three digits and never four", () => {
  const cases = {
    0: "0",
    7: "7",
    999: "999",
    1000: "1k",
    1234: "1.23k",
    12_345: "12.3k",
    999_499: "999k",
    999_600: "1M",
  };
  for (const [value, text] of Object.entries(cases)) assert.equal(format.compact(Number(value)), text);
  assert.equal(format.compact(0.126), "0.13");
  assert.equal(format.compact(-1500), "-1.5k");
});

test("a rate is written in the unit in which it is at least one", () => {
  assert.equal(format.rate(0), "0/s");
  assert.equal(format.rate(40), "40/s");
  assert.equal(format.rate(1), "1/s");
  assert.equal(format.rate(0.5), "30/min");
  assert.equal(format.rate(2 / 3600), "2/h");
  assert.equal(format.rate(39.96), "40/s");
  assert.equal(format.rateOfInterval(25), "40/s");
  assert.equal(format.rateOfInterval(60_000), "1/min");
  assert.equal(format.rateOfInterval(0), "unlimited");
});

test("the levels of an axis of rates are round in one unit", () => {
  const texts = (largest) => format.rateLevels(largest).map(({ text }) => text);
  assert.deepEqual(texts(40), ["0/s", "10/s", "20/s", "30/s", "40/s"]);
  assert.deepEqual(texts(1.05 / 60), ["0/min", "0.5/min", "1/min", "1.5/min"]);
  assert.deepEqual(texts(7 / 3600), ["0/h", "2/h", "4/h", "6/h", "8/h"]);
  assert.deepEqual(texts(0), ["0/s", "1/s"]);
  assert.equal(format.rateLevels(1.05 / 60)[2]?.value, 1 / 60);
});

test("a duration is written in its two largest units", () => {
  const cases = {
    0: "0 ms",
    3.2: "3.2 ms",
    850: "850 ms",
    999.6: "1 s",
    1500: "1.5 s",
    9_949: "9.95 s",
    9_960: "10 s",
    59_400: "59 s",
    59_600: "1 min",
    200_000: "3 min 20 s",
    3_600_000: "1 h",
    7_500_000: "2 h 5 min",
    86_399_000: "1 d",
    187_200_000: "2 d 4 h",
  };
  for (const [ms, text] of Object.entries(cases)) assert.equal(format.duration(Number(ms)), text);
  assert.equal(format.duration(-1500), "-1.5 s");
});

test("a time of day and a date are those of the reader's clock", () => {
  const at = new Date(2026, 10, 9, 4, 3, 7).getTime();
  assert.equal(format.clock(at), "04:03:07");
  assert.equal(format.clock(at, { withSeconds: false }), "04:03");
  assert.equal(format.dateTime(at), "2026-11-09 04:03:07");
});

test("a share that is not whole is never rounded to all or nothing", () => {
  assert.equal(format.percent(1), "100 %");
  assert.equal(format.percent(0.9999), "99.9 %");
  assert.equal(format.percent(0.994), "99.4 %");
  assert.equal(format.percent(0.98), "98 %");
  assert.equal(format.percent(0.0001), "< 1 %");
  assert.equal(format.percent(0), "0 %");
});
