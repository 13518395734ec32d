// A form in the page. What the server objects to is shown beside the field that it names.

import { ApiError } from "../api.js";
import { h, setText } from "../dom.js";
import { FieldError } from "../field_error.js";
import { textOf } from "./notices.js";

/**
 * @typedef {object} Field
 * @property {string} name as the server names it in its messages, such as `retry.delay`
 * @property {string} label
 * @property {string} [hint]
 * @property {string} [value] at the beginning
 * @property {boolean} [isCode] a JSON text of several lines
 * @property {boolean} [isWide] takes the whole width
 * @property {boolean} [isRequired]
 * @property {boolean} [isFixed] shown, and not changed
 * @property {ReadonlyArray<readonly [string, string]>} [options] values and their labels, for a list to choose from
 * @property {ReadonlyArray<string>} [suggestions]
 */

let lastId = 0;

/**
 * Return an id that no other element has.
 *
 * @param {string} prefix
 */
export function freshId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/** One label with its input, its hint and its error. */
class Row {
  /** @param {Field} field */
  constructor(field) {
    this.name = field.name;
    this.filled = field.value ?? "";
    const id = freshId("field");
    this.input = control(field, id);
    this.input.value = this.filled;
    this.error = h("p", { class: "failure", id: `${id}-error`, hidden: true });
    const hint = h("p", { class: "hint", id: `${id}-hint` }, field.hint ?? "");
    this.described = field.hint ? `${id}-hint` : "";
    this.node = h(
      "div",
      { class: field.isWide || field.isCode ? "field field-wide" : "field" },
      h("label", { for: id }, field.label),
      this.input,
      ...(field.hint ? [hint] : []),
      this.error,
    );
    if (field.suggestions) this.node.append(suggestions(this.input, field.suggestions, id));
    this.complain("");
  }

  /** @param {string} text empty: no objection */
  complain(text) {
    this.error.textContent = text;
    this.error.hidden = text === "";
    this.input.toggleAttribute("aria-invalid", text !== "");
    if (text) this.input.setAttribute("aria-invalid", "true");
    const described = [this.described, text ? this.error.id : ""].filter(Boolean).join(" ");
    if (described) this.input.setAttribute("aria-describedby", described);
    else this.input.removeAttribute("aria-describedby");
  }
}

/**
 * @param {Field} field
 * @param {string} id
 * @returns {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement}
 */
function control(field, id) {
  const shared = { id, name: field.name, required: Boolean(field.isRequired) };
  if (field.options) {
    const options = field.options.map(([value, label]) => h("option", { value }, label));
    return /** @type {HTMLSelectElement} */ (h("select", shared, ...options));
  }
  const typed = { ...shared, readonly: Boolean(field.isFixed), autocomplete: "off", spellcheck: "false" };
  if (field.isCode) return /** @type {HTMLTextAreaElement} */ (h("textarea", { ...typed, rows: 6 }));
  return /** @type {HTMLInputElement} */ (h("input", { ...typed, type: "text" }));
}

/**
 * @param {HTMLElement} input
 * @param {ReadonlyArray<string>} values
 * @param {string} id
 */
function suggestions(input, values, id) {
  input.setAttribute("list", `${id}-list`);
  return h("datalist", { id: `${id}-list` }, ...values.map((value) => h("option", { value })));
}

