// Computes the geometry of charts: scales, ticks and paths. Pure, and tested without a browser.

/**
 * @typedef {{at: number, value: number | null}} Point at a time, ms since the epoch; null breaks the line
 * @typedef {(value: number) => number} Scale
 */

const MINUTE_MS = 60_000;

/**
 * Return the linear scale from one range to another.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} start where `from` is drawn
 * @param {number} end where `to` is drawn
 * @returns {Scale}
 */
export function linear(from, to, start, end) {
  const span = to - from;
  return span === 0 ? () => start : (value) => start + ((value - from) / span) * (end - start);
}

/**
 * Return round numbers from 0 to at least a largest value, in steps of 1, 2 or 5 times a power of ten.
 *
 * @param {number} largest
 * @param {number} [steps] about how many
 * @returns {number[]} at least 0 and one more
 */
export function ticks(largest, steps = 4) {
  if (!(largest > 0)) return [0, 1];
  const rough = largest / steps;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size =
    [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999) ?? 10 * power;
  const number = Math.ceil(largest / size - 1e-9);
  return Array.from({ length: number + 1 }, (_, index) => Number((index * size).toPrecision(12)));
}

/**
 * Return the moments to be named on an axis of time: whole minutes, or a round number of them.
 *
 * @param {number} from ms since the epoch
 * @param {number} to
 * @param {number} most how many there may be
 * @returns {number[]}
 */
export function timeTicks(from, to, most) {
  const minutes = (to - from) / MINUTE_MS;
  const step = [1, 2, 5, 10, 15, 30, 60].find((size) => minutes / size <= most) ?? 60;
  const first = Math.ceil(from / (step * MINUTE_MS)) * step * MINUTE_MS;
  const moments = [];
  for (let at = first; at <= to; at += step * MINUTE_MS) moments.push(at);
  return moments;
}

/**
 * Return the path of a line, with gaps where the value is null.
 *
 * @param {Point[]} points by time
 * @param {Scale} x
 * @param {Scale} y
 * @returns {string} the attribute `d`
 */
export function linePath(points, x, y) {
  let isDrawing = false;
  let path = "";
  for (const { at, value } of points) {
    if (value === null) {
      isDrawing = false;
      continue;
    }
    path += `${isDrawing ? "L" : "M"}${round(x(at))} ${round(y(value))}`;
    isDrawing = true;
  }
  return path;
}

/**
 * Return the path of the area between a line and the axis.
 *
 * @param {Point[]} points by time
 * @param {Scale} x
 * @param {Scale} y
 * @returns {string} the attribute `d`
 */
export function areaPath(points, x, y) {
  return runs(points)
    .map((run) => {
      const first = /** @type {Point} */ (run[0]);
      const last = /** @type {Point} */ (run[run.length - 1]);
      return `${linePath(run, x, y)}L${round(x(last.at))} ${round(y(0))}L${round(x(first.at))} ${round(y(0))}Z`;
    })
    .join("");
}

/**
 * Return the points of a stair: each value holds until the next point.
 *
 * @param {Point[]} points by time
 * @param {number} end when the last value ends
 * @returns {Point[]}
 */
export function stair(points, end) {
  return points.flatMap((point, index) => [point, { at: points[index + 1]?.at ?? end, value: point.value }]);
}

/**
 * Return the point that holds at a time: the last one that is not later.
 *
 * @param {Point[]} points by time
 * @param {number} at
 * @returns {Point | null}
 */
export function pointAt(points, at) {
  return points.findLast((point) => point.at <= at) ?? points[0] ?? null;
}

/**
 * Return the largest value, or 0.
 *
 * @param {Point[]} points
 * @returns {number}
 */
export function largest(points) {
  return points.reduce((most, { value }) => (value !== null && value > most ? value : most), 0);
}

/**
 * @param {Point[]} points
 * @returns {Point[][]} the stretches without a gap
 */
function runs(points) {
  /** @type {Point[][]} */
  const found = [[]];
  for (const point of points) {
    if (point.value === null) found.push([]);
    else found[found.length - 1]?.push(point);
  }
  return found.filter((run) => run.length > 0);
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 10) / 10;
}
