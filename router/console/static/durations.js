// Durations as people write them, such as "30 s" or "1.5 h", and the milliseconds of the API.

/** @type {ReadonlyArray<readonly [string, number]>} */
const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
  ["ms", 1],
];

export const DURATION_HINT = "such as 250 ms, 30 s, 5 min, 2 h or 1 d";

/**
 * Return the milliseconds of a written duration; null if it cannot be read. A number alone counts as milliseconds.
 *
 * @param {string} text
 * @returns {number | null}
 */
export function readDuration(text) {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?\s*$/.exec(text);
  if (match === null) return null;
  const unit = match[2] === "m" ? "min" : (match[2] ?? "ms");
  const factor = UNITS.find(([name]) => name === unit)?.[1] ?? 1;
  // Six decimals of a millisecond are finer than the server's microsecond, and hide what binary fractions add.
  const ms = Number((Number(match[1]) * factor).toFixed(6));
  return Number.isFinite(ms) ? ms : null;
}

/**
 * Return a duration in the largest unit in which it needs at most two decimals.
 *
 * @param {number} ms
 * @returns {string}
 */
export function writeDuration(ms) {
  for (const [unit, factor] of UNITS) {
    const value = ms / factor;
    if (value >= 1 && Number(value.toFixed(2)) * factor === ms) return `${Number(value.toFixed(2))} ${unit}`;
  }
  return `${ms} ms`;
}
