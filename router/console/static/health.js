// Judges a snapshot: is it well, and who is not? Pure, and tested without a browser.

import { isRate } from "./caps.js";
import { amount, count, duration, percent } from "./format.js";
import { href } from "./routes.js";

/**
 * @typedef {import("./snapshot.js").Snapshot} Snapshot
 * @typedef {import("./snapshot.js").TypeNumbers} TypeNumbers
 * @typedef {"well" | "watch" | "bad"} Tone
 * @typedef {{tone: Tone, text: string, href: string | null}} Finding
 * @typedef {{tone: Tone, line: string, findings: Finding[]}} Verdict
 * @typedef {{tone: Tone | "plain", text: string, title: string, rank: number}} State a higher rank is more trouble
 */

/** A job that waits this long for a worker is late. */
const LATE_MS = 2000;
const VERY_LATE_MS = 15_000;

/** The share of failed attempts from which on a type is in trouble, and the number below which none is. */
const SHARE_FAILED = 0.05;
const SHARE_FAILED_BAD = 0.2;
const FEW_FAILED = 5;

/** A type with a backlog of this long that uses less than this share of its cap lacks workers. */
const BACKLOG_S = 10;
const SHARE_BELOW_CAP = 0.8;
const RANK_BELOW_CAP = 40;

/** @type {State} */
const BELOW_CAP = {
  tone: "watch",
  text: "below its cap",
  title: "Jobs are ready, and workers take fewer than the cap lets leave.",
  rank: RANK_BELOW_CAP,
};

const MOST_FINDINGS = 6;

/** `blocked_by` → short words and if someone must look. docs/limits.md says what each means. */
const BLOCKED = /** @type {Record<string, {text: string, tone: Tone | "plain", title: string}>} */ ({
  all_paused: { text: "all paused", tone: "bad", title: "An operator paused everything." },
  type_paused: { text: "paused", tone: "watch", title: "An operator paused the type." },
  paused: { text: "paused", tone: "watch", title: "An operator paused the queue." },
  type_hold: { text: "type held", tone: "watch", title: "The type gives nothing until its hold ends." },
  hold: { text: "held", tone: "watch", title: "The queue gives nothing until its hold ends." },
  quota: { text: "quota used up", tone: "bad", title: "The quota of the period is used up." },
  type_max_leased: { text: "leases full", tone: "watch", title: "The type has as many leases as it may." },
  max_leased: { text: "leases full", tone: "watch", title: "The queue has as many leases as it may." },
  window: { text: "window closed", tone: "plain", title: "The window of its jobs is closed." },
  type_rate: { text: "at its cap", tone: "well", title: "The next job leaves at the next slot of the cap." },
  rate: { text: "at its rate", tone: "well", title: "The next job leaves at the next slot of its rate." },
  delayed: { text: "delayed", tone: "plain", title: "All its jobs wait for a time of their own." },
  empty: { text: "empty", tone: "plain", title: "No job waits." },
});

/**
 * Return the words for the cap that holds a queue or a type back; null for another reason.
 *
 * @param {string} blockedBy `cap:` and the name, or `cap` for a type
 * @returns {{text: string, tone: Tone | "plain", title: string} | null}
 */
function ofCap(blockedBy) {
  if (blockedBy === "cap") {
    return { text: "at a cap", tone: "well", title: "The next job leaves at the next slot of a named cap." };
  }
  if (!blockedBy.startsWith("cap:")) return null;
  const name = blockedBy.slice("cap:".length);
  const title = `The cap ${name} allows no lease now, or does not exist.`;
  return { text: `cap ${name}`, tone: "well", title };
}

/**
 * Return the state of what gives jobs, in short words.
 *
 * @param {string | null} blockedBy of the API
 * @param {number} queued
 * @param {number | null} [readyForMs] how long the longest-ready job has waited for a worker, if that is known
 * @returns {State}
 */
