/** Writes values as JSON text, and refuses those that JSON would change or drop without a word. */
import { InvalidRequest } from "./errors.js";

/** JSON text that is sent as it is, as a payload, a result or a progress. Nothing checks that it is JSON. */
export class RawJson {
  constructor(readonly text: string) {}
}

/**
 * Return a value as JSON text.
 *
 * @param name - the name of the value in messages, such as `payload`.
 * @throws InvalidRequest: the value, or a part of it that the message names, is no JSON. Nothing was sent.
 */
export function jsonText(value: unknown, name: string): string {
  if (value instanceof RawJson) return value.text;
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    // Node does not say where a bigint is; everything else is a circle, or a nesting too deep.
    if (error instanceof TypeError && /BigInt/.test(error.message)) refuseUnfit(value, name);
    throw new InvalidRequest(`${name}: expected a JSON value: ${String(error)}`, { cause: error });
  }
  // It has no circle, since JSON.stringify came to an end.
  refuseUnfit(value, name);
  if (text === undefined) throw unfit(name, "an object whose toJSON returns nothing", "return a value");
  refuseHalves(text, name);
  return text;
}

/**
 * Return the fields of a request as JSON text. Unlike a payload, they hold no NaN and no infinity: JSON has null for
 * them, and null clears a setting or an expiry.
 *
 * @throws InvalidRequest: a number, which the message names, is none for JSON. Nothing was sent.
 */
export function fieldsText(fields: object): string {
  refuseLostNumbers(fields, "");
  const text = JSON.stringify(fields);
  refuseHalves(text, "request");
  return text;
}

/** Half a character of UTF-16, which JSON.stringify writes as an escape; whole ones stand for themselves. */
const HALF = /(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]/;

/** Throw InvalidRequest for a text with half a character: servers take none, nor any job in a call about many. */
function refuseHalves(text: string, name: string): void {
  if (text.includes("\\u") && HALF.test(text)) {
    throw unfit(
      name,
      "half a character (a lone surrogate)",
      "cut texts between characters, or use toWellFormed()",
    );
  }
}

/** Throw InvalidRequest for the first number in the fields of a request that JSON has no form for. */
export function refuseLostNumbers(fields: object, place: string): void {
  for (const [name, value] of Object.entries(fields) as [string, unknown][]) {
    const isLost = typeof value === "bigint" || (typeof value === "number" && !Number.isFinite(value));
    if (isLost) throw new InvalidRequest(`${place}${name}: expected a number that JSON has, got ${value}`);
    if (typeof value === "object" && value !== null) refuseLostNumbers(value, `${place}${name}.`);
  }
}

/**
 * Return a value as JSON text, as `jsonText`, and check the text of a RawJson, too: in a call about many jobs a broken one
 * would spoil all of them.
 */
export function checkedText(value: unknown, name: string): string {
  const text = jsonText(value, name);
  if (!(value instanceof RawJson)) return text;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new InvalidRequest(`${name}: expected a JSON text: ${String(error)}`, { cause: error });
  }
  refuseHalves(JSON.stringify(parsed), name);
  return text;
}

/** Throw InvalidRequest for the first part of a value that JSON has no form for. */
function refuseUnfit(value: unknown, name: string): void {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return;
    case "object":
      break;
    case "undefined":
      throw unfit(name, "undefined", "leave the property out, or use null");
    case "bigint":
      throw unfit(name, "a bigint", "send it as a string");
    default:
      throw unfit(name, `a ${typeof value}`, "send data only");
  }
  if (value === null) return;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
    throw unfit(name, `bytes (${value.constructor.name})`, 'encode them, such as with toString("base64")');
  }
  if (value instanceof Map || value instanceof Set) {
    throw unfit(name, `a ${value.constructor.name}`, "use an object or an array");
  }
  if ("toJSON" in value && typeof value.toJSON === "function") return;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) refuseUnfit(value[index], `${name}[${index}]`);
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    // Most values are plain, and need no name of their own.
    if (typeof item === "string" || typeof item === "number" || typeof item === "boolean") continue;
    refuseUnfit(item, `${name}.${key}`);
  }
}

function unfit(name: string, got: string, advice: string): InvalidRequest {
  return new InvalidRequest(`${name}: expected a JSON value, got ${got}: ${advice}`);
}
