// Shows one type: its numbers, what it promises and delivers, its caps, and the customers that wait most.

import { each } from "../caps.js";
import { h, replace } from "../dom.js";
import { compact, count, dateTime, duration, rate } from "../format.js";
import { stateOfType } from "../health.js";
import { href } from "../routes.js";
import { watch } from "../stream.js";
import { badge, facts, shareBar } from "../widgets/badge.js";
import { typeDelivery } from "../widgets/delivery_chart.js";
import { heading, panel, typeTabs } from "../widgets/heading.js";
import { figure } from "../widgets/sparkline.js";
import { typeActions } from "./type_actions.js";
import { behindMost } from "./type_customers.js";

/**
 * @typedef {import("../snapshot.js").TypeEvent} TypeEvent
 * @typedef {import("../snapshot.js").TypeNumbers} TypeNumbers
 * @typedef {{interval: number, rate: string, burst: number, unit: string}} Limit
 * @typedef {{quota: number, period: string, tz: string, unit: string, used: number, resets_at: number | null}} Quota
 */

/**
 * Show a type until the signal aborts.
 *
 * @param {HTMLElement} root
 * @param {Record<string, string>} parameters `queue_type`
 * @param {{signal: AbortSignal}} context
 */
export async function show(root, parameters, { signal }) {
  const queueType = parameters["queue_type"] ?? "";
  const isGathered = queueType.includes("~");
  const state = h("span");
  const figures = typeFigures(queueType);
  const caps = capsPanel();
  const settings = facts(SETTINGS);
  const customers = behindMost(queueType, signal);
  const actions = typeActions(queueType, isGathered);
  replace(
    root,
    heading({
      title: queueType,
      crumbs: [{ label: "Types", href: href("types") }],
      note: state,
      actions: actions.nodes,
    }),
    typeTabs(queueType, "type"),
    figures.node,
    isGathered
      ? h(
          "div",
          { class: "columns columns-wide" },
          panel("Promised and delivered", {}, typeDelivery(queueType, { signal })),
          h("div", { class: "stack" }, panel("Caps", {}, caps.node), panel("Settings", {}, settings.node)),
        )
      : plainNote(queueType),
    panel(
      "Customers with most waiting jobs",
      { isFlush: true, aside: h("a", { href: href("customers", [queueType]) }, "All customers") },
      customers,
    ),
  );
  const stop = watch({ queue_type: queueType }, (name, data) => {
    if (name !== "type" || data.queue_type !== queueType) return;
    const event = /** @type {TypeEvent} */ (data);
    if (event.numbers !== null) {
      const { text, tone, title } = stateOfType(event.numbers);
      replace(state, badge(text, tone, title));
      figures.add(event.at, event.numbers);
      actions.update(event.numbers);
    } else {
      replace(state, badge("empty", "plain", "No job waits."));
    }
    if (event.state !== null) {
      caps.update(event.state, event.numbers);
      showSettings(settings, event.state);
    }
  });
  signal.addEventListener("abort", stop, { once: true });
}

/** @param {string} queueType */
function plainNote(queueType) {
  return h(
    "p",
    { class: "card aside" },
    `The queues of ${queueType} share no cap: each has its own rate, and what each promises and delivers is drawn on its page. `,
    "A cap that all queues share needs a gathered type, with one ~ in its name.",
  );
}