export function stateOf(blockedBy, queued, readyForMs = null) {
  if (readyForMs !== null && readyForMs >= LATE_MS && queued > 0) {
    const tone = readyForMs >= VERY_LATE_MS ? "bad" : "watch";
    const title = "Jobs are ready, and no worker takes them.";
    return { tone, text: `no worker for ${duration(readyForMs)}`, title, rank: tone === "bad" ? 90 : 60 };
  }
  // A reason may be older than the count of jobs beside it.
  if (blockedBy === null || (blockedBy === "empty" && queued > 0)) {
    if (queued > 0) return { tone: "well", text: "ready", title: "A job is ready for a worker.", rank: 0 };
    return { tone: "plain", text: "empty", title: "No job waits.", rank: 0 };
  }
  const words = BLOCKED[blockedBy] ??
    ofCap(blockedBy) ?? { text: blockedBy, tone: "plain", title: `Held back: ${blockedBy}.` };
  const rank = { bad: 80, watch: 50, well: 0, plain: 0 }[words.tone];
  return { ...words, rank: queued > 0 ? rank : rank / 10 };
}

/**
 * Return the state of a type, failures included.
 *
 * @param {TypeNumbers} type
 * @returns {State}
 */
export function stateOfType(type) {
  const state = ofQueues(stateOf(type.blocked_by, type.queued, type.ready_for_ms), type.blocked_by);
  const share = shareFailed(type);
  if (share !== null && share >= SHARE_FAILED && (type.failed_per_min ?? 0) >= FEW_FAILED) {
    const tone = share >= SHARE_FAILED_BAD ? "bad" : "watch";
    const rank = (tone === "bad" ? 85 : 55) + share;
    if (rank > state.rank) {
      const title = `${amount(type.failed_per_min ?? 0, "attempt")} failed in the last minute.`;
      return { tone, text: `${percent(share)} fails`, title, rank };
    }
  }
  return isBelowCap(type) && state.rank < RANK_BELOW_CAP ? BELOW_CAP : state;
}

/**
 * Say of a type what holds for its queues: it is not paused itself if they are.
 *
 * @param {State} state
 * @param {string | null} blockedBy
 * @returns {State}
 */
function ofQueues(state, blockedBy) {
  const texts = /** @type {Record<string, string>} */ ({
    paused: "queues paused",
    hold: "queues held",
    max_leased: "queues' leases full",
    rate: "at their rates",
  });
  const text = texts[blockedBy ?? ""];
  if (text === undefined || state.text.startsWith("no worker")) return state;
  return { ...state, text, title: `Each of its queues with waiting jobs: ${state.title}` };
}

/**
 * Tell if a type gives less than its cap although jobs are ready, which is so if its workers are too few or too slow.
 *
 * @param {TypeNumbers} type
 * @returns {boolean}
 */
function isBelowCap({ blocked_by, caps, queued, delivered_per_s }) {
  if (blocked_by !== null || queued < (delivered_per_s ?? 0) * BACKLOG_S) return false;
  const shares = Object.entries(caps)
    .filter(([name]) => isRate(name))
    .map(([, share]) => share);
  return shares.length > 0 && Math.max(...shares) < SHARE_BELOW_CAP;
}

/**
 * Return the share of a type's deliveries of the last minute that failed; null if it is not known.
 *
 * @param {TypeNumbers} type
 * @returns {number | null}
 */
export function shareFailed({ failed_per_min, delivered_per_s }) {
  if (failed_per_min === null || delivered_per_s === null) return null;
  if (failed_per_min === 0) return 0;
  return failed_per_min / Math.max(failed_per_min, delivered_per_s * 60);
}

/**
 * Return types in the order of their trouble, then of their backlog.
 *
 * @param {TypeNumbers[]} types
 * @returns {TypeNumbers[]}
 */
export function byTrouble(types) {
  const ranked = types.map((type) => ({ type, rank: stateOfType(type).rank }));
  ranked.sort(
    (a, b) =>
      b.rank - a.rank || b.type.queued - a.type.queued || (a.type.queue_type < b.type.queue_type ? -1 : 1),
  );
  return ranked.map(({ type }) => type);
}

/**
 * Judge a snapshot.
 *
 * @param {Snapshot} snapshot
 * @returns {Verdict} with the worst findings first
 */
