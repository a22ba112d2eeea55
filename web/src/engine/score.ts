/** A recording of any length -> its result, piece by piece: accent/scoring/scorer.py's `Scorer.score`. */

import type { GradeCard } from "./card";
import type { Ear } from "./ear";
import type { Picture, Result, Sound, Word } from "./engine";
import { type GradedPiece, judge, leastNative, logOdds, moments } from "./grade";
import { mix } from "./mix";
import { expit, softmax } from "./numbers";
import { refusal, unproven } from "./refusal";
import { Resampler } from "./resample";
import { CLIPPED, type Measures, type Recording, mergeMeasures, tooLittle, trim } from "./trim";
import { unlikeness } from "./typicality";
import { findWords, gradeWords, type Reading, type Sounds } from "./words";

const resampler = new Resampler(); // a take is heard in its pauses too, each time from its beginning

export async function score(
  sound: Sound,
  ear: Ear,
  reading: Reading | null = null,
  progress: (share: number) => void = () => {},
): Promise<Result> {
  const { card } = ear;
  const { audio, classes, temperature } = card;
  const target = classes.indexOf(card.target);
  const frameSeconds = card.spectrogram.hop_length / audio.sample_rate;
  const measured: Measures[] = [];
  const graded: (GradedPiece & { sounds: Sounds })[] = [];
  let windows = 0;
  const logits = new Float64Array(classes.length);
  const features = new Float64Array(card.typicality.mean.length);
  let picture: Picture | null = null;
  let pieceStart = 0;
  for (const recording of pieces(sound, audio.max_seconds, audio.sample_rate)) {
    const trimmed = trim(recording, card);
    const { waveform, measures } = trimmed;
    measured.push(measures);
    if (!tooLittle(trimmed, audio)) {
      const { windows: found, heard } = await ear.listen(waveform);
      const { spectrogram, starts } = found;
      const start = pieceStart + Math.max(measures.leading_silence_s - audio.margin_seconds, 0);
      for (const values of found.logits) values.forEach((value, label) => (logits[label] += value));
      windows += starts.length;
      graded.push({ start, ...heard });
      found.features.forEach((value, i) => (features[i] += value));
      const { fmin_hz: minHz, fmax_hz: maxHz } = card.spectrogram;
      picture ??= { start, frameSeconds, minHz, maxHz, spectrogram };
    }
    pieceStart += measures.duration_s;
    progress(Math.min(pieceStart / (sound.channels[0].length / sound.rate), 1));
  }
  const measures = mergeMeasures(measured);
  const nothing = {
    languages: {},
    grade: null,
    frames: null,
    stretches: [],
    words: null,
    speech: null,
    measures,
    picture,
  };
  if (!windows) return { ...nothing, refused: refusal(measures, 0, null, card.thresholds) };

  const means = Array.from(logits, (sum) => sum / windows);
  const probability = expit(logOdds(means, temperature, target));
  const distance = unlikeness(
    features.map((sum) => sum / windows),
    card.typicality,
  );
  const speech = { start: measures.leading_silence_s, end: measures.duration_s - measures.trailing_silence_s };
  const values = graded.flatMap((piece) => Array.from(piece.values));
  let refused = refusal(measures, distance, probability, card.thresholds);
  // The classifier's doubt is not asked for where there is a grade.
  if (refused?.kind === "too close to call" && values.length) refused = null;
  refused ??= unproven(card);
  if (!refused && !values.length) refused = { kind: "too many pauses", found: measures.speech_s, needed: 0 };
  if (refused) return { ...nothing, refused, speech };
  const probabilities = softmax(means.map((logit) => logit / temperature));
  return {
    refused,
    languages: Object.fromEntries(classes.map((label, i) => [label, probabilities[i]])),
    grade: judge(values, card.grade, probability >= 0.5),
    frames: moments(graded, card.grade),
    stretches: leastNative(graded, card.grade),
    words: graded.length === 1 && reading ? words(graded[0], reading, card.grade) : null,
    speech,
    measures,
    picture,
  };
}

/** The words of the sentence in a take of one piece, null where it does not say them. */
function words(piece: GradedPiece & { sounds: Sounds }, reading: Reading, card: GradeCard): Word[] | null {
  const found = findWords(piece.sounds, piece.places, reading, card.frame_seconds);
  return found && gradeWords(found, piece, card);
}

/** The recording in pieces of so many seconds, the last one shorter: channels averaged, resampled. */
function* pieces(sound: Sound, seconds: number, rate: number): Generator<Recording> {
  const size = Math.round(seconds * sound.rate);
  for (let first = 0; first < sound.channels[0].length; first += size) {
    const channels = sound.channels.map((channel) => channel.subarray(first, first + size));
    yield {
      waveform: resampler.resample(mix(channels), sound.rate, rate),
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
