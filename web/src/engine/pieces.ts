/** What the grade's encoder hears at once, and which of its frames hold speech: accent/grading/encoder.py. */

import type { GradeCard } from "./card";
import { quantile, rint } from "./numbers";
import { frameLevels, SILENT_DBFS, speechFrames } from "./trim";

export const FULL_SCALE = 32767;
const RATE = 16000;
const HOP = 160; // samples between two of the levels

/** First frames of the pieces of a waveform of so many samples, and the frames of a whole piece. */
export function piecesOf(samples: number, card: GradeCard): { starts: number[]; size: number } {
  const frames = Math.max(Math.ceil(samples / card.frame_samples), 1);
  const count = Math.ceil(frames / rint(card.context_seconds / card.frame_seconds));
  const size = Math.ceil(frames / count);
  return { starts: Array.from({ length: Math.ceil(frames / size) }, (_, i) => i * size), size };
}

/** A piece (in int16's range) as -1 to 1 with silence after it, so that few lengths are ever heard. */
export function fillUp(piece: Float32Array, card: GradeCard): Float32Array {
  const steps = Math.ceil((piece.length / RATE + card.min_silence_seconds) / card.step_seconds);
  const filled = new Float32Array(rint(Math.min(steps * card.step_seconds, card.context_seconds) * RATE));
  piece.forEach((sample, i) => (filled[i] = sample / FULL_SCALE));
  return filled;
}

/** The numbers of the encoder's frames that hold speech; digital silence does not count for the noise floor. */
export function speechPlaces(waveform: Float32Array, card: GradeCard): number[] {
  const levels = frameLevels(waveform.map((sample) => sample / FULL_SCALE));
  const audible = levels.filter((level) => level > SILENT_DBFS);
  if (!audible.length) return [];
  const speech = speechFrames(levels, quantile(audible, 0.1), card.silence_db);
  const last = Math.max(rint(waveform.length / card.frame_samples), 1) - 1;
  const places = speech.flatMap((is, frame) => (is ? [Math.min(Math.floor((frame * HOP) / card.frame_samples), last)] : []));
  return [...new Set(places)];
}