/** @param {string} queueType */
function typeFigures(queueType) {
  const all = {
    waiting: figure({ label: "Waiting", format: compact, href: href("customers", [queueType]) }),
    enqueued: figure({ label: "Enqueued", format: rate, title: "Jobs per second over the last 10 s" }),
    delivered: figure({ label: "Delivered", format: rate, title: "Leases per second over the last 10 s" }),
    leased: figure({ label: "In workers' hands", format: compact }),
    failed: figure({
      label: "Failed per minute",
      format: compact,
      href: href("customers", [queueType], { by: "dead" }),
    }),
    dead: figure({ label: "Dead letters", format: compact, href: href("dead", [queueType]) }),
  };
  return {
    node: h(
      "ul",
      { class: "figures", "aria-label": "Figures" },
      Object.values(all).map(({ node }) => node),
    ),
    /**
     * @param {number} at
     * @param {TypeNumbers} numbers
     */
    add(at, numbers) {
      const late = numbers.ready_for_ms ?? 0;
      all.waiting.add(
        at,
        numbers.queued,
        numbers.delayed > 0 ? `and ${compact(numbers.delayed)} delayed` : "",
      );
      all.enqueued.add(at, numbers.enqueued_per_s);
      all.delivered.add(at, numbers.delivered_per_s, late >= 1000 ? `ready for ${duration(late)}` : "");
      all.leased.add(at, numbers.leased);
      all.failed.add(at, numbers.failed_per_min);
      all.dead.add(at, numbers.dead);
    },
  };
}

function capsPanel() {
  const node = h("ul", { class: "caps" }, h("li", { class: "faint" }, "Reading"));
  return {
    node,
    /**
     * @param {Record<string, any>} state as of `GET /type/<type>/`
     * @param {TypeNumbers | null} numbers
     */
    update(state, numbers) {
      const bars = [
        ...state["limits"].map((/** @type {Limit} */ limit) => limitBar(limit, numbers?.caps ?? {})),
        ...state["quotas"].map(quotaBar),
      ];
      if (state["max_leased"] !== null) {
        const text = `${count(state["leased"])} of ${count(state["max_leased"])}`;
        bars.push(shareBar({ name: "Leases at a time", share: state["leased"] / state["max_leased"], text }));
      }
      if (bars.length === 0)
        replace(node, h("li", { class: "faint" }, "No limit, no quota: only the rates of its queues hold."));
      else
        replace(
          node,
          bars.map((bar) => h("li", null, bar)),
        );
    },
  };
}

/**
 * @param {Limit} limit
 * @param {Record<string, number>} shares limit or quota → the share in use
 */
function limitBar({ rate: words, burst, unit }, shares) {
  const name = `${words}${unit === "cost" ? " of cost" : ""}, burst ${burst}`;
  const share = shares[unit === "cost" ? `${words} cost` : words] ?? shares[words];
  if (share === undefined) return shareBar({ name, share: 0, text: "not known yet", isLimitGood: true });
  return shareBar({ name, share, isLimitGood: true });
}

/** @param {Quota} quota */
function quotaBar({ quota, period, tz, unit, used, resets_at }) {
  const resets = resets_at === null ? "" : `, until ${dateTime(resets_at)}`;
  const name = `${count(quota)} ${unit === "cost" ? "of cost " : ""}${each(period)} (${tz})${resets}`;
  return shareBar({ name, share: used / quota, text: `${count(used)} used` });
}

const SETTINGS = ["Queues", "Next job in", "Held until", "Window", "Retry", "Expires", "On expiry"];

/**
 * @param {{set: (label: string, value: string) => void}} settings
 * @param {Record<string, any>} state as of `GET /type/<type>/`
 */
function showSettings(settings, state) {
  const { retry, expires, next_ready_in: next } = /** @type {Record<string, any>} */ (state);
  settings.set("Queues", count(state["queues"]));
  settings.set("Next job in", next === 0 ? "now" : duration(next));
  settings.set("Held until", state["held_until"] === null ? "not held" : dateTime(state["held_until"]));
  settings.set("Window", state["window"] ?? "none");
  settings.set(
    "Retry",
    retry === null
      ? "at once"
      : `after ${duration(retry.delay)}, × ${retry.factor}, at most ${duration(retry.max)}`,
  );
  settings.set("Expires", expires === null ? "never" : `after ${duration(expires)}`);
  settings.set("On expiry", state["on_expiry"] ?? "dead letter");
}