/** A form: its node, its values and its objections. */
export class Form {
  /**
   * @param {object} parts
   * @param {ReadonlyArray<Field>} parts.fields
   * @param {string} parts.action the text of the button
   * @param {string} parts.label names the form for those who do not see it
   * @param {boolean} [parts.isInline] the button stands beside the one field, and its hint within it
   * @param {(values: Record<string, string>) => Promise<void>} parts.onSubmit an error that it throws is shown
   */
  constructor({ fields, action, label, isInline = false, onSubmit }) {
    this.rows = fields.map((field) => new Row(field));
    this.message = h("p", { class: "failure", role: "alert", hidden: true });
    this.button = /** @type {HTMLButtonElement} */ (
      h("button", { type: "submit", class: "primary" }, action)
    );
    this.fields = h("div", { class: "fields" }, ...this.rows.map((row) => row.node));
    this.foot = h("div", { class: "form-foot" }, this.button);
    this.node = /** @type {HTMLFormElement} */ (
      h(
        "form",
        { class: isInline ? "form inline" : "form", "aria-label": label, novalidate: true },
        this.fields,
        this.message,
        this.foot,
      )
    );
    if (isInline) for (const row of this.rows) this.#inline(row);
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit(onSubmit);
    });
  }

  /** @param {Row} row */
  #inline({ input, node, error }) {
    const hint = node.querySelector(".hint");
    hint?.classList.replace("hint", "unseen");
    input.setAttribute("placeholder", hint?.textContent ?? "");
    // Below field and button, so that the two stay in line.
    this.node.append(error);
  }

  /** Return the present values by the names of their fields. */
  values() {
    return Object.fromEntries(this.rows.map((row) => [row.name, row.input.value.trim()]));
  }

  /**
   * Show newer values in the fields that the user has not touched.
   *
   * @param {Record<string, string>} values
   */
  refresh(values) {
    for (const row of this.rows) {
      const value = values[row.name];
      if (value === undefined) continue;
      if (row.input.value === row.filled && row.input !== document.activeElement) row.input.value = value;
      row.filled = value;
    }
  }

  /**
   * Show these values in place of what the user has typed.
   *
   * @param {Record<string, string>} values
   */
  fill(values) {
    for (const row of this.rows) {
      row.filled = values[row.name] ?? row.filled;
      row.input.value = row.filled;
    }
    this.clearErrors();
  }

  clearErrors() {
    for (const row of this.rows) row.complain("");
    this.message.hidden = true;
  }

  /**
   * Show an error beside the field that it names, or else below all fields.
   *
   * @param {unknown} error
   */
  complain(error) {
    this.clearErrors();
    if (isAbort(error)) return;
    const { field, text } = objection(error);
    const row = this.#rowOf(field);
    if (row === undefined) {
      this.message.hidden = false;
      setText(this.message, textOf(error));
      return;
    }
    row.complain(row.name === field ? text : `${field}: ${text}`);
    row.input.focus();
  }

  /**
   * Return the row of a field, or of what encloses it: `job.rate` may be typed into the field `job`.
   *
   * @param {string} field
   */
  #rowOf(field) {
    let name = field;
    while (name) {
      const row = this.rows.find((candidate) => candidate.name === name);
      if (row) return row;
      const outer = name.replace(/(\.?[^.[\]]+|\[\d*\]?)$/, "");
      if (outer === name) break;
      name = outer;
    }
    return undefined;
  }

  /** @param {(values: Record<string, string>) => Promise<void>} onSubmit */
  async #submit(onSubmit) {
    if (this.button.disabled || this.node.getAttribute("aria-busy") === "true") return;
    this.clearErrors();
    this.node.setAttribute("aria-busy", "true");
    try {
      await onSubmit(this.values());
    } catch (error) {
      this.complain(error);
    } finally {
      this.node.removeAttribute("aria-busy");
    }
  }
}

/**
 * Return the field that an error names, empty for none, and what it says.
 *
 * @param {unknown} error
 * @returns {{field: string, text: string}}
 */
export function objection(error) {
  if (error instanceof FieldError) return { field: error.field, text: error.message };
  if (!(error instanceof ApiError)) throw error;
  const named = error.status === 400 ? /^([a-z_]+(?:[.[][a-z_\d.[\]]*)?): ([^]*)$/.exec(error.message) : null;
  if (named) return { field: named[1] ?? "", text: named[2] ?? "" };
  return { field: "", text: error.message };
}

/**
 * Tell if a call ended because its view was left.
 *
 * @param {unknown} error
 */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}
