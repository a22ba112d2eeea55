/** The grade: how much nearer a take's sounds lie to natives' than to others': accent/grading/grade.py and take.py. */

import type { GradeCard } from "./card";
import type { Frames, Grade, Natives, Stretch, Verdict } from "./engine";
import { interpolate, mean, rint } from "./numbers";

const SMOOTH_FRAMES = 9; // of a triangle, 0.1 s wide at half its height: about a sound
const MOMENT_SECONDS = 0.1;
const STRETCHES = 3;
const LOW_PERCENT = 5;
const HIGH_PERCENT = 95;

/** Grades of a piece's frames of speech, and the frames' numbers. */
export interface Heard {
  values: ArrayLike<number>;
  places: number[];
}

/** A piece of a take: where it begins in the recording, and its frames' grades. */
export interface GradedPiece extends Heard {
  start: number;
}

/** Standard deviation of natives' grades for so many seconds of speech. */
function deviationFor(seconds: number, card: GradeCard): number {
  return Math.sqrt(card.between + card.within / Math.max(seconds, card.block_seconds));
}

/** Natives' grades for so many seconds of speech: the range of nine in ten of them, and their percentiles. */
export function natives(seconds: number, card: GradeCard): Natives {
  const deviation = deviationFor(seconds, card);
  const values = card.deviations.map((value) => card.centre + value * deviation);
  return { low: values[LOW_PERCENT], high: values[HIGH_PERCENT], values };
}

/** Student's t whose 97.5% lie below: by table, then by its expansion in 1 / n (Abramowitz and Stegun, 26.7.5). */
export function student(freedom: number, card: Pick<GradeCard, "student">): number {
  const place = freedom - 2;
  if (place < card.student.length) return card.student[place];
  const z = 1.959963984540054;
  const first = (z ** 3 + z) / 4;
  const second = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96;
  return z + first / freedom + second / freedom ** 2;
}

/**
 * Within the natives' range or above it, near it (the interval reaches it), or below; `likely` is whether the classifier
 * takes the take for the language at all, and is asked below the range alone.
 */
export function verdict(value: number, high: number, range: Natives, likely: boolean): Verdict {
  if (value >= range.low) return "within";
  if (high >= range.low) return "near";
  return likely ? "below" : "elsewhere";
}

/** The grade of a take from its frames' grades, of which at least one is needed. */
export function judge(values: ArrayLike<number>, card: GradeCard, likely: boolean): Grade {
  const seconds = values.length * card.frame_seconds;
  const value = mean(values);
  const blocks = split(values, Math.max(rint(seconds / card.block_seconds), 1)).map(mean);
  const error =
    blocks.length > 2
      ? Math.sqrt(variance(blocks) / blocks.length) * student(blocks.length - 1, card)
      : 4 * Math.sqrt(card.within / seconds);
  const range = natives(seconds, card);
  return {
    value,
    low: value - error,
    high: value + error,
    percentile: interpolate(
      (value - card.centre) / deviationFor(seconds, card),
      card.deviations,
      card.deviations.map((_, percent) => percent),
    ),
    verdict: verdict(value, value + error, range, likely),
    natives: range,
  };
}

/** numpy.array_split: so many parts of which the first are one longer. */
function split(values: ArrayLike<number>, count: number): number[][] {
  const all = Array.from(values);
  const short = Math.floor(all.length / count);
  const longer = all.length % count;
  let place = 0;
  return Array.from({ length: count }, (_, i) => all.slice(place, (place += short + (i < longer ? 1 : 0))));
}

/** Of a sample. */
function variance(values: number[]): number {
  const centre = mean(values);
  return values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1);
}

/** Frames' grades as weighted means over a triangle; what lies between their places is no speech and counts nothing. */
export function smooth({ values, places }: Heard): number[] {
  const half = (SMOOTH_FRAMES - 1) / 2;
  const at = new Map(places.map((place, i) => [place, values[i]]));
  return places.map((place) => {
    let sum = 0;
    let weights = 0;
    for (let offset = -half; offset <= half; offset++) {
      const value = at.get(place + offset);
      if (value === undefined) continue;
      sum += (half + 1 - Math.abs(offset)) * value;
      weights += half + 1 - Math.abs(offset);
    }
    return sum / weights;
  });
}

/** Up to three stretches that sounded less native than 95% of natives' frames, those that fall short by most first. */
export function leastNative(pieces: GradedPiece[], card: GradeCard): Stretch[] {
  const found = pieces.flatMap((piece) => leastOfPiece(piece, card));
  return found.sort((a, b) => b.lack - a.lack).map(({ start, end }) => ({ start, end })).slice(0, STRETCHES);
}

function leastOfPiece(piece: GradedPiece, card: GradeCard): (Stretch & { lack: number })[] {
  const { places, values, start } = piece;
  const smoothed = smooth(piece);
  const gap = Math.floor(SMOOTH_FRAMES / 2);
  const runs: number[][] = [];
  for (let i = 0; i < places.length; i++) {
    if (!(smoothed[i] < card.stretch)) continue;
    const run = runs.at(-1);
    if (run && places[i] - places[run[run.length - 1]] <= gap) run.push(i);
    else runs.push([i]);
  }
  return runs
    .filter((run) => places[run[run.length - 1]] - places[run[0]] >= gap)
    .map((run) => ({ run, short: run.reduce((sum, i) => sum + smoothed[i] - card.stretch, 0) }))
    .sort((a, b) => a.short - b.short)
    .slice(0, STRETCHES)
    .map(({ run }) => {
      const begin = start + places[run[0]] * card.frame_seconds;
      const end = start + (places[run[run.length - 1]] + 1) * card.frame_seconds;
      return { start: begin, end, lack: (card.stretch - mean(run.map((i) => values[i]))) * (end - begin) };
    });
}

/** The smoothed grade of every tenth of a second with speech in it; NaN where there is none. */
export function moments(pieces: GradedPiece[], card: GradeCard): Frames {
  const known: [number, number][] = pieces.flatMap((piece) => {
    const smoothed = smooth(piece);
    const tenths = new Map<number, number[]>();
    piece.places.forEach((place, i) => {
      const tenth = Math.floor((place * card.frame_seconds) / MOMENT_SECONDS + 1e-6);
      tenths.set(tenth, [...(tenths.get(tenth) ?? []), smoothed[i]]);
    });
    return Array.from(tenths, ([tenth, inside]): [number, number] => [piece.start + tenth * MOMENT_SECONDS, mean(inside)]);
  });
  const start = known.length ? known[0][0] : 0;
  const place = (seconds: number) => Math.round((seconds - start) / MOMENT_SECONDS);
  const values = new Float32Array(known.length ? place(known[known.length - 1][0]) + 1 : 0).fill(NaN);
  for (const [seconds, value] of known) values[place(seconds)] = value;
  return { start, step: MOMENT_SECONDS, values, limit: card.stretch, span: Math.max(card.centre - card.stretch, 1e-6) };
}

/** Log-odds of one class against all others. */
export function logOdds(logits: number[], temperature: number, target: number): number {
  const scaled = logits.map((logit) => logit / temperature);
  const highest = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - highest));
  const others = powers.reduce((sum, power, i) => (i === target ? sum : sum + power), 0);
  return Math.log(powers[target]) - Math.log(others);
}
