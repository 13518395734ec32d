// The jobs of one queue by state, page by page, with one of them opened at a time.

import { call, path } from "../api.js";
import { h, replace, setText } from "../dom.js";
import { amount, count } from "../format.js";
import { go, href } from "../routes.js";
import { change, forbid, refusal } from "../widgets/change.js";
import { Form } from "../widgets/form.js";
import { jobPanel } from "../widgets/job.js";
import { sayError } from "../widgets/notices.js";
import { card } from "../widgets/card.js";
import { jobTable, rowOf } from "./job_table.js";

/**
 * @typedef {import("./queue.js").Queue} Queue
 * @typedef {import("./queue.js").QueueKey} QueueKey
 * @typedef {"queued" | "delayed" | "leased" | "dead"} State
 * @typedef {import("./job_table.js").Row} Row
 */

const PAGE = 25;

/** Pages with a prefix may be empty although more follow: the most pages that are read at one go. */
const MAX_EMPTY_PAGES = 20;

const STATES = /** @type {[State, string][]} */ ([
  ["queued", "Queued"],
  ["delayed", "Delayed"],
  ["leased", "Leased"],
  ["dead", "Dead letters"],
]);

const EMPTY = {
  queued: "No job is queued.",
  delayed: "No job is delayed.",
  leased: "No worker holds a job of this queue.",
  dead: "This queue has no dead letters.",
};

/** The list of a queue's jobs. */
export class JobList {
  /**
   * @param {QueueKey} key
   * @param {{parameters: Record<string, string>, signal: AbortSignal, onChange: () => void}} options
   */
  constructor(key, { parameters, signal, onChange }) {
    this.key = key;
    this.signal = signal;
    this.onChange = onChange;
    this.state = STATES.find(([state]) => state === parameters.state)?.[0] ?? "queued";
    this.prefix = "";
    /** @type {(string | null)[]} the cursors of the pages up to the present one */
    this.cursors = [null];
    /** @type {string | null} */
    this.next = null;
    /** @type {AbortController | null} ends the load of a page that is no longer wanted */
    this.loading = null;
    this.tabs = STATES.map(([state, label]) => this.#tab(state, label));
    this.list = jobTable((row) => this.open(row.job_id));
    this.where = h("p", { class: "soft", role: "status" });
    this.back = h(
      "button",
      { type: "button", class: "plain", onclick: () => this.#turn(-1) },
      "Previous page",
    );
    this.forth = h("button", { type: "button", class: "plain", onclick: () => this.#turn(1) }, "Next page");
    this.reload = h(
      "button",
      { type: "button", class: "plain", onclick: () => void this.load() },
      "Read again",
    );
    this.panel = h("div", null);
    this.node = h(
      "div",
      { class: "split" },
      card(
        "Jobs",
        { isWide: true },
        h(
          "div",
          { class: "card-tools" },
          h(
            "div",
            { class: "segments", role: "group", "aria-label": "State" },
            this.tabs.map((tab) => tab.node),
          ),
          this.#search(),
        ),
        this.list.node,
        h("div", { class: "pager" }, this.back, this.forth, this.reload, this.where),
      ),
      this.panel,
    );
    this.#mark();
    if (parameters.job) this.open(parameters.job);
  }

  /** Show the numbers of jobs by state. @param {Queue} queue */
  update(queue) {
    for (const { state, number } of this.tabs) setText(number, count(queue[state]));
  }

  /** Load the present page anew. */
  async load() {
    this.loading?.abort();
    const loading = new AbortController();
    this.loading = loading;
    const signal = AbortSignal.any([this.signal, loading.signal]);
    this.node.setAttribute("aria-busy", "true");
    try {
      const page = await this.#page(this.cursors.at(-1) ?? null, signal);
      this.next = page.cursor;
      this.list.update(page.rows);
      this.#say(page);
    } catch (error) {
      if (!signal.aborted) sayError(error);
    } finally {
      if (this.loading === loading) this.node.removeAttribute("aria-busy");
    }
  }

  /** Show one job. @param {string} jobId */
  open(jobId) {
    go(href("queue", [this.key.queue_type, this.key.queue_id], { state: this.state, job: jobId }), {
      isSilent: true,
    });
    const opener = document.activeElement;
    const close = () => {
      replace(this.panel);
      this.#mark();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
    const onChange = () => {
      this.onChange();
      void this.load();
    };
    replace(
      this.panel,
      jobPanel(
        { ...this.key, job_id: jobId },
        { signal: this.signal, onChange, onClose: close, isLetter: this.state === "dead" },
      ),
    );
    this.panel.scrollIntoView({ block: "nearest" });
  }

  /**
   * @param {State} state
   * @param {string} label
   */
  #tab(state, label) {
    const number = h("span", { class: "faint" });
    const node = h("button", { type: "button", onclick: () => this.#choose(state) }, label, " ", number);
    return { state, node, number };
  }

  /** @param {State} state */
  #choose(state) {
    this.state = state;
    this.cursors = [null];
    this.#mark();
    void this.load();
  }

  #mark() {
    for (const { state, node } of this.tabs) node.setAttribute("aria-pressed", String(state === this.state));
    const { queue_type, queue_id } = this.key;
    go(href("queue", [queue_type, queue_id], { state: this.state }), { isSilent: true });
  }

  /** @param {1 | -1} step */
  #turn(step) {
    if (step === 1 && this.next !== null) this.cursors.push(this.next);
    if (step === -1 && this.cursors.length > 1) this.cursors.pop();
    void this.load();
  }

  #search() {
    const fields = [{ name: "prefix", label: "Ids that begin with", hint: "a whole id opens that job" }];
    const form = new Form({
      isInline: true,
      fields,
      action: "Search",
      label: "Search jobs",
      onSubmit: async ({ prefix = "" }) => {
        this.prefix = prefix;
        this.cursors = [null];
        await this.load();
        if (prefix) await this.#openExact(prefix);
      },
    });
    const cancel = h(
      "button",
      { type: "button", class: "plain risky" },
      "Cancel waiting jobs with this beginning",
    );
    const reason = refusal(["operate"], this.key.queue_type);
    if (reason !== null) forbid(cancel, reason);
    else
      cancel.addEventListener("click", () =>
        this.#cancel(form.values().prefix ?? "").catch((error) => form.complain(error)),
      );
    form.foot.append(cancel);
    return form.node;
  }

  /** @param {string} jobId */
  async #openExact(jobId) {
    const found = await call("GET", path("job", this.key.queue_type, this.key.queue_id, jobId), {
      signal: this.signal,
    })
      .then(() => true)
      .catch((error) => {
        if (error.status === 404 || error.status === 400) return false;
        throw error;
      });
    if (found) this.open(jobId);
  }

  /** @param {string} prefix */
  async #cancel(prefix) {
    const { queue_type, queue_id } = this.key;
    const queue = await call("GET", path("queue", queue_type, queue_id), { signal: this.signal });
    const waiting = amount(queue.queued + queue.delayed, "waiting job");
    await change({
      title: prefix
        ? `Cancel all jobs of ${queue_id} that begin with ${prefix}?`
        : `Cancel all jobs of ${queue_id}?`,
      text: prefix
        ? `Those of its ${waiting} whose ids begin with ${prefix} are cancelled. Leased jobs are kept.`
        : `Its ${waiting} are cancelled. Leased jobs are kept.`,
      action: "Cancel the jobs",
      isDangerous: true,
      perform: () => call("POST", path("queue", queue_type, queue_id, "cancel"), { body: { prefix } }),
      done: (answer) => `${amount(answer.cancelled, "job")} of ${queue_id} cancelled.`,
    });
    this.onChange();
    await this.load();
  }

