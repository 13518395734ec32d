/** Values that JSON cannot carry are refused before anything is sent, with the name of the part in question. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, InvalidRequest, RawJson } from "sharq-client";

/** Nothing listens there: a call that is sent has another error. */
const client = new Client({ url: "http://127.0.0.1:1", retries: 0 });

const circle: Record<string, unknown> = {};
circle["self"] = circle;

const REFUSED: readonly (readonly [string, unknown, RegExp])[] = [
  ["undefined", undefined, /^payload: .*got undefined/],
  ["a property that is undefined", { text: undefined }, /^payload\.text: .*leave the property out/],
  ["an item that is undefined", { list: [1, undefined] }, /^payload\.list\[1\]: .*undefined/],
  ["a bigint", { list: [{ id: 10n }] }, /^payload\.list\[0\]\.id: .*bigint: send it as a string/],
  ["a function", { send: () => 1 }, /^payload\.send: .*function/],
  ["a symbol", Symbol("s"), /^payload: .*symbol/],
  ["a Buffer", { body: Buffer.from("x") }, /^payload\.body: .*bytes \(Buffer\)/],
  ["a Uint8Array", new Uint8Array(2), /^payload: .*bytes \(Uint8Array\)/],
  ["an ArrayBuffer", new ArrayBuffer(2), /^payload: .*bytes \(ArrayBuffer\)/],
  ["a Map", { map: new Map([[1, 2]]) }, /^payload\.map: .*a Map/],
  ["a Set", [new Set()], /^payload\[0\]: .*a Set/],
  ["a circle", circle, /^payload: .*circular/],
  ["half a character", { text: ["\u{1f600}".slice(0, 1)] }, /^payload: .*half a character/],
  ["an object whose toJSON returns nothing", { toJSON: () => undefined }, /^payload: .*toJSON/],
];

for (const [name, payload, message] of REFUSED) {
  test(`${name} is refused as a payload`, async () => {
    await assert.rejects(client.enqueue({ queue_type: "t", queue_id: "q", payload }), (error) => {
      assert.ok(error instanceof InvalidRequest);
      assert.equal(error.perhapsDone, false);
      assert.match(error.message, message);
      return true;
    });
  });
}

test("results, progress and changes are checked, too", async () => {
  const job = { queue_type: "t", queue_id: "q", job_id: "j", lease: "l" };
  await assert.rejects(client.finish(job, { result: 1n }), /^InvalidRequest: result: /);
  await assert.rejects(
    client.extend(job, 1_000, { progress: { at: 1n } }),
    /^InvalidRequest: progress\.at: /,
  );
  await assert.rejects(client.finishMany([job], { results: [Buffer.of(1)] }), /^InvalidRequest: result: /);
  await assert.rejects(
    client.jobs.change("t", "q", "j", { payload: 1n }),
    /^InvalidRequest: change\.payload: /,
  );
});

test("a backslash before a u is no half of a character", async () => {
  for (const payload of ["\\ud800", "\u{1f600}", "\\\\ud83d", { "\\udc00": 1 }]) {
    await assert.rejects(
      client.enqueue({ queue_type: "t", queue_id: "q", payload }),
      /nothing listens there/,
    );
  }
});

test("a field of a request is never NaN, which JSON writes as the null that clears it", async () => {
  const job = { queue_type: "t", queue_id: "q", job_id: "j", lease: "l" };
  const entry = { queue_type: "t", queue_id: "q", payload: NaN };
  const calls: readonly (readonly [() => Promise<unknown>, RegExp])[] = [
    [() => client.jobs.change("t", "q", "j", { payload: NaN, expires: NaN }), /change\.expires: .*got NaN/],
    [() => client.control.setQueue("t", "q", { max_leased: Infinity }), /max_leased: .*got Infinity/],
    [() => client.control.setQueue("t", "q", { retry: { delay: NaN } }), /retry\.delay: .*got NaN/],
    [() => client.control.setType("t~a", { limits: [{ interval: NaN }] }), /limits\.0\.interval: /],
    [() => client.control.hold("t", "q", { forMs: NaN }), /for: .*got NaN/],
    [() => client.control.schedules.put("s", entry, { every: NaN }), /every: .*got NaN/],
    [() => client.enqueue({ ...entry, expires: NaN }), /expires: .*got NaN/],
    [() => client.release(job, { holdMs: NaN }), /hold: .*got NaN/],
    [() => client.release(job, { error: "\u{1f600}".slice(1) }), /half a character/],
    [() => client.dequeue("t", { waitMs: NaN }), /wait: .*got NaN/],
    [() => client.jobs.wait("t", "q", "j", { timeoutMs: NaN }), /wait: .*got NaN/],
    [() => client.enqueue({ ...entry, interval: 5n as never }), /interval: .*got 5/],
  ];
  for (const [call, message] of calls) {
    await assert.rejects(call, (error) => error instanceof InvalidRequest && message.test(error.message));
  }
});

test("an unknown or a missing field of a job is refused by its name", async () => {
  const job = { queue_type: "t", queue_id: "q", payload: 1 };
  await assert.rejects(
    client.enqueue({ ...job, intervall: 5 } as never),
    /job\.intervall: unknown; the known fields are: queue_type/,
  );
  await assert.rejects(client.enqueue({ queue_type: "t", payload: 1 } as never), /job\.queue_id: required/);
  await assert.rejects(client.enqueue("sms" as never), /job: expected an object, got string/);
  await assert.rejects(client.enqueue(null as never), /job: expected an object, got null/);
});

test("identifiers that a path cannot carry are refused by their names", async () => {
  for (const bad of ["", ".", "..", 5 as never]) {
    await assert.rejects(
      client.enqueue({ queue_type: "t", queue_id: bad, payload: 1 }),
      /queueId: expected a string/,
    );
  }
  await assert.rejects(client.control.window(".."), /name: expected a string/);
  await assert.rejects(client.finish(null as never), /job: expected a job .* got null/);
  await assert.rejects(client.dequeue([]), /queueTypes: expected a type/);
});

test("JSON text is sent as it is", async () => {
  const job = { queue_type: "t", queue_id: "q", payload: new RawJson("[1]") };
  await assert.rejects(client.enqueue(job), /nothing listens there/);
});
