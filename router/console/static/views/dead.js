// The dead letters of a type by reason and error, with retry and drop of one group or of all.

import { call, path } from "../api.js";
import { DeadGroups } from "../dead_groups.js";
import { h, replace, setText } from "../dom.js";
import { amount, count, dateTime } from "../format.js";
import { href } from "../routes.js";
import { attempt, change, changeButton } from "../widgets/change.js";
import { card } from "../widgets/card.js";
import { heading, typeTabs } from "../widgets/heading.js";
import { table } from "../widgets/table.js";
import { groupPanel } from "./dead_group.js";

/**
 * @typedef {import("../dead_groups.js").Group} Group
 * @typedef {{key: string, reason: string, text: string, letters: number, queues: number, oldest_at: number,
 *     newest_at: number}} Row
 */

const PAGE = 200;

/** Letters that are read at one go. Their payloads travel, too, so that more are read only on demand. */
const AT_ONCE = 2000;

/** Letters that the tab keeps at most. */
const MAX_KEPT = 20_000;

const TYPES_PAGE = 1000;
const MAX_TYPE_PAGES = 5;
const WORDS = /** @type {import("../session.js").Word[]} */ (["operate"]);

const REASONS = /** @type {Record<string, string>} */ ({ limit: "Failed too often", expired: "Expired" });

/**
 * Show the dead letters of a type until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} parameters `queue_type`, and `queue_id` for those of one queue
 * @param {{signal: AbortSignal}} options
 */
export async function show(root, parameters, { signal }) {
  const view = new DeadView(parameters.queue_type ?? "", parameters.queue_id ?? "", signal);
  replace(root, view.node);
  await view.begin();
}

class DeadView {
  /**
   * @param {string} type
   * @param {string} queueId empty: all queues
   * @param {AbortSignal} signal
   */
  constructor(type, queueId, signal) {
    this.type = type;
    this.queueId = queueId;
    this.signal = signal;
    this.groups = new DeadGroups();
    /** @type {string | null} */
    this.cursor = null;
    this.isWhole = false;
    /** @type {number | null} */
    this.total = null;
    this.extent = h("p", { class: "verdict", role: "status" }, "Reading the dead letters.");
    this.more = h(
      "button",
      { type: "button", class: "plain", hidden: true, onclick: () => void attempt(() => this.#readOn()) },
      "Read on",
    );
    this.list = this.#table();
    this.place = h("div", null);
    const crumbs = [
      { label: "Types", href: href("types") },
      ...(queueId
        ? [
            { label: type, href: href("type", [type]) },
            { label: queueId, href: href("queue", [type, queueId]) },
          ]
        : []),
    ];
    const head = h(
      "div",
      { class: "card-tools" },
      h("div", { class: "actions" }, this.extent, this.more),
      this.#all(),
    );
    this.node = h(
      "div",
      { class: "view" },
      heading({ title: queueId || type, crumbs }),
      typeTabs(type, "dead"),
      card(
        queueId ? `Dead letters of ${queueId} by error` : "Dead letters by error",
        { isWide: true },
        head,
        this.list.node,
      ),
      this.place,
    );
  }

  /** Read from the beginning. */
  async begin() {
    this.groups = new DeadGroups();
    this.cursor = null;
    this.isWhole = false;
    this.total = null;
    await this.#readOn();
    if (this.isWhole) return;
    this.total = await this.#count();
    this.#draw();
  }

  /**
   * Return how many dead letters there are. The API counts those of one queue, and those of types in a list.
   *
   * @returns {Promise<number | null>} null if it is not known
   */
  async #count() {
    const { type, queueId, signal } = this;
    if (queueId) return (await call("GET", path("queue", type, queueId), { signal })).dead;
    let cursor = null;
    for (let pages = 0; pages < MAX_TYPE_PAGES; pages += 1) {
      const page = await call("GET", "/types/", { query: { limit: TYPES_PAGE, cursor }, signal });
      const found = page.types.find((/** @type {{queue_type: string}} */ entry) => entry.queue_type === type);
      if (found) return found.dead;
      cursor = page.cursor;
      if (cursor === null) break;
    }
    return null;
  }

  async #readOn() {
    this.more.disabled = true;
    const stop = this.groups.read + AT_ONCE;
    try {
      while (!this.isWhole && this.groups.read < Math.min(stop, MAX_KEPT)) {
        const query = { limit: PAGE, cursor: this.cursor, queue_id: this.queueId };
        const page = await call("GET", path("dead", this.type), { query, signal: this.signal });
        this.groups.add(page.jobs);
        this.cursor = page.cursor;
        this.isWhole = page.cursor === null;
        this.#draw();
      }
    } finally {
      this.more.disabled = false;
    }
    this.#draw();
  }

