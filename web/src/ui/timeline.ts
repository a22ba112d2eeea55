/** The take in time: its waveform, coloured by the grade of each moment, with a playhead that mouse and keys move. */

import type { Frames, Sound, Stretch } from "../engine/engine";
import type { Texts } from "../text/en";
import type { Numbers } from "../text/texts";
import { colour, h, onResize } from "./dom";

const BAR = 3; // px
const GAP = 1.5;
const STEP = 0.1; // s that an arrow key moves
const HEIGHT = 96;

export interface Timeline {
  element: HTMLElement;
  seek(seconds: number | null): void; // where the sound is
  mark(stretch: Stretch | null): void; // what is chosen
}

/** How little native a sound is: 0 like natives' sounds, 1 as far below their lowest as that is below their mean. */
export function weakness(value: number, { limit, span }: Frames): number {
  return Math.min(Math.max((limit - value) / span, 0), 1);
}

export function timeline(
  sound: Sound,
  frames: Frames | null,
  weak: Stretch[],
  say: Texts,
  numbers: Numbers,
  playFrom: (seconds: number) => void,
): Timeline {
  const samples = sound.channels[0];
  const duration = samples.length / sound.rate;
  const canvas = h("canvas", { "aria-hidden": "true" });
  let cursor = 0;
  let playing: number | null = null;
  let marked: Stretch | null = null;

  const describe = weak
    .map(
      (stretch) =>
        `${say.leastNative}: ${say.stretch(numbers.number(stretch.start, 1), numbers.number(stretch.end, 1))}`,
    )
    .join(". ");
  const element = h(
    "div",
    {
      class: "timeline",
      role: "slider",
      tabindex: 0,
      "aria-label": [say.timeline, describe, say.timelineHelp].filter(Boolean).join(". "),
      "aria-valuemin": 0,
      "aria-valuemax": duration.toFixed(1),
      title: say.timelineHelp,
      onclick: (event: MouseEvent) => {
        const box = canvas.getBoundingClientRect();
        move(((event.clientX - box.left) / box.width) * duration);
        playFrom(cursor);
      },
      onkeydown: (event: KeyboardEvent) => {
        const to = {
          ArrowLeft: cursor - STEP,
          ArrowDown: cursor - STEP,
          ArrowRight: cursor + STEP,
          ArrowUp: cursor + STEP,
          PageDown: cursor - 10 * STEP,
          PageUp: cursor + 10 * STEP,
          Home: 0,
          End: duration,
        }[event.key];
        if (to !== undefined) move(to);
        else if (event.key === "Enter") playFrom(cursor);
        else return;
        event.preventDefault();
      },
    },
    canvas,
  );

  function move(seconds: number): void {
    cursor = Math.min(Math.max(seconds, 0), duration);
    element.setAttribute("aria-valuenow", cursor.toFixed(1));
    element.setAttribute("aria-valuetext", say.timelineAt(numbers.number(cursor, 1)));
    draw();
  }

  function valueAt(seconds: number): number {
    if (!frames) return NaN;
    return frames.values[Math.floor((seconds - frames.start) / frames.step)] ?? NaN;
  }

  function draw(): void {
    const width = element.clientWidth;
    if (!width) return;
    const density = window.devicePixelRatio || 1;
    canvas.width = width * density;
    canvas.height = HEIGHT * density;
    const context = canvas.getContext("2d")!;
    context.scale(density, density);
    const inX = (seconds: number) => (seconds / duration) * width;
    if (marked) {
      context.fillStyle = colour("mark");
      context.beginPath();
      context.roundRect(inX(marked.start) - 2, 0, inX(marked.end - marked.start) + 4, HEIGHT, 6);
      context.fill();
    }
    const [strong, faint, warm] = [colour("accent"), colour("faint"), colour("warm")];
    const bars = Math.floor(width / (BAR + GAP));
    const perBar = samples.length / bars;
    let loudest = 0;
    const levels = Array.from({ length: bars }, (_, bar) => {
      let sum = 0;
      const [first, last] = [Math.floor(bar * perBar), Math.floor((bar + 1) * perBar)];
      const step = Math.max(1, Math.floor((last - first) / 400));
      let count = 0;
      for (let i = first; i < last; i += step, count++) sum += samples[i] ** 2;
      const level = Math.sqrt(sum / Math.max(count, 1));
      loudest = Math.max(loudest, level);
      return level;
    });
    for (const [bar, level] of levels.entries()) {
      const value = valueAt(((bar + 0.5) / bars) * duration);
      const weak = frames && !Number.isNaN(value) ? weakness(value, frames) : 0;
      context.fillStyle = Number.isNaN(value) ? faint : weak > 0 ? warm : strong;
      context.globalAlpha = weak > 0 ? 0.55 + 0.45 * weak : 1;
      const height = Math.max(BAR, 0.9 * HEIGHT * (level / (loudest || 1)) ** 0.7);
      context.beginPath();
      context.roundRect(bar * (BAR + GAP), (HEIGHT - height) / 2, BAR, height, BAR / 2);
      context.fill();
    }
    context.globalAlpha = 1;
    context.fillStyle = colour("ink");
    context.fillRect(inX(playing ?? cursor) - 0.75, 0, 1.5, HEIGHT);
  }

  onResize(element, draw);
  move(0);
  return {
    element,
    seek(seconds) {
      if (seconds === null && playing !== null) cursor = playing;
      playing = seconds;
      draw();
    },
    mark(stretch) {
      marked = stretch;
      if (stretch) move(stretch.start);
      else draw();
    },
  };
}
