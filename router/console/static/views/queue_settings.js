// The settings of one queue: a form of all of them, of which only what was changed is sent.

import { call, path } from "../api.js";
import { h, setText } from "../dom.js";
import {
  changeLines,
  FIELDS,
  originText,
  settingsBody,
  settingTexts,
  summaryText,
} from "../settings_text.js";
import { change, forbid, refusal } from "../widgets/change.js";
import { Form } from "../widgets/form.js";

/**
 * @typedef {import("./queue.js").Queue} Queue
 * @typedef {import("./queue.js").QueueKey} QueueKey
 */

/**
 * Make the form of a queue's settings.
 *
 * @param {QueueKey} key
 * @param {Queue | null} queue
 * @param {ReadonlyArray<string>} windows the names to suggest
 * @param {(queue: Queue) => void} onChange is given the new state
 */
export function settingsForm(key, queue, windows, onChange) {
  let before = settingTexts(queue);
  const fields = FIELDS.map((field) => ({
    ...field,
    value: before[field.name] ?? "",
    ...(field.suggestions ? { suggestions: windows } : {}),
  }));
  const form = new Form({ fields, action: "Review changes", label: "Settings", onSubmit });
  const reason = refusal(["operate"], key.queue_type);
  if (reason !== null) forbid(form.button, reason);
  const unchanged = h("p", { class: "soft", role: "status" });
  form.foot.append(unchanged);
  const origin = h("p", { class: "hint" }, originText(queue));
  const note = h("p", { class: "soft" }, summaryText(queue));

  /** @param {Record<string, string>} after */
  async function onSubmit(after) {
    const body = settingsBody(before, after);
    const lines = changeLines(before, after);
    if (lines.length === 0) {
      setText(unchanged, "Nothing is changed.");
      return;
    }
    setText(unchanged, "");
    const answer = await change({
      title: `Change ${key.queue_id}?`,
      text: lines.join("\n"),
      action: "Change",
      perform: () => call("POST", path("queue", key.queue_type, key.queue_id), { body }),
      done: () => `${key.queue_id}: changed. ${lines.join(". ")}.`,
    });
    if (answer === null) return;
    before = settingTexts(answer);
    form.fill(before);
    onChange(answer);
  }

  return {
    node: h("div", { class: "stack" }, origin, form.node),
    note,
    /** @param {Queue} newer */
    refresh(newer) {
      before = settingTexts(newer);
      form.refresh(before);
      setText(note, summaryText(newer));
      setText(origin, originText(newer));
    },
  };
}
