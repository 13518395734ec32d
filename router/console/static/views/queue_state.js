// The state of one queue and what stops or starts it: pause, hold, resume and delete.

import { call, path } from "../api.js";
import { h, replace, setText } from "../dom.js";
import { DURATION_HINT, readDuration } from "../durations.js";
import { amount, count, duration, UNKNOWN } from "../format.js";
import { stateOf } from "../health.js";
import { href } from "../routes.js";
import { serverNow } from "../server_clock.js";
import { distance, zoned } from "../times.js";
import { change, changeButton, forbid, refusal } from "../widgets/change.js";
import { FieldError } from "../field_error.js";
import { Form } from "../widgets/form.js";
import { card } from "../widgets/card.js";

/**
 * @typedef {import("./queue.js").Queue} Queue
 * @typedef {import("./queue.js").QueueKey} QueueKey
 */

const WORDS = /** @type {import("../session.js").Word[]} */ (["operate"]);

/** The head of a queue's view. */
export class QueueState {
  /**
   * @param {QueueKey} key
   * @param {() => void} onChange called after each change
   */
  constructor(key, onChange) {
    this.key = key;
    this.onChange = onChange;
    /** @type {Queue | null} */
    this.queue = null;
    this.sign = h("span", { class: "badge" });
    this.sentence = h("p", { class: "verdict" });
    this.figures = {
      queued: h("dd", null),
      delayed: h("dd", null),
      leased: h("dd", null),
      dead: h("dd", null),
      oldest: h("dd", null),
      rate: h("dd", null),
    };
    this.pause = this.#button("Pause", () => this.#pause());
    this.resume = this.#button("Resume", () => this.#resume());
    this.drop = this.#button("Delete the queue", () => this.#delete(), true);
    this.hold = this.#holdForm();
    this.node = card(
      "State",
      {},
      this.sentence,
      this.#facts(),
      h("div", { class: "actions actions-apart" }, this.pause, this.resume, this.hold.node, this.drop),
    );
  }

  /** @param {Queue | null} queue null: it does not exist */
  update(queue) {
    this.queue = queue;
    const { figures } = this;
    const { text, tone } =
      queue === null ? { text: "absent", tone: "plain" } : stateOf(queue.blocked_by, queue.queued);
    setText(this.sign, text);
    this.sign.dataset["tone"] = tone;
    setText(this.sentence, verdict(queue));
    const focused = document.activeElement;
    this.pause.hidden = queue?.paused === true;
    this.resume.hidden = queue === null || !(queue.paused || isHeld(queue));
    // The button that a reader pressed gives way to its opposite.
    if (focused === this.pause && this.pause.hidden) this.resume.focus();
    if (focused === this.resume && this.resume.hidden) this.pause.focus();
    this.drop.hidden = queue === null;
    for (const name of /** @type {const} */ (["queued", "delayed", "leased"]))
      setText(figures[name], count(queue?.[name]));
    const shownDead = count(queue?.dead);
    if (figures.dead.textContent !== shownDead)
      replace(figures.dead, this.#deadLink(queue?.dead ?? 0, shownDead));
    setText(figures.oldest, duration(queue?.oldest_age));
    setText(figures.rate, queue === null ? UNKNOWN : rateText(queue));
  }

  #facts() {
    const labels = {
      queued: "Queued",
      delayed: "Delayed",
      leased: "Leased",
      dead: "Dead letters",
      oldest: "Oldest",
      rate: "Rate",
    };
    const pairs = Object.entries(labels).map(([name, label]) =>
      h("div", null, h("dt", null, label), this.figures[/** @type {keyof typeof labels} */ (name)]),
    );
    return h("dl", { class: "facts tight" }, pairs);
  }