  /**
   * @param {string | null} cursor
   * @param {AbortSignal} signal
   * @returns {Promise<{rows: Row[], cursor: string | null}>}
   */
  async #page(cursor, signal) {
    const { queue_type, queue_id } = this.key;
    const isDead = this.state === "dead";
    const address = isDead ? path("dead", queue_type) : path("queue", queue_type, queue_id, "jobs");
    const query = isDead ? { queue_id } : { state: this.state, prefix: this.prefix };
    /** @type {Row[]} */
    const rows = [];
    for (let pages = 0; pages < MAX_EMPTY_PAGES; pages += 1) {
      const page = await call("GET", address, { query: { ...query, limit: PAGE, cursor }, signal });
      cursor = page.cursor;
      rows.push(...page.jobs.map(rowOf));
      if (rows.length > 0 || cursor === null) break;
    }
    return { rows: isDead ? rows.filter((row) => row.job_id.startsWith(this.prefix)) : rows, cursor };
  }

  /** @param {{rows: Row[], cursor: string | null}} page */
  #say({ rows, cursor }) {
    this.back.disabled = this.cursors.length === 1;
    this.forth.disabled = cursor === null;
    const place = `Page ${this.cursors.length}, ${amount(rows.length, "job")}`;
    const search = this.prefix ? ` whose ids begin with ${this.prefix}` : "";
    const rest = cursor === null ? "no more follow" : "more may follow";
    setText(
      this.where,
      rows.length === 0 && cursor === null ? EMPTY[this.state] : `${place}${search}; ${rest}.`,
    );
  }
}
