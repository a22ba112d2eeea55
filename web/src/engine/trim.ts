/** Trimming a recording to its speech, and its measures: accent/audio/waveform.py's `trim`, `too_little`, `merge_measures`. */

import type { AudioParams, Card } from "./card";
import { powerSpectrum } from "./fourier";
import { highPass } from "./high-pass";
import { hanning, mean, quantile, rint } from "./numbers";

export const CLIPPED = 0.99;
const RATE = 16000;
const FRAME_SECONDS = 0.025;
const HOP_SECONDS = 0.01;
const ATOM = RATE / 200; // samples in 5 ms, of which both are made
const ATOMS_PER_FRAME = 5;
const ATOMS_PER_HOP = 2;
const MIN_SPEECH_FRAMES = 5;
export const SILENT_DBFS = -90;
const HANN = hanning(512);

export interface Measures {
  duration_s: number;
  speech_s: number;
  leading_silence_s: number;
  trailing_silence_s: number;
  loudness_dbfs: number;
  level_range_db: number;
  snr_db: number;
  clipped_fraction: number;
  bandwidth_hz: number;
  source_rate_hz: number;
}

/** A piece of a recording: mono at 16 kHz, with what was counted at the file's own rate. */
export interface Recording {
  waveform: Float32Array;
  sourceRate: number;
  clippedFraction: number;
}

export interface Trimmed {
  waveform: Float32Array; // in int16's range, rounded to it
  measures: Measures;
}

/** Power in dB re full scale of frames of 25 ms every 10 ms, at least -100. */
export function frameLevels(waveform: Float32Array): Float64Array {
  const atoms = new Float64Array(Math.max(Math.floor(waveform.length / ATOM), ATOMS_PER_FRAME));
  for (let i = 0; i < Math.min(atoms.length * ATOM, waveform.length); i++) {
    atoms[Math.floor(i / ATOM)] += waveform[i] ** 2;
  }
  const levels = new Float64Array(Math.floor((atoms.length - ATOMS_PER_FRAME) / ATOMS_PER_HOP) + 1);
  for (let frame = 0; frame < levels.length; frame++) {
    let energy = 0;
    for (let k = 0; k < ATOMS_PER_FRAME; k++) energy += atoms[frame * ATOMS_PER_HOP + k];
    levels[frame] = 10 * Math.log10(Math.max(energy / (ATOMS_PER_FRAME * ATOM), 1e-10));
  }
  return levels;
}

/** Which frames hold speech: an energy detector with a hangover, after ITU-T P.56. */
export function speechFrames(levels: Float64Array, floor: number, silenceDb: number): boolean[] {
  const loudest = levels.reduce((a, b) => Math.max(a, b));
  const threshold = Math.min(Math.max(floor + 10, loudest - silenceDb), loudest - Math.min(25, silenceDb));
  const active = Array.from(levels, (level) => level > threshold);
  const filled = withoutShortRuns(active.map((is) => !is)).map((is) => !is);
  return withoutShortRuns(filled);
}

function withoutShortRuns(mask: boolean[]): boolean[] {
  const kept = mask.slice();
  for (let start = 0; start < mask.length;) {
    let end = start;
    while (end < mask.length && mask[end] === mask[start]) end++;
    if (mask[start] && end - start < MIN_SPEECH_FRAMES) kept.fill(false, start, end);
    start = end;
  }
  return kept;
}

/** The highest frequency whose mean power is within 60 dB of the strongest one's. */
export function bandwidthHz(waveform: Float32Array): number {
  const total = new Float64Array(257);
  const frame = new Float64Array(512);
  for (let start = 0; start + 1024 <= waveform.length; start += 1024) {
    for (let i = 0; i < 512; i++) frame[i] = waveform[start + i] * HANN[i];
    const power = powerSpectrum(frame);
    for (let k = 0; k < total.length; k++) total[k] += power[k];
  }
  if (waveform.length < 1024) return 0;
  const limit = 1e-6 * total.reduce((a, b) => Math.max(a, b));
  return (total.findLastIndex((power) => power >= limit) * RATE) / 512;
}

