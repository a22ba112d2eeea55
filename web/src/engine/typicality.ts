/** How unlike speech a recording is, independent of the network: accent/network/typicality.py. */

import type { Card } from "./card";
import { powerSpectrum } from "./fourier";
import { deviation, hanning, mean, quantile, rint } from "./numbers";

const GROUPS = 8;
const MODULATIONS = [
  [0.5, 2],
  [2, 8],
  [8, 16],
  [16, 51],
];
const LAG_SECONDS = 0.1;

/** A spectrogram: `cells[frame * nMels + band]`, 0 to 255. */
export interface Spectrogram {
  cells: Uint8Array;
  frames: number;
  nMels: number;
}

/** Sums of the windows' statistics, for a mean over windows of several pieces. */
export function addWindowFeatures(sums: Float64Array, spectrogram: Spectrogram, starts: number[], card: Card): void {
  const frameSeconds = card.spectrogram.hop_length / card.audio.sample_rate;
  for (const start of starts) {
    windowFeatures(cut(spectrogram, start, card.window), card.spectrogram.n_mels, frameSeconds).forEach(
      (value, i) => (sums[i] += value),
    );
  }
}

/** A window as `[band][frame]`, 0 to 1; silence fills what the spectrogram lacks. */
function cut({ cells, frames, nMels }: Spectrogram, start: number, window: number): Float32Array[] {
  return Array.from({ length: nMels }, (_, band) =>
    Float32Array.from({ length: window }, (_, i) => (start + i < frames ? cells[(start + i) * nMels + band] / 255 : 0)),
  );
}

/** The statistics of a window, in the order of Python's `window_features`. */
function windowFeatures(cells: Float32Array[], nMels: number, frameSeconds: number): number[] {
  const frames = cells[0].length;
  const edges = Array.from({ length: GROUPS + 1 }, (_, i) => Math.trunc((i * nMels) / GROUPS));
  const bands = Array.from({ length: GROUPS }, (_, group) => {
    const inside = cells.slice(edges[group], edges[group + 1]);
    return Float64Array.from({ length: frames }, (_, i) => mean(inside.map((row) => row[i])));
  });
  const level = Float64Array.from({ length: frames }, (_, i) => mean(bands.map((band) => band[i])));
  const columns = Array.from({ length: frames }, (_, i) => Float64Array.from(cells, (row) => row[i]));
  const lag = Math.min(Math.max(rint(LAG_SECONDS / frameSeconds), 1), frames - 1);
  return [
    ...bands.map(mean),
    ...bands.map(deviation),
    ...bands.map((band) => meanChange([band], 1)),
    ...modulation(level, frameSeconds),
    mean(columns.map((column) => Math.max(...column) - mean(column))),
    mean(columns.map(deviation)),
    ...[0.1, 0.5, 0.9].map((share) => quantile(level, share)),
    meanChange(columns, 1),
    meanChange(cells, 1),
    meanChange(cells, lag),
  ];
}

/** How fast the level goes up and down: logarithms of the shares of its power in ranges of frequency. */
function modulation(level: Float64Array, frameSeconds: number): number[] {
  const frames = level.length;
  const centre = mean(level);
  const hann = hanning(frames);
  const power = powerSpectrum(level.map((value, i) => (value - centre) * hann[i]));
  const total = power.subarray(1).reduce((a, b) => a + b, 0) + 1e-9;
  return MODULATIONS.map(([low, high]) => {
    const inside = power.filter((_, k) => {
      const hz = k / (frames * frameSeconds);
      return hz >= low && hz < high;
    });
    return Math.log(inside.reduce((a, b) => a + b, 0) / total + 1e-3);
  });
}

function meanChange(rows: ArrayLike<number>[], lag: number): number {
  let sum = 0;
  let count = 0;
  for (const row of rows) {
    for (let i = lag; i < row.length; i++) sum += Math.abs(row[i] - row[i - lag]);
    count += row.length - lag;
  }
  return sum / count;
}

/** Mahalanobis distance of a clip's mean features from the training clips', as a multiple of the one allowed. */
export function unlikeness(features: Float64Array, typicality: Card["typicality"]): number {
  const offsets = features.map((value, i) => value - typicality.mean[i]);
  const square = typicality.precision.reduce(
    (sum, row, i) => sum + offsets[i] * row.reduce((inner, value, j) => inner + value * offsets[j], 0),
    0,
  );
  return Math.sqrt(square) / typicality.allowed;
}
