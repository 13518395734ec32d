// Shows the whole: is it well, and who is not?

import { assign, h, replace, setText } from "../dom.js";
import { amount, clock, compact, count, duration, rate, rateLevels } from "../format.js";
import { byTrouble, judge } from "../health.js";
import { href } from "../routes.js";
import { stair } from "../scales.js";
import { watch } from "../stream.js";
import { badge } from "../widgets/badge.js";
import { lineChart } from "../widgets/chart.js";
import { panel } from "../widgets/heading.js";
import { figure } from "../widgets/sparkline.js";
import { table } from "../widgets/table.js";
import { typeTable } from "../widgets/type_table.js";
import { failures } from "./overview_failures.js";

/**
 * @typedef {import("../snapshot.js").Snapshot} Snapshot
 * @typedef {import("../snapshot.js").Minute} Minute
 * @typedef {import("../snapshot.js").Shard} Shard
 * @typedef {import("../scales.js").Point} Point
 */

const MOST_TYPES = 12;
/** The counts of a minute and a live value so far apart are joined. */
const JOINED_MS = 5000;

/**
 * Show the overview until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} _parameters
 * @param {{signal: AbortSignal}} context
 */
export async function show(root, _parameters, { signal }) {
  const health = healthLine();
  const figures = overviewFigures();
  const throughput = new Throughput();
  const chart = lineChart({
    title: "Enqueued and delivered jobs of all types",
    format: rate,
    levelsOf: rateLevels,
  });
  const types = typeTable("Types, by trouble");
  const typesNote = h("a", { href: href("types") }, "All types");
  const shards = table({
    columns: SHARDS,
    key: (shard) => shard.node,
    caption: "Shards",
    empty: "No shard serves.",
  });
  const clusterLink = h("a", { href: href("ring") }, "The cluster");
  const shardPanel = panel("Shards", { isFlush: true, aside: clusterLink }, shards.node);
  const failing = failures(signal);
  replace(
    root,
    h("h1", { class: "unseen" }, "Overview"),
    health.node,
    figures.node,
    h(
      "div",
      { class: "columns columns-wide" },
      h("div", { class: "stack" }, panel("Throughput", {}, chart.node), shardPanel),
      panel("Failures", { isFlush: true, aside: failing.note }, failing.node),
    ),
    panel("Types, by trouble", { isFlush: true, aside: typesNote }, types.node),
  );
  const stop = watch({}, (name, data) => {
    if (name === "state") health.connection(data);
    if (name !== "snapshot") return;
    const snapshot = /** @type {Snapshot} */ (data);
    health.update(snapshot);
    figures.add(snapshot);
    if (snapshot.minutes !== null) chart.update(throughput.add(snapshot, snapshot.minutes));
    types.update(byTrouble(snapshot.types).slice(0, MOST_TYPES));
    setText(typesNote, snapshot.types_total > 1 ? `All ${count(snapshot.types_total)} types` : "All types");
    shards.update(snapshot.shards);
    failing.update(snapshot);
  });
  signal.addEventListener("abort", stop, { once: true });
}

/** @type {import("../widgets/table.js").Column<Shard>[]} */
const SHARDS = [
  { name: "node", label: "Node", cell: ({ node }) => node },
  { name: "state", label: "State", cell: shardState },
  { name: "partitions", label: "Partitions", isNumber: true, cell: ({ partitions }) => count(partitions) },
  { name: "store", label: "Store", cell: ({ store }) => store?.mode ?? "not reported yet" },
  { name: "reason", label: "Reason", cell: ({ reason, store }) => reason ?? store?.reason ?? "" },
];

/** @param {Shard} shard */
function shardState({ reason, store, is_draining }) {
  if (reason !== undefined) return badge("not reached", "bad", reason);
  if (store !== null && !store.is_reachable) return badge("no store", "bad", store.reason);
  if (store?.partitions_away) return badge(`${count(store.partitions_away)} partitions away`, "bad");
  return is_draining ? badge("draining", "watch") : badge("serving", "well");
}

