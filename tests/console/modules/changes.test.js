import assert from "node:assert/strict";
import test from "node:test";
import { DeadGroups, errorPattern } from "./static/dead_groups.js";
import { readDuration, writeDuration } from "./static/durations.js";
import { exactMembers, parseExactly, writeExactly } from "./static/exact.js";
import { nextFirings, scheduleBody, scheduleValues } from "./static/schedule_text.js";
import { changeLines, settingsBody, settingTexts } from "./static/settings_text.js";
import { dayNumbers, readRanges, weekSpans, writeRanges } from "./static/window_text.js";

const HAS_RAW_JSON = "rawJSON" in JSON;

const QUEUE = {
  interval: 200,
  rate: "5/s",
  burst: 1.1,
  pinned: false,
  max_leased: null,
  weight: 1,
  window: null,
  retry: null,
  expires: null,
  on_expiry: null,
};

test("a duration is read in every unit, and written in the largest that fits", () => {
  const pairs = [
    ["250 ms", 250],
    ["1.5 h", 5_400_000],
    ["30 s", 30_000],
    ["5 min", 300_000],
    ["1 d", 86_400_000],
  ];
  for (const [text, ms] of pairs) {
    assert.equal(readDuration(text), ms);
    assert.equal(writeDuration(ms), text);
  }
  assert.equal(readDuration("90"), 90);
  assert.equal(readDuration("2m"), 120_000);
  assert.equal(readDuration("0.0333 ms"), 0.0333);
  assert.equal(writeDuration(33.333), "33.333 ms");
  for (const text of ["", "soon", "-1 s", "1 s 2", "1e3 s"]) assert.equal(readDuration(text), null);
  assert.equal(readDuration(`${"9".repeat(400)} d`), null);
});

test("every duration that is written is read again as the same", () => {
  for (const ms of [0, 0.001, 1, 999, 1001, 60_001, 123_456_789, 31_536_000_000]) {
    assert.equal(readDuration(writeDuration(ms)), ms);
  }
});

test("a number keeps the digits with which it was written", { skip: !HAS_RAW_JSON }, () => {
  const text = '{"a":12345678901234567890,"b":1.0,"c":1e400,"d":"12345678901234567890","e":7}';
  assert.equal(JSON.stringify(parseExactly(text)), text);
  const parsed = exactMembers("job")('{"every":1.0,"job":{"n":1.0}}');
  assert.equal(parsed.every + 1, 2);
  assert.equal(JSON.stringify(parsed.job), '{"n":1.0}');
});

test("short lists of numbers are written in one line, and no text is changed", () => {
  const value = { n: [1, 2, 3], s: ["[\n  1,\n  2\n]"], o: [{ a: 1 }], e: [] };
  const text = writeExactly(value);
  assert.deepEqual(JSON.parse(text), value);
  assert.match(text, /"n": \[1, 2, 3\]/);
  const long = writeExactly(Array.from({ length: 100 }, (_, index) => index));
  assert.equal(long.split("\n").length, 102);
});

test("errors that differ in ids and long numbers are one group, those of other codes are not", () => {
  assert.equal(errorPattern("Timeout after 30211 ms\n  at x"), "Timeout after … ms");
  assert.equal(errorPattern("job 0b5c1a3e-9f00-4c1d-8a2b-1234567890ab failed"), "job … failed");
  assert.notEqual(errorPattern("404 from x"), errorPattern("503 from x"));
  assert.equal(errorPattern("defaced facade"), "defaced facade");
  assert.equal(errorPattern(undefined), "");
  assert.ok(errorPattern("x".repeat(5000)).length < 400);
});

test("groups count their letters, the largest first, and forget those that are gone", () => {
  const groups = new DeadGroups();
  const letter = (job_id, error, dead_at) => ({
    queue_id: "a",
    job_id,
    attempt: 1,
    dead_at,
    reason: "limit",
    error,
    payload: "x".repeat(100_000),
  });
  groups.add([letter("1", "Busy", 5), letter("2", "Timeout 10000", 3), letter("3", "Timeout 20000", 9)]);
  const [first, second] = groups.sorted();
  assert.deepEqual(
    [first.text, first.letters.length, first.oldest_at, first.newest_at],
    ["Timeout …", 2, 3, 9],
  );
  assert.equal("payload" in first.letters[0], false);
  groups.remove(second, new Set(second.letters));
  assert.deepEqual([groups.sorted().length, groups.read], [1, 2]);
});

