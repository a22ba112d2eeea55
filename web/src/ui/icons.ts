/** The page's own icons, drawn on a grid of 24 with strokes of the text's colour. */

import { svg } from "./dom";

const PATHS = {
  microphone: "M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM6 11v1a6 6 0 0 0 12 0v-1M12 18v3M9 21h6",
  stop: "M8 8h8v8H8Z",
  play: "M8 5.5v13l10.5-6.5Z",
  speaker: "M4 10v4h3.5L12 18V6L7.5 10ZM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11",
  next: "M5 12h13M13 6.5l5.5 5.5-5.5 5.5",
  pencil: "M5 19l1-4L16 5l3 3L9 18ZM14 7l3 3",
  file: "M12 15V4M7.5 8.5 12 4l4.5 4.5M5 15v4h14v-4",
  moon: "M19 14.5A7.5 7.5 0 0 1 9.5 5a7.5 7.5 0 1 0 9.5 9.5Z",
  sun: "M12 8.2a3.8 3.8 0 1 0 0 7.6 3.8 3.8 0 0 0 0-7.6ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  list: "M4 6.5h16M4 12h16M4 17.5h16",
  card: "M4 6h16v12H4ZM8 14h5M8 10.5h8",
  download: "M12 4v11M7.5 10.5 12 15l4.5-4.5M5 19h14",
  bin: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5",
  warning: "M12 4 2.8 20h18.4ZM12 10v4.5M12 17.2v.3",
  chevron: "M7 10l5 5 5-5",
} as const;

export type Icon = keyof typeof PATHS;

export function icon(name: Icon): SVGSVGElement {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", class: `icon icon-${name}`, "aria-hidden": "true" },
    svg("path", { d: PATHS[name] }),
  );
}