function healthLine() {
  const sign = h("span", { class: "health-sign", "aria-hidden": "true" }, "…");
  const line = h("p", { class: "health-line", role: "status" }, "Waiting for the first figures");
  const findings = h("ul", { class: "findings" });
  const node = h("section", { class: "card health", "aria-label": "Health" }, sign, line, findings);
  let latest = /** @type {Snapshot | null} */ (null);
  let isStale = false;
  let shown = "";

  /** @param {string | null} staleReason */
  function draw(staleReason) {
    if (latest === null) {
      if (staleReason !== null) setText(line, `No figures yet: ${staleReason}`);
      return;
    }
    const verdict = judge(latest);
    const tone = isStale ? "watch" : verdict.tone;
    const text = isStale ? `These figures are from ${clock(latest.at)}: ${staleReason ?? ""}` : verdict.line;
    // The line is read aloud when it changes, so that it only changes with what it says.
    setText(line, text);
    assign(node, { "data-tone": tone });
    setText(sign, { well: "✓", watch: "!", bad: "✕" }[tone]);
    const key = JSON.stringify(verdict.findings);
    if (key === shown) return;
    shown = key;
    replace(
      findings,
      verdict.findings.map(({ text: finding, href: address }) =>
        h("li", null, address === null ? finding : h("a", { href: address }, finding)),
      ),
    );
  }

  return {
    node,
    /** @param {Snapshot} snapshot */
    update(snapshot) {
      latest = snapshot;
      isStale = false;
      draw(null);
    },
    /** @param {import("../stream.js").State} state */
    connection({ state, message }) {
      if (state !== "waiting") return;
      isStale = true;
      draw(message ?? "the server is not reached");
    },
  };
}

function overviewFigures() {
  const all = {
    enqueued: figure({ label: "Enqueued", format: rate, title: "Jobs per second over the last 10 s" }),
    delivered: figure({ label: "Delivered", format: rate, title: "Leases per second over the last 10 s" }),
    waiting: figure({
      label: "Waiting",
      format: compact,
      title: "Jobs that wait for their turn or for a worker",
    }),
    leased: figure({ label: "In workers' hands", format: compact, title: "Jobs that are leased" }),
    delay: figure({
      label: "Ready delay, 99 %",
      format: duration,
      title: "How long after its turn a job leaves: 99 % of the last minute's",
    }),
    failed: figure({
      label: "Failed per minute",
      format: compact,
      title: "Attempts that were released as failed or ended by time",
    }),
  };
  return {
    node: h(
      "ul",
      { class: "figures", "aria-label": "Figures" },
      Object.values(all).map(({ node }) => node),
    ),
    /** @param {Snapshot} snapshot */
    add({ at, totals, minutes }) {
      if (minutes !== null) {
        all.enqueued.seed(ofMinutes(minutes, ({ enqueued }) => enqueued / 60));
        all.delivered.seed(ofMinutes(minutes, ({ delivered }) => delivered / 60));
      }
      all.enqueued.add(at, totals.enqueued_per_s);
      all.delivered.add(
        at,
        totals.delivered_per_s,
        totals.finished_per_s === null ? "" : `${rate(totals.finished_per_s)} finished`,
      );
      all.waiting.add(at, totals.queued, totals.delayed ? `and ${compact(totals.delayed)} delayed` : "");
      all.leased.add(at, totals.leased);
      const { ready_delay_p99_ms: p99, ready_delay_p50_ms: p50 } = totals;
      const delayTone = p99 === null || p99 < 2000 ? "" : p99 < 15_000 ? "watch" : "bad";
      all.delay.add(at, p99, p50 === null ? "" : `half within ${duration(p50)}`, delayTone);
      const died = totals.died_per_min;
      all.failed.add(
        at,
        totals.failed_per_min,
        died ? `${count(died)} became dead letters` : `${amount(totals.dead, "dead letter")} kept`,
        died ? "watch" : "",
      );
    },
  };
}

/**
 * Return the values of the minutes that were complete when they were counted, which the last one was not.
 *
 * @param {Minute[]} minutes
 * @param {(minute: Minute) => number} value
 * @returns {Point[]}
 */
function ofMinutes(minutes, value) {
  return minutes.slice(0, -1).map((minute) => ({ at: minute.at, value: value(minute) }));
}

/** The throughput of the last minutes: as the store counted it, and from there on as it was seen live. */
class Throughput {
  constructor() {
    /** @type {{at: number, enqueued: number | null, delivered: number | null}[]} */
    this.live = [];
  }

  /**
   * @param {Snapshot} snapshot
   * @param {Minute[]} minutes
   * @returns {import("../widgets/chart.js").Drawing}
   */
  add({ at: now, totals }, minutes) {
    const end = minutes[minutes.length - 1]?.at ?? now;
    this.live.push({ at: now, enqueued: totals.enqueued_per_s, delivered: totals.delivered_per_s });
    this.live = this.live.filter(({ at }) => at >= end);
    /** @param {"enqueued" | "delivered"} name */
    const line = (name) => [
      ...stair(
        ofMinutes(minutes, (minute) => minute[name] / 60),
        end,
      ),
      ...(this.live[0] !== undefined && this.live[0].at > end + JOINED_MS ? [{ at: end, value: null }] : []),
      ...this.live.map((values) => ({ at: values.at, value: values[name] })),
    ];
    return {
      from: minutes[0]?.at ?? now,
      to: now,
      series: [
        { label: "Enqueued", look: "enqueued", points: line("enqueued") },
        { label: "Delivered", look: "delivered", points: line("delivered") },
      ],
    };
  }
}
