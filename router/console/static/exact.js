// JSON whose numbers stay as they were written.
//
// JSON.parse rounds integers above 2^53 and turns 1.0 into 1. The payload of a job is shown, and a schedule's is sent
// back, digit by digit.

/**
 * @typedef {{source?: string}} Context
 * @typedef {{rawJSON?: (text: string) => unknown, isRawJSON?: (value: unknown) => boolean}} RawJson
 */

const MAX_LINE = 100;

const raw = /** @type {RawJson} */ (/** @type {unknown} */ (JSON));

/**
 * Parse JSON, and keep each number that would change as a raw JSON value.
 *
 * Browsers without JSON.rawJSON give plain numbers.
 *
 * @param {string} text
 * @returns {any}
 * @throws {SyntaxError} if the text is not JSON
 */
export function parseExactly(text) {
  const keep = raw.rawJSON;
  if (keep === undefined) return JSON.parse(text);
  const revive = (
    /** @type {string} */ _key,
    /** @type {unknown} */ value,
    /** @type {Context} */ context,
  ) =>
    typeof value === "number" && context?.source !== undefined && context.source !== String(value)
      ? keep.call(JSON, context.source)
      : value;
  return JSON.parse(text, /** @type {(key: string, value: any) => any} */ (/** @type {unknown} */ (revive)));
}

/**
 * Return a value of parseExactly as indented JSON; a short list of numbers is one line.
 *
 * @param {unknown} value
 * @returns {string}
 */
export function writeExactly(value) {
  const text = JSON.stringify(value, null, 2);
  // A list of numbers is easier to read in one line. No string has a real line break, so that this changes none.
  return text.replace(/\[\n([^[\]{}"]*)\n *\]/g, (lines, /** @type {string} */ items) => {
    const line = `[${items.trim().replace(/,\s+/g, ", ")}]`;
    return line.length <= MAX_LINE ? line : lines;
  });
}

/**
 * Return a parser that keeps the numbers of some members of an object exactly.
 *
 * @param {...string} names
 * @returns {(text: string) => any}
 */
export function exactMembers(...names) {
  return (text) => {
    const plain = JSON.parse(text);
    const exact = parseExactly(text);
    for (const name of names) if (Object.hasOwn(plain, name)) plain[name] = exact[name];
    return plain;
  };
}