  /**
   * @param {number} dead
   * @param {string} shown
   */
  #deadLink(dead, shown) {
    const { queue_type, queue_id } = this.key;
    return dead > 0 ? h("a", { href: href("dead", [queue_type], { queue_id }) }, shown) : shown;
  }

  /**
   * @param {string} label
   * @param {() => Promise<unknown>} onClick
   * @param {boolean} [isDangerous]
   */
  #button(label, onClick, isDangerous = false) {
    return changeButton(label, { words: WORDS, type: this.key.queue_type, isDangerous, onClick });
  }

  /** @param {string[]} steps the path after the queue's */
  #address(...steps) {
    return path("queue", this.key.queue_type, this.key.queue_id, ...steps);
  }

  async #pause() {
    const { queue_id } = this.key;
    await change({
      title: `Pause ${queue_id}?`,
      text: `It accepts jobs and hands none out until it is resumed. ${this.#affected()}`,
      action: "Pause",
      perform: () => call("POST", this.#address("pause")),
      done: () => `${queue_id} is paused.`,
    });
    this.onChange();
  }

  async #resume() {
    const { queue_id } = this.key;
    await change({
      title: `Resume ${queue_id}?`,
      text: `Its pause and its hold end. ${amount(this.queue?.queued ?? 0, "queued job")} may leave at the queue's rate.`,
      action: "Resume",
      perform: () => call("POST", this.#address("resume")),
      done: () => `${queue_id} is resumed.`,
    });
    this.onChange();
  }

  #holdForm() {
    const { queue_id, queue_type } = this.key;
    const form = new Form({
      fields: [{ name: "for", label: "Hold for", hint: "such as 30 s, 5 min or 2 h" }],
      action: "Hold",
      label: "Hold the queue",
      isInline: true,
      onSubmit: async (values) => {
        const ms = readDuration(values["for"] ?? "");
        if (ms === null) throw new FieldError("for", `expected a duration, ${DURATION_HINT}`);
        const answer = await change({
          title: `Hold ${queue_id} for ${duration(ms)}?`,
          text: `It hands no job out until then. A hold only grows: a shorter one changes nothing. ${this.#affected()}`,
          action: "Hold",
          perform: () => call("POST", this.#address("pause"), { body: { for: ms } }),
          done: () => `${queue_id} is held for ${duration(ms)} or longer.`,
        });
        if (answer === null) return;
        form.fill({ for: "" });
        this.onChange();
      },
    });
    const reason = refusal(WORDS, queue_type);
    if (reason !== null) forbid(form.button, reason);
    return form;
  }

  async #delete() {
    const { queue_type, queue_id } = this.key;
    await change({
      title: `Delete ${queue_id}?`,
      text: [
        `${amount(this.queue?.queued ?? 0, "queued job")} and ${amount(this.queue?.delayed ?? 0, "delayed job")} are dropped.`,
        `${amount(this.queue?.leased ?? 0, "leased job")} may end, and will not come back.`,
        "A pinned rate stays.",
      ],
      action: "Delete",
      isDangerous: true,
      fields: [{ name: "purge_all", label: "Forget the rate, too", type: "checkbox", value: false }],
      perform: ({ purge_all }) =>
        call("DELETE", path("deletequeue", queue_type, queue_id), {
          body: { purge_all: purge_all === true },
        }),
      done: (answer) => `${queue_id}: ${answer.message}.`,
    });
    this.onChange();
  }

  #affected() {
    const { queued = 0, leased = 0 } = this.queue ?? {};
    return `${amount(queued, "queued job")} will wait, and ${amount(leased, "lease")} run on.`;
  }
}

/** @param {Queue} queue */
function isHeld({ held_until }) {
  return held_until !== null && held_until > serverNow();
}

/**
 * Return why a queue gives no job now, or that it does, in a sentence.
 *
 * @param {Queue | null} queue
 */
function verdict(queue) {
  if (queue === null) return "There is no such queue now. Its first job, or a setting, creates it.";
  const { title } = stateOf(queue.blocked_by, queue.queued);
  if (queue.held_until !== null && isHeld(queue)) {
    return `${title} Held until ${zoned(queue.held_until)}, ${distance(queue.held_until, serverNow())}.`;
  }
  const ready = queue.next_ready_in;
  return ready ? `${title} The next one may leave in ${duration(ready)}.` : title;
}

/** @param {Queue} queue */
function rateText({ interval, rate, burst, pinned }) {
  const text = interval === 0 ? "unlimited" : (rate ?? `${interval} ms`);
  return `${text}${burst === 1 ? "" : `, burst ${burst}`}${pinned ? ", pinned" : ""}`;
}
