// Draws values over time as SVG, with a table as the alternative in text.

import { assign, h, replace, setText, svg } from "../dom.js";
import { clock } from "../format.js";
import { areaPath, largest, linear, linePath, pointAt, timeTicks } from "../scales.js";

/**
 * @typedef {import("../scales.js").Point} Point
 * @typedef {{value: number, text: string}} Level of the axis of values
 * @typedef {object} Series
 * @property {string} label
 * @property {"promised" | "delivered" | "enqueued"} look
 * @property {Point[]} points by time
 * @typedef {{series: Series[], from: number, to: number}} Drawing the window of time, in ms since the epoch
 * @typedef {{top: number, right: number, bottom: number, left: number}} Margin
 */

const HEIGHT = 220;
const MARGIN = { top: 12, right: 10, bottom: 24, left: 56 };
const PX_PER_TICK = 90;
const ROWS_OF_TABLE = 20;

/**
 * Make a chart of lines over time.
 *
 * @param {object} options
 * @param {string} options.title says what the chart shows
 * @param {(value: number | null) => string} options.format writes a value with its unit
 * @param {(largest: number) => Level[]} options.levelsOf returns the levels of the axis, from 0 to at least a value
 * @param {Series[]} [options.series]
 * @param {number} [options.from]
 * @param {number} [options.to]
 * @returns {{node: HTMLElement, update: (drawing: Drawing) => void}} `update` draws anew, and reuses the nodes
 */
export function lineChart({
  title,
  format,
  levelsOf,
  series = [],
  from = Date.now() - 600_000,
  to = Date.now(),
}) {
  /** @type {Drawing} */
  let drawing = { series, from, to };
  /** @type {number | null} */
  let pointerAt = null;
  let width = 640;
  const grid = svg("g", { class: "chart-grid" });
  const marks = svg("g");
  const cursor = svg("line", { class: "chart-cursor", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom });
  const picture = svg(
    "svg",
    { class: "chart-picture", role: "img", "aria-label": title, height: HEIGHT },
    grid,
    marks,
    cursor,
  );
  const legend = h("ul", { class: "legend" });
  const moment = h("span", { class: "legend-time" });
  const values = h("div", {
    class: "chart-values",
    tabindex: "0",
    role: "region",
    "aria-label": `${title}, as a table`,
  });
  const alternative = h("details", { class: "chart-table" }, h("summary", null, "As a table"), values);
  const node = h(
    "figure",
    { class: "chart" },
    h("div", { class: "chart-head" }, legend, moment),
    picture,
    alternative,
  );

  function draw() {
    const x = linear(drawing.from, drawing.to, MARGIN.left, width - MARGIN.right);
    const top = Math.max(...drawing.series.map((line) => largest(line.points)), 0);
    const levels = levelsOf(top * 1.05);
    const y = linear(
      0,
      /** @type {number} */ (levels[levels.length - 1]?.value),
      HEIGHT - MARGIN.bottom,
      MARGIN.top,
    );
    assign(picture, { viewBox: `0 0 ${width} ${HEIGHT}`, width });
    replace(
      grid,
      levels.map((level) => levelLine(level, y(level.value), width)),
      timeAxis(drawing, x, width),
    );
    replace(
      marks,
      drawing.series.map((line) => shape(line, x, y)),
    );
    const at = pointerAt === null ? null : drawing.from + pointerAt * (drawing.to - drawing.from);
    assign(cursor, { x1: x(at ?? 0), x2: x(at ?? 0), visibility: at === null ? "hidden" : "visible" });
    setText(moment, at === null ? "" : clock(at));
    replace(
      legend,
      drawing.series.map((line) => legendItem(line, at ?? drawing.to, format)),
    );
    assign(picture, { "aria-label": `${title}. ${legend.textContent}` });
    if (alternative.open) replace(values, tableOf(title, drawing, format));
  }

  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const inner = box.width - MARGIN.left - MARGIN.right;
    pointerAt = Math.min(1, Math.max(0, (event.clientX - box.left - MARGIN.left) / inner));
    draw();
  });
  picture.addEventListener("pointerleave", () => {
    pointerAt = null;
    draw();
  });
  alternative.addEventListener("toggle", draw);
  // The observer goes with its node.
  new ResizeObserver(([entry]) => {
    const present = Math.round(entry?.contentRect.width ?? 0);
    if (present > 0 && present !== width) {
      width = present;
      draw();
    }
  }).observe(node);
  draw();
  return {
    node,
    update(next) {
      drawing = next;
      draw();
    },
  };
}

/**
 * @param {Level} level
 * @param {number} y
 * @param {number} width
 */
function levelLine({ value, text }, y, width) {
  return [
    svg("line", {
      x1: MARGIN.left,
      x2: width - MARGIN.right,
      y1: y,
      y2: y,
      class: value === 0 ? "chart-base" : null,
    }),
    svg("text", { x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" }, text),
  ];
}

/**
 * @param {Drawing} drawing
 * @param {(at: number) => number} x
 * @param {number} width
 */
function timeAxis({ from, to }, x, width) {
  const most = Math.max(2, Math.floor(width / PX_PER_TICK));
  const moments = timeTicks(from, to, most).filter((at) => x(at) > MARGIN.left + 12 && x(at) < width - 20);
  return moments.map((at) =>
    svg("text", { x: x(at), y: HEIGHT - 6, "text-anchor": "middle" }, clock(at, { withSeconds: false })),
  );
}

/**
 * @param {Series} line
 * @param {(at: number) => number} x
 * @param {(value: number) => number} y
 */
function shape({ look, points }, x, y) {
  const path = svg("path", { class: `line line-${look}`, d: linePath(points, x, y) });
  if (look !== "delivered") return [path];
  return [svg("path", { class: `area area-${look}`, d: areaPath(points, x, y) }), path];
}

/**
 * @param {Series} line
 * @param {number} at
 * @param {(value: number | null) => string} format
 */
function legendItem({ look, label, points }, at, format) {
  const swatch = svg(
    "svg",
    { width: 22, height: 10, "aria-hidden": "true" },
    svg("path", { class: `line line-${look}`, d: "M1 5H21" }),
  );
  return h("li", null, swatch, `${label} `, h("strong", null, format(pointAt(points, at)?.value ?? null)));
}

/**
 * @param {string} title
 * @param {Drawing} drawing
 * @param {(value: number | null) => string} format
 */
function tableOf(title, { series, from, to }, format) {
  const step = (to - from) / ROWS_OF_TABLE;
  const moments = Array.from({ length: ROWS_OF_TABLE }, (_, index) => to - index * step);
  return h(
    "table",
    null,
    h("caption", { class: "unseen" }, title),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        h("th", { scope: "col" }, "Time"),
        series.map(({ label }) => h("th", { scope: "col", class: "number" }, label)),
      ),
    ),
    h(
      "tbody",
      null,
      moments.map((at) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, clock(at)),
          series.map(({ points }) =>
            h("td", { class: "number" }, format(pointAt(points, at)?.value ?? null)),
          ),
        ),
      ),
    ),
  );
}