export function trim(recording: Recording, { audio: params, high_pass }: Pick<Card, "audio" | "high_pass">): Trimmed {
  const waveform = highPass(recording.waveform, high_pass);
  const duration = waveform.length / RATE;
  const levels = frameLevels(waveform);
  const floor = quantile(levels, 0.1);
  const loud = quantile(levels, 0.95);
  const loudest = levels.reduce((a, b) => Math.max(a, b));
  const mask = loudest > SILENT_DBFS ? speechFrames(levels, floor, params.silence_db) : [];
  const speech = mask.flatMap((is, frame) => (is ? [frame] : []));
  let begin = duration;
  let end = duration;
  let trimmed = waveform.subarray(0, 0);
  let loudness = loudest;
  let levelRange = 0;
  if (speech.length) {
    begin = speech[0] * HOP_SECONDS;
    end = Math.min(speech[speech.length - 1] * HOP_SECONDS + FRAME_SECONDS, duration);
    const first = Math.max(rint((begin - params.margin_seconds) * RATE), 0);
    trimmed = waveform.subarray(first, rint((end + params.margin_seconds) * RATE));
    loudness = 10 * Math.log10(mean(speech.map((frame) => 10 ** (levels[frame] / 10))));
    const ordered = Float64Array.from(speech, (frame) => levels[frame]).sort();
    levelRange = ordered[Math.floor((speech.length * 9) / 10)] - ordered[Math.floor(speech.length / 10)];
  }
  return {
    waveform: trimmed.map((sample) => rint(Math.fround(Math.min(Math.max(sample, -1), 1) * 32767))),
    measures: {
      duration_s: duration,
      speech_s: speech.length * HOP_SECONDS,
      leading_silence_s: begin,
      trailing_silence_s: duration - end,
      loudness_dbfs: loudness,
      level_range_db: levelRange,
      snr_db: Math.max(loud, SILENT_DBFS) - Math.max(floor, SILENT_DBFS),
      clipped_fraction: recording.clippedFraction,
      bandwidth_hz: bandwidthHz(waveform),
      source_rate_hz: recording.sourceRate,
    },
  };
}

/** Whether there is too little in a trimmed recording to go by. */
export function tooLittle({ waveform, measures }: Trimmed, params: AudioParams): boolean {
  return measures.duration_s < params.min_seconds || !measures.speech_s || waveform.length < params.min_seconds * RATE;
}

/** The measures of a recording from those of its pieces: sums of seconds, means over time or over the speech. */
export function mergeMeasures(pieces: Measures[]): Measures {
  if (pieces.length === 1) return pieces[0];
  const sum = (of: (piece: Measures) => number) => pieces.reduce((total, piece) => total + of(piece), 0);
  const heard = pieces.flatMap((piece, i) => (piece.speech_s > 0 ? [i] : []));
  const first = heard.at(0) ?? pieces.length - 1;
  const last = heard.at(-1) ?? pieces.length - 1;
  const weight = (piece: Measures) => (heard.length ? piece.speech_s : 1);
  const weighted = (of: (piece: Measures) => number) => sum((piece) => weight(piece) * of(piece)) / sum(weight);
  const durations = (range: Measures[]) => range.reduce((total, piece) => total + piece.duration_s, 0);
  return {
    duration_s: durations(pieces),
    speech_s: sum((piece) => piece.speech_s),
    leading_silence_s: durations(pieces.slice(0, first)) + pieces[first].leading_silence_s,
    trailing_silence_s: durations(pieces.slice(last + 1)) + pieces[last].trailing_silence_s,
    loudness_dbfs: 10 * Math.log10(weighted((piece) => 10 ** (piece.loudness_dbfs / 10))),
    level_range_db: weighted((piece) => piece.level_range_db),
    snr_db: weighted((piece) => piece.snr_db),
    clipped_fraction: sum((piece) => piece.clipped_fraction * piece.duration_s) / durations(pieces),
    bandwidth_hz: Math.max(...pieces.map((piece) => piece.bandwidth_hz)),
    source_rate_hz: pieces[0].source_rate_hz,
  };
}
