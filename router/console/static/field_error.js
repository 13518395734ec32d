// An objection to one field of a form.

/** What the page finds wrong with a field before the server is asked. */
export class FieldError extends Error {
  /**
   * @param {string} field as the server names it in its messages, such as `retry.delay`
   * @param {string} message
   */
  constructor(field, message) {
    super(message);
    this.name = "FieldError";
    this.field = field;
  }
}
