// The ring: the shard nodes, the partitions that each owns, and what each says of its store.

import { call } from "../api.js";
import { h, replace, setText } from "../dom.js";
import { amount, count, percent } from "../format.js";
import { repeat } from "../repeat.js";
import { sayError } from "../widgets/notices.js";
import { badge } from "../widgets/badge.js";
import { card } from "../widgets/card.js";
import { heading } from "../widgets/heading.js";
import { table } from "../widgets/table.js";

/**
 * @typedef {object} Store
 * @property {string} mode `embedded`, `single`, `sentinel` or `cluster`
 * @property {boolean} is_reachable
 * @property {string[]} notices
 * @property {number} partitions_away
 * @property {string} [reason]
 *
 * @typedef {object} Member
 * @property {string} node
 * @property {string | null} address
 * @property {boolean} is_draining
 * @property {number} partitions
 * @property {string} [reason] why this router does not reach the node
 * @property {Store | null} store null: it has not said yet
 *
 * @typedef {{version: number, partitions: number, reason?: string, members: Member[]}} Cluster
 * @typedef {Member & {all: number}} Row
 */

const REFRESH_MS = 5000;

/**
 * Show the ring until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} _parameters
 * @param {{signal: AbortSignal}} options
 */
export async function show(root, _parameters, { signal }) {
  const summary = h("p", { class: "soft" });
  const failure = h("p", { class: "failure", role: "status" });
  const bar = h("div", { class: "ring-bar", "aria-hidden": "true" });
  const members = memberTable();
  replace(
    root,
    heading({ title: "Cluster" }),
    card("The ring", {}, summary, failure, bar),
    card("Shard nodes", { isWide: true }, members.node),
  );
  await load();
  repeat(load, { everyMs: REFRESH_MS, signal, onError: sayError });

  async function load() {
    const cluster = /** @type {Cluster} */ (await call("GET", "/cluster/", { signal }));
    setText(summary, summaryText(cluster));
    setText(failure, cluster.reason ?? "");
    drawBar(bar, cluster);
    members.update(cluster.members.map((member) => ({ ...member, all: cluster.partitions })));
  }
}

/** @param {Cluster} cluster */
function summaryText({ version, partitions, members }) {
  const owned = members.reduce((sum, member) => sum + member.partitions, 0);
  const unowned =
    owned < partitions
      ? ` ${amount(partitions - owned, "partition")} are owned by no node that this router knows.`
      : "";
  return `Version ${version}: ${amount(partitions, "partition")} on ${amount(members.length, "node")}, as this router sees it.${unowned}`;
}

/**
 * Draw each node's share of the partitions.
 *
 * @param {HTMLElement} bar
 * @param {Cluster} cluster
 */
function drawBar(bar, { members }) {
  const parts = members
    .filter((member) => member.partitions > 0)
    .map((member) =>
      h(
        "span",
        {
          class: "ring-part",
          "data-tone": stateOf(member).tone,
          style: { "--share": String(member.partitions) },
        },
        h("span", null, member.node),
      ),
    );
  replace(bar, parts);
}

/**
 * Return the state of a node in a word.
 *
 * @param {Member} member
 * @returns {{word: string, tone: "well" | "watch" | "bad" | "plain"}}
 */
function stateOf({ reason, is_draining, store }) {
  if (reason !== undefined) return { word: "not reached", tone: "bad" };
  if (is_draining) return { word: "draining", tone: "watch" };
  if (store === null) return { word: "has not reported", tone: "watch" };
  if (!store.is_reachable) return { word: "store away", tone: "bad" };
  if (store.reason !== undefined || store.partitions_away > 0)
    return { word: "store partly away", tone: "bad" };
  return store.notices.length > 0 ? { word: "notices", tone: "watch" } : { word: "well", tone: "well" };
}

function memberTable() {
  return table({
    columns: [
      { name: "node", label: "Node", cell: (/** @type {Row} */ member) => member.node, isMain: true },
      { name: "state", label: "State", cell: (member) => badgeOf(member) },
      { name: "partitions", label: "Partitions", cell: (member) => count(member.partitions), isNumber: true },
      {
        name: "share",
        label: "Share",
        cell: (member) => percent(member.partitions / member.all),
        isNumber: true,
      },
      { name: "address", label: "Address", cell: (member) => member.address ?? "in this process" },
      { name: "store", label: "Store", cell: (member) => storeCell(member) },
    ],
    key: (member) => member.node,
    caption: "Shard nodes with their partitions and stores",
    empty: "No shard node is known.",
  });
}

/** @param {Member} member */
function badgeOf(member) {
  const { word, tone } = stateOf(member);
  return badge(word, tone);
}

/**
 * Show what a node says of its store, or why it is not reached.
 *
 * @param {Member} member
 * @returns {import("../dom.js").Child}
 */
function storeCell({ reason, store }) {
  const lines = [];
  if (reason !== undefined) lines.push(h("li", { class: "failure" }, reason));
  else if (store === null) lines.push(h("li", { class: "faint" }, "It has not said yet."));
  if (store !== null)
    lines.push(h("li", null, `${store.mode}, ${store.is_reachable ? "reachable" : "not reachable"}`));
  if (store?.reason !== undefined) lines.push(h("li", { class: "failure" }, store.reason));
  if (store && store.partitions_away > 0) {
    lines.push(
      h("li", { class: "failure" }, `${amount(store.partitions_away, "partition")} left to other nodes`),
    );
  }
  for (const notice of store?.notices ?? []) lines.push(h("li", null, notice));
  return h("ul", { class: "lines" }, lines);
}