  #draw() {
    const { read } = this.groups;
    this.list.update(this.groups.sorted().map(rowOf));
    this.more.hidden = this.isWhole || read >= MAX_KEPT;
    setText(this.extent, this.#extentText(read));
  }

  /** @param {number} read */
  #extentText(read) {
    if (this.isWhole)
      return read === 0
        ? "There are no dead letters."
        : `${amount(read, "dead letter")}, all that there are.`;
    const of = this.total !== null && this.total > read ? ` of ${count(this.total)}` : "";
    const kept = read >= MAX_KEPT ? " The page reads no more than these." : "";
    return `${count(read)}${of} dead letters read, not all: the groups may have more than is shown.${kept}`;
  }

  #table() {
    return table({
      columns: [
        {
          name: "text",
          label: "Error",
          cell: (/** @type {Row} */ row) => row.text || "No error was given",
          isMain: true,
        },
        { name: "reason", label: "Reason", cell: (row) => REASONS[row.reason] ?? row.reason },
        { name: "letters", label: "Jobs", cell: (row) => count(row.letters), isNumber: true },
        { name: "queues", label: "Queues", cell: (row) => count(row.queues), isNumber: true },
        { name: "newest", label: "Newest", cell: (row) => dateTime(row.newest_at) },
        { name: "oldest", label: "Oldest", cell: (row) => dateTime(row.oldest_at) },
      ],
      key: (row) => row.key,
      caption: "Dead letters by error",
      empty: "Nothing died here.",
      onOpen: (row) => this.#open(row.key),
    });
  }

  #all() {
    const { type } = this;
    if (this.queueId) return null;
    const redrive = () =>
      this.#changeAll({
        title: `Retry all dead letters of ${type}?`,
        text: `${this.#allText()} queued again at the end of their queues, with attempts from 0.`,
        action: "Retry all",
        perform: () => call("POST", path("dead", type, "redrive")),
        done: ({ redriven }) => `${amount(redriven, "job")} of ${type} queued again.`,
      });
    const drop = () =>
      this.#changeAll({
        title: `Drop all dead letters of ${type}?`,
        text: `${this.#allText()} dropped with their payloads.`,
        action: "Drop all",
        isDangerous: true,
        perform: () => call("DELETE", path("dead", type)),
        done: ({ dropped }) => `${amount(dropped, "dead letter")} of ${type} dropped.`,
      });
    return h(
      "div",
      { class: "actions" },
      changeButton("Retry all", { words: WORDS, type, onClick: redrive }),
      changeButton("Drop all", { words: WORDS, type, isDangerous: true, onClick: drop }),
    );
  }

  #allText() {
    const total = this.isWhole ? this.groups.read : this.total;
    if (total === null) return "All dead letters of the type are";
    return total === 1 ? "1 dead letter is" : `${count(total)} dead letters are`;
  }

  /** @param {Parameters<typeof change<any>>[0]} question */
  async #changeAll(question) {
    if ((await change(question)) === null) return;
    replace(this.place);
    await this.begin();
  }

  #close() {
    replace(this.place);
    this.node.querySelector("h2")?.focus();
  }

  /** Show the letters of a group. @param {string} key */
  #open(key) {
    const group = this.groups.groups.get(key);
    if (group === undefined) return;
    const panel = groupPanel(this.type, group, {
      signal: this.signal,
      onGone: (gone) => {
        this.groups.remove(group, gone);
        this.total = this.total === null ? null : this.total - gone.size;
        this.#draw();
        if (group.letters.length > 0) this.#open(key);
        else this.#close();
      },
      onClose: () => this.#close(),
    });
    replace(this.place, panel);
    panel.querySelector("h2")?.focus();
  }
}

/**
 * @param {Group} group
 * @returns {Row}
 */
function rowOf({ key, reason, text, letters, queues, oldest_at, newest_at }) {
  return { key, reason, text, letters: letters.length, queues: queues.size, oldest_at, newest_at };
}
