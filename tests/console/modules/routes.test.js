import assert from "node:assert/strict";
import test from "node:test";
import { capName, isRate } from "./static/caps.js";
import { href, parse } from "./static/routes.js";

// These modules read the address of the page and the storage of the tab when they load.
globalThis.document = { baseURI: "http://localhost/console/" };
globalThis.sessionStorage = { getItem: () => null, setItem() {}, removeItem() {} };
const { path } = await import("./static/api.js");
const { covers } = await import("./static/session.js");
const { inOrder } = await import("./static/customer_reader.js");

test("an address leads back to the view, its names and its query", () => {
  const names = ["eu/acme", "a b", "tenant:42", "100%", "+1-555", "ä?&#="];
  for (const name of names) {
    const place = parse(href("queue", ["sms~x", name], { state: "leased", q: name, none: null, empty: "" }));
    assert.deepEqual(place, {
      view: "queue",
      parameters: { queue_type: "sms~x", queue_id: name, state: "leased", q: name },
    });
  }
});

test("an empty address is the overview, and an unknown one is no view", () => {
  assert.deepEqual(parse("#/cluster"), { view: "ring", parameters: {} });
  for (const hash of ["", "#", "#/"]) assert.deepEqual(parse(hash), { view: "overview", parameters: {} });
  for (const hash of [
    "#/nowhere",
    "#/type",
    "#/type/a/b",
    "#/type/%E0%A4%A",
    "#/constructor",
    "#/__proto__",
  ]) {
    assert.equal(parse(hash), null, hash);
  }
});

test("a name in the query does not replace one in the path", () => {
  assert.equal(parse("#/type/sms?queue_type=mail")?.parameters.queue_type, "sms");
});

test("a path keeps a slash inside of its segment", () => {
  assert.equal(path("queue", "sms", "eu/acme"), "/queue/sms/eu%2Facme/");
});

test("patterns of types have one wildcard and nothing else", () => {
  assert.ok(covers(null, "anything"));
  assert.ok(covers(["sms*", "voice~x"], "sms~carrier"));
  assert.ok(covers(["*"], "a"));
  assert.ok(covers(["a*c*e"], "abcde"));
  assert.ok(!covers(["sms"], "sms2"));
  assert.ok(!covers(["s.s"], "sms"));
  assert.ok(covers(["a.b+c@d"], "a.b+c@d"));
  assert.ok(!covers([], "a"));
});

test("caps are named in words, and only rates are meant to be full", () => {
  assert.equal(capName("40/s"), "40/s");
  assert.equal(capName("max_leased"), "leases at a time");
  assert.equal(capName("40000 per day America/New_York"), "40,000 a day (America/New_York)");
  assert.equal(capName("5 per hour UTC cost"), "5 an hour (UTC) cost");
  assert.deepEqual(["40/s", "0.5/min cost", "max_leased", "40000 per day UTC"].map(isRate), [
    true,
    true,
    false,
    false,
  ]);
});

test("found queues have the order of the server's lists", () => {
  const queue = (queue_id, queued, dead, oldest_age) => ({ queue_id, queued, delayed: 0, dead, oldest_age });
  const queues = [queue("a", 1, 5, 10), queue("b", 9, 0, null), queue("c", 9, 2, 30)];
  const names = (by) => inOrder(queues, by).map(({ queue_id }) => queue_id);
  assert.deepEqual(names("depth"), ["b", "c", "a"]);
  assert.deepEqual(names("dead"), ["a", "c", "b"]);
  assert.deepEqual(names("age"), ["c", "a", "b"]);
});
