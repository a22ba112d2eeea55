/** Where the words of one of our own sentences are in a take: accent/grading/words.py, with readings made at build time. */

import type { GradeCard } from "./card";
import type { Word } from "./engine";
import { type GradedPiece, natives } from "./grade";
import { deviation, mean, rint } from "./numbers";

/** accent/page/readings.py. */
export interface Reading {
  text: string;
  words: [string, number, number][]; // with their times in s
  places: number[]; // numbers of its frames of speech
  frames: string; // of those, int8 in base64: standardised, of length 1
}

const DIMENSIONS = 64;
// Of 34 French clips of Common Voice 6.1, 33 lie below 0.7 with their own text and all above 0.78 with another of about
// its length.
const MAX_DISTANCE = 0.75;
const LETTERS_A_SECOND = [2, 30];
const PAUSE_FRAMES = 3;
const BETWEEN_WORDS = 0.9;
const PAUSE_IN_WORD = 3;

/** Sounds of a take's frames of speech: rows of `width` numbers. */
export interface Sounds {
  values: Float32Array;
  width: number;
}

/** The words with their times in the piece, null where the take does not say the text. */
export function findWords(sounds: Sounds, places: number[], reading: Reading, frameSeconds: number): [string, number, number][] | null {
  const letters = reading.words.reduce((sum, [word]) => sum + (word.match(/[\p{L}\p{N}]/gu) ?? []).length, 0);
  const seconds = places.length * frameSeconds;
  if (letters < LETTERS_A_SECOND[0] * seconds || letters > LETTERS_A_SECOND[1] * seconds) return null;
  const ours = unitFrames(sounds, places.length);
  const theirs = storedFrames(reading);
  if (!ours.length || !theirs.length) return null;
  const pauses = places.flatMap((place, i) => (i > 0 && place - places[i - 1] > PAUSE_FRAMES ? [i] : []));
  const starts = reading.words.slice(1).map(([, start]) => below(reading.places, rint(start / frameSeconds)));
  const rows = pauses.map((place, i) => place + i);
  const columns = starts.map((place, i) => place + i);
  const [isRow, isColumn] = [new Set(rows), new Set(columns)];
  const height = ours.length + rows.length;
  const width = theirs.length + columns.length;
  // Between words a column more, for a pause or what the text has not; at a pause a row more, which belongs there.
  const cost = Array.from({ length: height }, (_, i) => {
    const own = isRow.has(i) ? null : ours[i - below(rows, i)];
    return Float64Array.from({ length: width }, (_, j) => {
      if (own === null) return isColumn.has(j) ? 0 : PAUSE_IN_WORD;
      if (isColumn.has(j)) return BETWEEN_WORDS;
      return 1 - dot(own, theirs[j - below(columns, j)]);
    });
  });
  const path = warp(cost).filter(([i, j]) => !isRow.has(i) && !isColumn.has(j));
  if (!path.length || mean(path.map(([i, j]) => cost[i][j])) > MAX_DISTANCE) return null;
  const times = path.map(([i]) => places[i - below(rows, i)] * frameSeconds);
  const numbers = path.map(([, j]) => below(columns, j));
  const steps = Array.from({ length: reading.words.length + 1 }, (_, word) => below(numbers, word));
  const begins = steps.slice(0, -1).map((step) => times[Math.min(step, times.length - 1)]);
  const ends = steps.slice(1).map((step) => times[Math.max(step - 1, 0)] + frameSeconds);
  const touching = begins.slice(1).flatMap((begin, i) => (begin - ends[i] <= PAUSE_FRAMES * frameSeconds ? [i] : []));
  const middles = touching.map((i) => (ends[i] + begins[i + 1]) / 2);
  touching.forEach((i, n) => (ends[i] = begins[i + 1] = middles[n]));
  return reading.words.map(([word], i) => [word, begins[i], Math.max(begins[i], ends[i])]);
}

/** The words with the grades of their frames, where there are any. */
export function gradeWords(found: [string, number, number][], piece: GradedPiece, card: GradeCard): Word[] {
  return found.map(([text, start, end]) => {
    const inside = piece.places.flatMap((place, i) => {
      const time = place * card.frame_seconds;
      return start <= time && time < end ? [piece.values[i]] : [];
    });
    const value = inside.length ? mean(inside) : NaN;
    const { low } = natives(inside.length * card.frame_seconds, card);
    return { text, start: piece.start + start, end: piece.start + end, value, below: value < low };
  });
}

/** How many of the ascending values lie below one. */
function below(ascending: number[], value: number): number {
  let count = 0;
  while (count < ascending.length && ascending[count] < value) count++;
  return count;
}

function unitFrames({ values, width }: Sounds, count: number): Float64Array[] {
  const frames = Array.from({ length: count }, (_, i) =>
    Float64Array.from(values.subarray(i * width, i * width + DIMENSIONS)),
  );
  for (let k = 0; k < DIMENSIONS; k++) {
    const column = frames.map((frame) => frame[k]);
    const [centre, spread] = [mean(column), deviation(column) + 1e-5];
    for (const frame of frames) frame[k] = (frame[k] - centre) / spread;
  }
  return frames.map(unit);
}

function storedFrames({ frames }: Reading): Float64Array[] {
  const bytes = Int8Array.from(atob(frames), (character) => character.charCodeAt(0));
  return Array.from({ length: bytes.length / DIMENSIONS }, (_, i) =>
    unit(Float64Array.from(bytes.subarray(i * DIMENSIONS, (i + 1) * DIMENSIONS))),
  );
}

function unit(frame: Float64Array): Float64Array {
  const length = Math.max(Math.sqrt(dot(frame, frame)), 1e-5);
  return frame.map((value) => value / length);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** The cheapest way from the first cell to the last by dynamic time warping, as librosa's. */
function warp(cost: Float64Array[]): [number, number][] {
  const [height, width] = [cost.length, cost[0].length];
  const total = cost.map((row) => row.slice());
  const step = cost.map(() => new Uint8Array(width));
  const moves = [
    [1, 1],
    [0, 1],
    [1, 0],
  ];
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      if (i === 0 && j === 0) continue;
      let best = Infinity;
      moves.forEach(([di, dj], move) => {
        const before = i >= di && j >= dj ? total[i - di][j - dj] : Infinity;
        if (before < best) {
          best = before;
          step[i][j] = move;
        }
      });
      total[i][j] = best + cost[i][j];
    }
  }
  const path: [number, number][] = [];
  for (let i = height - 1, j = width - 1; ; ) {
    path.push([i, j]);
    if (i === 0 && j === 0) return path.reverse();
    const [di, dj] = moves[step[i][j]];
    i -= di;
    j -= dj;
  }
}