test("only changed settings are sent, and null clears", () => {
  const before = settingTexts(QUEUE);
  assert.deepEqual(settingsBody(before, before), {});
  const after = { ...before, rate: "", burst: "2", window: "days", expires: "1 h", pin: "yes" };
  const body = { rate: null, burst: 2, window: "days", expires: 3_600_000, pin: true };
  assert.deepEqual(settingsBody(before, after), body);
  assert.deepEqual(settingsBody(before, { ...before, rate: "unlimited" }), { interval: 0 });
  assert.deepEqual(settingsBody(before, { ...before, rate: "250 ms" }), { interval: 250 });
  assert.deepEqual(settingsBody(before, { ...before, burst: "many" }), { burst: "many" });
  assert.deepEqual(settingsBody(before, { ...before, burst: "1e999" }), { burst: "1e999" });
  assert.deepEqual(changeLines(before, { ...before, rate: "40/s" }), ["Rate: 5/s → 40/s"]);
});

test("a policy of retries is sent whole, and cleared by an empty wait", () => {
  const before = settingTexts(QUEUE);
  const after = { ...before, "retry.delay": "30 s", "retry.factor": "3" };
  assert.deepEqual(settingsBody(before, after), { retry: { delay: 30_000, factor: 3 } });
  const set = settingTexts({ ...QUEUE, retry: { delay: 30_000, factor: 3, max: 60_000, jitter: 0.2 } });
  assert.deepEqual(settingsBody(set, { ...set, "retry.delay": "" }), { retry: null });
  assert.throws(() => settingsBody(before, { ...before, "retry.max": "1 h" }), { field: "retry.delay" });
  assert.throws(() => settingsBody(before, { ...before, expires: "soon" }), { field: "expires" });
});

test("ranges are lines, and those that pass midnight end on the next day", () => {
  const open = [
    { days: "sat-mon", from: "08:00", to: "20:00" },
    { days: "sun,wed", from: "22:00", to: "03:00" },
  ];
  assert.deepEqual(readRanges(writeRanges(open)), open);
  assert.throws(() => readRanges("mon 8"), { field: "open" });
  assert.deepEqual(dayNumbers("sat-mon"), [5, 6, 0]);
  assert.deepEqual(dayNumbers("daily").length, 7);
  const week = weekSpans(open);
  const day = { begin: 480, end: 1200 };
  assert.deepEqual(week[0], [day, { begin: 0, end: 180 }]);
  assert.deepEqual(week[2], [{ begin: 1320, end: 1440 }]);
  assert.deepEqual(weekSpans([{ days: "tue", from: "00:00", to: "24:00" }])[1], [{ begin: 0, end: 1440 }]);
});

test("a schedule becomes values of a form, and these the same schedule", () => {
  const job = { queue_type: "sms", queue_id: "acme", payload: { n: 1 }, priority: 2 };
  const cron = {
    name: "x",
    cron: "0 9 * * *",
    every: null,
    tz: "Asia/Kolkata",
    job,
    paused: false,
    next_at: 5,
  };
  assert.deepEqual(scheduleBody(scheduleValues(cron, "sms")), { cron: cron.cron, tz: cron.tz, job });
  const every = { ...cron, cron: null, every: 60_000, tz: "UTC" };
  assert.deepEqual(scheduleBody(scheduleValues(every, "sms")), { every: 60_000, job });
  const values = scheduleValues(cron, "sms");
  assert.throws(() => scheduleBody({ ...values, every: "1 h" }), { field: "every" });
  assert.throws(() => scheduleBody({ ...values, "job.payload": "{" }), { field: "job.payload" });
  assert.throws(() => scheduleBody({ ...values, job: "[]" }), { field: "job" });
});

test("the firings of an every follow from the next one, those of a cron expression do not", () => {
  assert.deepEqual(nextFirings({ every: 1000, next_at: 5 }), [5, 1005, 2005]);
  assert.deepEqual(nextFirings({ every: null, next_at: 5 }), [5]);
  assert.deepEqual(nextFirings({ every: 1000, next_at: null }), []);
});
