// An objection to one field of a form.

/** A mistake in a field that the page finds before it asks the server. */
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
