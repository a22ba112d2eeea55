/** A recording of any length -> its result, piece by piece: accent/scoring/scorer.py's `Scorer.score`. */

import type { Ear } from "./ear";
import type { Picture, Result, Sound, Stretch } from "./engine";
import { frameValues, grade, logOdds } from "./grade";
import { mix } from "./mix";
import { expit, softmax } from "./numbers";
import { refusal, unproven } from "./refusal";
import { resample } from "./resample";
import { CLIPPED, type Measures, type Recording, mergeMeasures, tooLittle, trim } from "./trim";
import { addWindowFeatures, unlikeness } from "./typicality";

interface Window extends Stretch {
  value: number;
}

export async function score(sound: Sound, ear: Ear, progress: (share: number) => void = () => {}): Promise<Result> {
  const { card } = ear;
  const { audio, classes, temperature } = card;
  const target = classes.indexOf(card.target);
  const frameSeconds = card.spectrogram.hop_length / audio.sample_rate;
  const measured: Measures[] = [];
  const windows: Window[] = [];
  const logits = new Float64Array(classes.length);
  const features = new Float64Array(card.typicality.mean.length);
  let picture: Picture | null = null;
  let pieceStart = 0;
  for (const recording of pieces(sound, audio.max_seconds, audio.sample_rate)) {
    const trimmed = trim(recording, card);
    const { waveform, measures } = trimmed;
    measured.push(measures);
    if (!tooLittle(trimmed, audio)) {
      const { spectrogram, starts, logits: heard } = await ear.hear(waveform);
      const start = pieceStart + Math.max(measures.leading_silence_s - audio.margin_seconds, 0);
      const end = start + waveform.length / audio.sample_rate;
      heard.forEach((values, i) => {
        values.forEach((value, label) => (logits[label] += value));
        const begin = start + starts[i] * frameSeconds;
        const value = logOdds(values, temperature, target);
        windows.push({ start: begin, end: Math.min(begin + card.window * frameSeconds, end), value });
      });
      addWindowFeatures(features, spectrogram, starts, card);
      const { fmin_hz: minHz, fmax_hz: maxHz } = card.spectrogram;
      picture ??= { start, frameSeconds, minHz, maxHz, spectrogram };
    }
    pieceStart += measures.duration_s;
    progress(Math.min(pieceStart / (sound.channels[0].length / sound.rate), 1));
  }
  const measures = mergeMeasures(measured);
  const nothing = { languages: {}, grade: null, frames: null, words: null, speech: null, measures, picture };
  if (!windows.length) return { ...nothing, refused: refusal(measures, 0, null, card.thresholds) };

  const means = Array.from(logits, (sum) => sum / windows.length);
  const value = logOdds(means, temperature, target);
  const distance = unlikeness(
    features.map((sum) => sum / windows.length),
    card.typicality,
  );
  const refused = refusal(measures, distance, expit(value), card.thresholds) ?? unproven(card);
  const probabilities = softmax(means.map((logit) => logit / temperature));
  const languages = Object.fromEntries(classes.map((label, i) => [label, probabilities[i]]));
  const speech = { start: measures.leading_silence_s, end: measures.duration_s - measures.trailing_silence_s };
  if (refused) return { ...nothing, refused, languages, speech };
  return {
    refused,
    languages,
    grade: grade(
      value,
      windows.map((window) => window.value),
      card,
    ),
    frames: frameValues(windows),
    words: null,
    speech,
    measures,
    picture,
  };
}

/** The recording in pieces of so many seconds, the last one shorter: channels averaged, resampled. */
function* pieces(sound: Sound, seconds: number, rate: number): Generator<Recording> {
  const size = Math.round(seconds * sound.rate);
  for (let first = 0; first < sound.channels[0].length; first += size) {
    const channels = sound.channels.map((channel) => channel.subarray(first, first + size));
    yield {
      waveform: resample(mix(channels), sound.rate, rate),
      sourceRate: sound.rate,
      clippedFraction: countClipped(channels) / channels[0].length,
    };
  }
}

/** Samples that are at full scale in any channel. */
function countClipped(channels: Float32Array[]): number {
  let count = 0;
  for (let i = 0; i < channels[0].length; i++) {
    if (channels.some((channel) => Math.abs(channel[i]) >= CLIPPED)) count++;
  }
  return count;
}
