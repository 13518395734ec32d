// Draws the hours of a week in which a window is open.

import { svg } from "../dom.js";
import { DAYS, weekSpans } from "../window_text.js";

const WIDTH = 288;
const ROW = 14;
const LEFT = 34;
const TOP = 14;
const MINUTE = WIDTH / 1440;

/**
 * Draw a week, a row for each day. The table beside it has the same as text.
 *
 * @param {import("../window_text.js").Range[]} open
 * @returns {SVGElement}
 */
export function weekChart(open) {
  const height = TOP + ROW * DAYS.length + 2;
  const hours = [0, 6, 12, 18, 24].map((hour) =>
    svg(
      "text",
      {
        x: LEFT + hour * 60 * MINUTE,
        y: 9,
        "text-anchor": hour === 24 ? "end" : "middle",
        class: "week-text",
      },
      String(hour),
    ),
  );
  const rows = weekSpans(open).map((spans, day) => {
    const y = TOP + day * ROW;
    return svg(
      "g",
      null,
      svg("text", { x: 0, y: y + 10, class: "week-text" }, DAYS[day] ?? ""),
      svg("rect", { x: LEFT, y: y + 1, width: WIDTH, height: ROW - 3, class: "week-closed", rx: 2 }),
      spans.map(({ begin, end }) =>
        svg("rect", {
          x: LEFT + begin * MINUTE,
          y: y + 1,
          width: (end - begin) * MINUTE,
          height: ROW - 3,
          class: "week-open",
          rx: 2,
        }),
      ),
    );
  });
  const box = `0 0 ${LEFT + WIDTH + 4} ${height}`;
  return svg(
    "svg",
    { viewBox: box, class: "week", role: "img", "aria-label": "Open hours of a week" },
    hours,
    rows,
  );
}
