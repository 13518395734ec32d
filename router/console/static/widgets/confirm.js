// Asks once more before a change.

import { h } from "../dom.js";

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {"text" | "number" | "checkbox" | "select" | "textarea" | "datetime-local"} [type] a text if left out
 * @property {string | number | boolean | null} [value]
 * @property {{value: string, label: string}[]} [options] of a select
 * @property {string} [hint] what is allowed
 * @property {boolean} [isRequired]
 * @property {number} [min]
 * @property {number} [max]
 * @property {number | "any"} [step]
 * @property {string} [pattern]
 * @property {string} [placeholder]
 * @property {boolean} [isPaired] stands beside another paired field, if there is room
 */

/**
 * Show a dialog that says what a change will do, and wait for the answer.
 *
 * @param {object} question
 * @param {string} question.title such as `Pause the queue acme?`
 * @param {string | Node} question.text what the change affects, with numbers where they are known
 * @param {string} question.action the label of the button that does it, such as `Pause`
 * @param {boolean} [question.isDangerous] it cannot be undone
 * @param {Field[]} [question.fields]
 * @returns {Promise<Record<string, string | boolean> | null>} the fields' values by name, a boolean of a checkbox; null
 *     if the reader does not want it
 */
export function confirmChange({ title, text, action, isDangerous = false, fields = [] }) {
  return new Promise((resolve) => {
    const inputs = fields.map((field) => ({ field, input: inputOf(field) }));
    const opener = document.activeElement;
    /** @type {Record<string, string | boolean> | null} */
    let answer = null;
    const cancel = h("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Cancel");
    const form = h(
      "form",
      {
        class: "dialog-form",
        onsubmit: (/** @type {SubmitEvent} */ event) => {
          event.preventDefault();
          answer = Object.fromEntries(inputs.map(({ field, input }) => [field.name, valueOf(input)]));
          dialog.close();
        },
      },
      h("h2", { id: "dialog-title" }, title),
      h(
        "div",
        { id: "dialog-text", class: "dialog-text" },
        typeof text === "string" ? h("p", null, text) : text,
      ),
      inputs.map(({ field, input }) => labelled(field, input)),
      h(
        "div",
        { class: "dialog-actions" },
        cancel,
        h("button", { type: "submit", class: isDangerous ? "danger" : "primary" }, action),
      ),
    );
    const dialog = h(
      "dialog",
      { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text" },
      form,
    );
    const leave = () => dialog.close();
    dialog.addEventListener("close", () => {
      window.removeEventListener("hashchange", leave);
      dialog.remove();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
      resolve(answer);
    });
    // A view that is left takes its question with it.
    window.addEventListener("hashchange", leave, { once: true });
    document.body.append(dialog);
    dialog.showModal();
    // What cannot be undone needs a second thought: Enter alone cancels it.
    if (isDangerous && inputs.length === 0) cancel.focus();
  });
}

/**
 * @param {Field} field
 * @returns {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement}
 */
function inputOf(field) {
  const type = field.type ?? "text";
  const shared = {
    id: `field-${field.name}`,
    name: field.name,
    required: field.isRequired === true,
    "aria-describedby": field.hint === undefined ? null : `hint-${field.name}`,
  };
  const value = field.value ?? "";
  if (type === "select") {
    const options = field.options ?? [];
    const chosen = String(value);
    return h(
      "select",
      shared,
      options.map((option) => h("option", { ...option, selected: option.value === chosen }, option.label)),
    );
  }
  if (type === "textarea") return h("textarea", { ...shared, rows: 6, spellcheck: "false" }, String(value));
  if (type === "checkbox") return h("input", { ...shared, type, checked: value === true });
  const { min, max, step, pattern, placeholder } = field;
  return h("input", {
    ...shared,
    type,
    value: String(value),
    min,
    max,
    step,
    pattern,
    placeholder,
    autocomplete: "off",
  });
}

/**
 * @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} input
 * @returns {string | boolean}
 */
function valueOf(input) {
  return input instanceof HTMLInputElement && input.type === "checkbox" ? input.checked : input.value.trim();
}

/**
 * @param {Field} field
 * @param {HTMLElement} input
 * @returns {HTMLElement}
 */
function labelled(field, input) {
  const label = h("label", { for: input.id }, field.label);
  const hint =
    field.hint === undefined ? null : h("p", { class: "hint", id: `hint-${field.name}` }, field.hint);
  if (field.type === "checkbox")
    return h("div", { class: "field" }, h("div", { class: "check" }, input, label), hint);
  return h("div", { class: field.isPaired ? "field field-pair" : "field" }, label, input, hint);
}
