import assert from "node:assert/strict";
import test from "node:test";
import { byTrouble, judge, stateOf, stateOfType } from "./static/health.js";

const TYPE = {
  queue_type: "sms",
  queued: 10,
  delayed: 0,
  leased: 1,
  dead: 0,
  enqueued_per_s: 5,
  delivered_per_s: 5,
  failed_per_min: 0,
  ready_for_ms: null,
  blocked_by: "rate",
  caps: {},
};
const SHARD = {
  node: "shard-1",
  address: null,
  is_draining: false,
  partitions: 64,
  store: { mode: "embedded", is_reachable: true, notices: [] },
};
const TOTALS = { ready_delay_p99_ms: 12, died_per_min: 0 };
const snapshot = (changes) => ({
  shards: [SHARD],
  notices: [],
  totals: TOTALS,
  types: [TYPE],
  types_total: 1,
  ...changes,
});

test("a snapshot without trouble is well, and says what that rests on", () => {
  const { tone, line, findings } = judge(snapshot({}));
  assert.equal(tone, "well");
  assert.deepEqual(findings, []);
  assert.equal(line, "All is well · 1 shard, 1 type · 99 % of the jobs leave within 12 ms of their turn");
});

test("a shard or store that is not reached is bad, with its reason, said once", () => {
  const away = { ...SHARD, reason: "connection refused" };
  const verdict = judge(
    snapshot({
      shards: [away],
      notices: [{ node: "shard-1", code: "shard", text: "shard-1: connection refused" }],
    }),
  );
  assert.equal(verdict.tone, "bad");
  assert.deepEqual(
    verdict.findings.map(({ text }) => text),
    ["Shard shard-1 cannot be reached: connection refused"],
  );
  const store = {
    mode: "single",
    is_reachable: false,
    notices: [],
    reason: "wrong password ([redis] password)",
  };
  assert.match(judge(snapshot({ shards: [{ ...SHARD, store }] })).findings[0].text, /\[redis\] password/);
  assert.equal(judge(snapshot({ shards: [] })).tone, "bad");
});

test("a notice of every shard is said once", () => {
  const notices = ["a", "b", "c"].map((node) => ({ node, code: "store", text: "the store keeps no AOF" }));
  const { tone, findings } = judge(snapshot({ notices }));
  assert.equal(tone, "watch");
  assert.deepEqual(
    findings.map(({ text }) => text),
    ["the store keeps no AOF"],
  );
});

test("the worst findings come first, and only the first ones are listed", () => {
  const types = Array.from({ length: 20 }, (_, index) => ({
    ...TYPE,
    queue_type: `t${index}`,
    blocked_by: "type_paused",
  }));
  types.push({ ...TYPE, queue_type: "late", blocked_by: null, ready_for_ms: 60_000 });
  const { tone, line, findings } = judge(snapshot({ types, types_total: 21 }));
  assert.equal(tone, "bad");
  assert.equal(line, "21 things are not well");
  assert.match(findings[0].text, /^late: no worker for 1 min, 10 jobs waiting$/);
  assert.equal(findings.length, 7);
  assert.equal(findings[6].text, "and 15 more");
});

test("types are ordered by trouble, then by backlog", () => {
  const types = [
    { ...TYPE, queue_type: "calm", queued: 5 },
    { ...TYPE, queue_type: "busy", queued: 500 },
    { ...TYPE, queue_type: "failing", failed_per_min: 120 },
    { ...TYPE, queue_type: "held", blocked_by: "type_hold" },
    { ...TYPE, queue_type: "idle", queued: 0, blocked_by: "type_paused" },
    { ...TYPE, queue_type: "starved", blocked_by: null, ready_for_ms: 20_000 },
  ];
  assert.deepEqual(
    byTrouble(types).map(({ queue_type }) => queue_type),
    ["starved", "failing", "held", "idle", "busy", "calm"],
  );
});

test("few failures are no trouble, and many are", () => {
  assert.equal(stateOfType({ ...TYPE, failed_per_min: 4, delivered_per_s: 0.1 }).tone, "well");
  assert.equal(stateOfType({ ...TYPE, failed_per_min: 30 }).text, "10 % fails");
  assert.equal(stateOfType({ ...TYPE, failed_per_min: 30 }).tone, "watch");
  assert.equal(stateOfType({ ...TYPE, failed_per_min: 150 }).tone, "bad");
});

test("a type with a backlog that uses little of its cap lacks workers", () => {
  const type = { ...TYPE, blocked_by: null, queued: 500, caps: { "40/s": 0.3, max_leased: 1 } };
  assert.equal(stateOfType(type).text, "below its cap");
  assert.equal(stateOfType({ ...type, caps: { "40/s": 0.95 } }).text, "ready");
  assert.equal(stateOfType({ ...type, queued: 20 }).text, "ready");
  assert.equal(stateOfType({ ...type, blocked_by: "rate" }).text, "at their rates");
  assert.equal(stateOfType({ ...type, caps: {} }).text, "ready");
});

test("a cap is named as the reason", () => {
  const state = stateOf("cap:acct17", 1);
  assert.deepEqual([state.text, state.tone], ["cap acct17", "well"]);
  assert.match(state.title, /cap acct17 allows no lease/);
  assert.equal(stateOf("cap", 1).text, "at a cap");
});

test("each reason has words, and an unknown one is shown as it is", () => {
  assert.equal(stateOf(null, 3).text, "ready");
  assert.equal(stateOf(null, 0).text, "empty");
  assert.equal(stateOf("empty", 3).text, "ready");
  assert.equal(stateOf("empty", 0).text, "empty");
  assert.equal(stateOf("type_rate", 3).text, "at its cap");
  assert.equal(stateOf("moon:full", 3).text, "moon:full");
  assert.equal(stateOfType({ ...TYPE, blocked_by: "paused" }).text, "queues paused");
  assert.equal(stateOf(null, 3, 1500).text, "ready");
  assert.equal(stateOf(null, 3, 3000).tone, "watch");
});
