/** The one picture of a result: the take as a dot among the natives' dots. */

import type { Grade, Natives } from "../engine/engine";
import type { Texts } from "../text/en";
import { svg } from "./dom";

const MAX_WIDTH = 640; // px
const HEIGHT = 142;
const BASE = 84; // the line on which the dots lie
const RADIUS = 3.4;
const SIDE = 18;

/** Wide enough for all natives and the take, in the unit of the grade. */
function scale(natives: Natives, grade: Grade, width: number): (value: number) => number {
  const ends = [...natives.values, grade.value];
  const low = Math.min(...ends);
  const high = Math.max(...ends);
  const margin = 0.04 * (high - low || 1);
  const clamp = (value: number) => Math.min(Math.max(value, low - margin), high + margin);
  return (value) => SIDE + ((clamp(value) - low + margin) / (high - low + 2 * margin)) * (width - 2 * SIDE);
}

export function strip(grade: Grade, say: Texts): SVGSVGElement {
  const { natives } = grade;
  const width = Math.min(MAX_WIDTH, document.documentElement.clientWidth - 32);
  const x = scale(natives, grade, width);
  const heights = new Map<number, number>(); // dots already in a column
  const dots = natives.values.map((value) => {
    const column = Math.round(x(value) / (2 * RADIUS));
    const level = heights.get(column) ?? 0;
    heights.set(column, level + 1);
    const y = BASE - RADIUS - Math.min(level, 10) * 1.9 * RADIUS;
    return svg("circle", { cx: column * 2 * RADIUS, cy: y, r: RADIUS - 0.6, class: "native" });
  });
  const [left, right] = [x(natives.low), x(natives.high)];
  const place = x(grade.value);
  const [low, high] = [x(grade.low), x(grade.high)];
  const labelX = Math.min(Math.max(place, 40), width - 40);
  return svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${HEIGHT}`,
      class: "strip",
      role: "img",
      "aria-label": say.stripLabel(say.place(grade.percentile)),
    },
    svg("rect", { x: left, y: 10, width: right - left, height: BASE - 10, rx: 8, class: "range" }),
    svg("line", { x1: SIDE / 2, x2: width - SIDE / 2, y1: BASE, y2: BASE, class: "axis" }),
    ...dots,
    svg("line", { x1: low, x2: high, y1: BASE, y2: BASE, class: "interval" }),
    svg("circle", { cx: place, cy: BASE, r: 9, class: `take ${grade.verdict}` }),
    svg("text", { x: labelX, y: BASE + 27, class: "you", "text-anchor": "middle" }, say.stripYou),
    svg("text", { x: (left + right) / 2, y: 26, class: "label", "text-anchor": "middle" }, say.stripNatives),
    svg("text", { x: SIDE / 2, y: HEIGHT - 4, class: "label" }, `← ${say.stripLess}`),
    svg("text", { x: width - SIDE / 2, y: HEIGHT - 4, class: "label", "text-anchor": "end" }, `${say.stripMore} →`),
  );
}