export function judge(snapshot) {
  const findings = [
    ...ofShards(snapshot),
    ...ofNotices(snapshot),
    ...ofTotals(snapshot),
    ...ofTypes(snapshot),
  ];
  findings.sort((a, b) => Number(b.tone === "bad") - Number(a.tone === "bad"));
  const worst = findings[0]?.tone ?? "well";
  if (worst === "well") return { tone: "well", line: wellLine(snapshot), findings };
  const line =
    findings.length === 1 ? "One thing is not well" : `${count(findings.length)} things are not well`;
  const rest = findings.length - MOST_FINDINGS;
  if (rest <= 0) return { tone: worst, line, findings };
  const more = { tone: worst, text: `and ${count(rest)} more`, href: href("types") };
  return { tone: worst, line, findings: [...findings.slice(0, MOST_FINDINGS), more] };
}

/** @param {Snapshot} snapshot */
function wellLine({ shards, totals, types_total }) {
  const delay = totals.ready_delay_p99_ms;
  const parts = [amount(shards.length, "shard"), amount(types_total, "type")];
  const late = delay === null ? "" : ` · 99 % of the jobs leave within ${duration(delay)} of their turn`;
  return `All is well · ${parts.join(", ")}${late}`;
}

/**
 * @param {Snapshot} snapshot
 * @returns {Finding[]}
 */
function ofShards({ shards }) {
  const ring = href("ring");
  if (shards.length === 0)
    return [{ tone: "bad", text: "No shard serves: no job can be taken or given.", href: ring }];
  return shards.flatMap(({ node, store, reason, is_draining }) => {
    /** @type {Finding[]} */
    const found = [];
    if (reason !== undefined)
      found.push({ tone: "bad", text: `Shard ${node} cannot be reached: ${reason}`, href: ring });
    else if (store !== null && !store.is_reachable) {
      const why = store.reason === undefined ? "" : `: ${store.reason}`;
      found.push({ tone: "bad", text: `Shard ${node} does not reach its store${why}`, href: ring });
    } else if (store?.partitions_away) {
      const text = `Shard ${node} does not reach the store of ${amount(store.partitions_away, "partition")}.`;
      found.push({ tone: "bad", text, href: ring });
    }
    if (is_draining)
      found.push({ tone: "watch", text: `Shard ${node} is draining: it takes no new work.`, href: ring });
    return found;
  });
}

/**
 * @param {Snapshot} snapshot
 * @returns {Finding[]} each text once, though every shard may say it, and no reason that stands at its shard already
 */
function ofNotices({ notices, shards }) {
  const said = shards.flatMap(({ reason, store }) =>
    [reason, store?.reason].filter((text) => text !== undefined),
  );
  const texts = new Set(
    notices.map(({ text }) => text).filter((text) => !said.some((known) => text.includes(known))),
  );
  return [...texts].map((text) => ({ tone: "watch", text, href: href("ring") }));
}

/**
 * @param {Snapshot} snapshot
 * @returns {Finding[]}
 */
function ofTotals({ totals }) {
  /** @type {Finding[]} */
  const found = [];
  const { ready_delay_p99_ms: delay, died_per_min: died } = totals;
  if (delay !== null && delay >= LATE_MS) {
    const text = `Jobs leave late: one in a hundred waits ${duration(delay)} after its turn.`;
    found.push({ tone: delay >= VERY_LATE_MS ? "bad" : "watch", text, href: null });
  }
  if (died) {
    const text = `${amount(died, "job")} became ${died === 1 ? "a dead letter" : "dead letters"} in the last minute.`;
    found.push({ tone: "watch", text, href: null });
  }
  return found;
}

/**
 * @param {Snapshot} snapshot
 * @returns {Finding[]}
 */
function ofTypes({ types }) {
  return byTrouble(types).flatMap((type) => {
    const { tone, text, rank } = stateOfType(type);
    if (rank < 50 || (tone !== "watch" && tone !== "bad")) return [];
    const waiting = type.queued > 0 ? `, ${amount(type.queued, "job")} waiting` : "";
    return [{ tone, text: `${type.queue_type}: ${text}${waiting}`, href: href("type", [type.queue_type]) }];
  });
}
