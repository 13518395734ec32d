// Draws a figure with the small line of its last minutes.

import { assign, h, setText, svg } from "../dom.js";
import { areaPath, largest, linear, linePath } from "../scales.js";

const WIDTH = 120;
const HEIGHT = 30;

/** Points that a line keeps: five minutes of one point every two seconds. */
const MOST_POINTS = 150;

/**
 * @typedef {import("../scales.js").Point} Point
 * @typedef {object} Figure
 * @property {HTMLElement} node
 * @property {(points: Point[]) => void} seed sets what is known from before; only the first call counts
 * @property {(at: number, value: number | null, note?: string, tone?: string) => void} add adds the present value
 */

/**
 * Make a figure: a label, the present value, what it means, and a line of the values before.
 *
 * @param {object} options
 * @param {string} options.label
 * @param {(value: number | null) => string} options.format
 * @param {string} [options.href] where the figure leads to
 * @param {string} [options.title] explains it
 * @returns {Figure}
 */
export function figure({ label, format, href, title }) {
  /** @type {Point[]} */
  const points = [];
  const area = svg("path", { class: "spark-area" });
  const line = svg("path", { class: "spark-line" });
  const spark = svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    area,
    line,
  );
  const text = h("strong", { class: "figure-value" }, format(null));
  const under = h("span", { class: "figure-note" });
  const content = [h("span", { class: "figure-label" }, label), text, under, spark];
  const node = h("li", { class: "figure", title }, href === undefined ? content : h("a", { href }, content));

  return {
    node,
    seed(before) {
      if (points.length === 0) points.push(...before);
    },
    add(at, value, note = "", tone = "") {
      points.push({ at, value });
      if (points.length > MOST_POINTS) points.shift();
      setText(text, format(value));
      setText(under, note);
      assign(node, { "data-tone": tone === "" ? null : tone });
      const x = linear(points[0]?.at ?? at, at, 0, WIDTH);
      // A line of small numbers stays small: it is not blown up to the height of the figure.
      const y = linear(0, Math.max(largest(points), 1) * 1.1, HEIGHT - 1, 1);
      assign(area, { d: areaPath(points, x, y) });
      assign(line, { d: linePath(points, x, y) });
    },
  };
}
