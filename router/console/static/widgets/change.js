// A change: it is asked once more, done, and said. Buttons that the token may not press say why.

import { ApiError } from "../api.js";
import { h } from "../dom.js";
import { presentCaller, whyNot } from "../session.js";
import { confirmChange } from "./confirm.js";
import { freshId, isAbort } from "./form.js";
import { say, sayError } from "./notices.js";

/** @typedef {import("../session.js").Word} Word */

/**
 * Ask, make a change, and say what it did.
 *
 * @template Answer
 * @param {object} question
 * @param {string} question.title such as "Pause acme?"
 * @param {string | string[]} question.text what it affects; a list has a line for each
 * @param {string} question.action the verb of its button
 * @param {boolean} [question.isDangerous] it cannot be undone
 * @param {Parameters<typeof confirmChange>[0]["fields"]} [question.fields]
 * @param {(values: Record<string, string | boolean>) => Promise<Answer>} question.perform
 * @param {(answer: Answer) => string} question.done what was done, of the server's answer
 * @returns {Promise<Answer | null>} null if the reader did not want it
 * @throws {ApiError} the server refused
 */
export async function change({ title, text, action, isDangerous = false, fields = [], perform, done }) {
  const shown =
    typeof text === "string"
      ? text
      : h(
          "ul",
          { class: "changes" },
          text.map((line) => h("li", null, line)),
        );
  const values = await confirmChange({ title, text: shown, action, isDangerous, fields });
  if (values === null) return null;
  const answer = await perform(values);
  say(done(answer), "done");
  return answer;
}

/**
 * Make a button that makes a change. An error is shown; without the right to it the button is disabled.
 *
 * @param {string} label
 * @param {object} options
 * @param {Word[]} options.words one of them is needed
 * @param {string | null} options.type the queue type of the target; null if the change holds for all types
 * @param {boolean} [options.isDangerous]
 * @param {string} [options.name] what the button is called for those who do not see where it stands
 * @param {() => Promise<unknown>} options.onClick
 * @returns {HTMLButtonElement}
 */
export function changeButton(label, { words, type, isDangerous = false, name, onClick }) {
  const className = isDangerous ? "plain risky" : "plain";
  const button = h("button", { type: "button", class: className, "aria-label": name }, label);
  const reason = refusal(words, type);
  if (reason !== null) return forbid(button, reason);
  button.addEventListener("click", async () => {
    // The dialog of a first click is modal; this keeps a second click away while the server works.
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await attempt(onClick);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  return button;
}

/**
 * Return why the token may not make a change, or null if it may.
 *
 * @param {Word[]} words one of them is needed
 * @param {string | null} type null if the change holds for all types
 * @returns {string | null}
 */
export function refusal(words, type) {
  const { name, types } = presentCaller();
  if (type === null && types !== null)
    return `The token ${name} covers some types only, and this holds for all of them.`;
  const reasons = words.map((word) => whyNot(word, type ?? undefined));
  return reasons.includes(null) ? null : (reasons[0] ?? null);
}

/**
 * Disable a button and say why. It keeps its place in the order of the keyboard, so that the reason can be read there.
 *
 * @param {HTMLButtonElement} button
 * @param {string} reason
 * @returns {HTMLButtonElement}
 */
export function forbid(button, reason) {
  const id = freshId("reason");
  button.setAttribute("aria-disabled", "true");
  button.setAttribute("aria-describedby", id);
  button.title = reason;
  button.append(h("span", { class: "unseen", id, "aria-hidden": "true" }, reason));
  button.addEventListener("click", (event) => {
    event.preventDefault();
    say(reason, "failed");
  });
  return button;
}

/**
 * Do something, and say the error that ends it.
 *
 * @param {() => Promise<unknown>} action
 */
export async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (isAbort(error)) return;
    sayError(error);
    if (!(error instanceof ApiError)) throw error;
  }
}
