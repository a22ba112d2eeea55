/**
 * The page's signal path on the command line, for tests that hold it to Python's numbers: a JSON list of calls on
 * standard input, a list of their results on standard output. Arrays of floats travel as base64 of float32.
 */

import { readFileSync } from "node:fs";
import { LevelWatch } from "../src/audio/levels";
import { statedRate } from "../src/audio/rate";
import type { Card } from "../src/engine/card";
import { highPass } from "../src/engine/high-pass";
import { mix } from "../src/engine/mix";
import { refusal, unproven } from "../src/engine/refusal";
import { resample, Resampler } from "../src/engine/resample";
import { mergeMeasures, trim } from "../src/engine/trim";
import { addWindowFeatures, unlikeness } from "../src/engine/typicality";
import { findWords, type Reading } from "../src/engine/words";
import { evenStarts } from "../src/engine/windows";
import { judge, leastNative, moments, natives, student } from "../src/engine/grade";
import { fillUp, piecesOf, speechPlaces } from "../src/engine/pieces";
import { change, lines, retakeSpread } from "../src/store/practice";
import { sentencesFor } from "../src/text/sentences";
import { typeset } from "../src/text/texts";

type Floats = string;

const floats = (text: Floats) => new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);
const text = (array: Float32Array): Floats =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");

// Takes as the tests write them: sentence, and grade or null, in the order of time.
const takes = (rows: [string, number | null][]) =>
  rows.map(([sentence, value], i) => ({
    id: String(i),
    time: i,
    target: "french",
    sentenceId: null,
    text: sentence,
    fileName: null,
    result: { grade: value === null ? null : { value, low: value - 0.1, high: value + 0.1 } },
  })) as never;

const calls: Record<string, (...given: never[]) => unknown> = {
  resample: (samples: Floats, from: number, to: number) => text(resample(floats(samples), from, to)),
  // A recording that grows: its outputs at each of some lengths.
  grown: (samples: Floats, lengths: number[], from: number, to: number) => {
    const resampler = new Resampler();
    return lengths.map((length) => text(resampler.resample(floats(samples).subarray(0, length), from, to)));
  },
  trim: (samples: Floats, card: Card) => {
    const { waveform, measures } = trim({ waveform: floats(samples), sourceRate: 16000, clippedFraction: 0 }, card);
    return { waveform: text(waveform), measures };
  },
  mergeMeasures,
  highPass: (samples: Floats, card: Card) => text(highPass(floats(samples), card.high_pass)),
  mix: (channels: Floats[]) => text(mix(channels.map(floats))),
  features: (cells: string, frames: number, card: Card) => {
    const sums = new Float64Array(card.typicality.mean.length);
    const spectrogram = { cells: new Uint8Array(Buffer.from(cells, "base64")), frames, nMels: card.spectrogram.n_mels };
    const starts = evenStarts(frames, card.window, card.window_hop);
    addWindowFeatures(sums, spectrogram, starts, card);
    return Array.from(sums, (sum) => sum / starts.length);
  },
  unlikeness: (features: number[], card: Card) => unlikeness(Float64Array.from(features), card.typicality),
  refusal,
  unproven,
  evenStarts,
  judge,
  natives,
  student,
  leastNative,
  moments: (pieces: never, card: never) => {
    const found = moments(pieces, card);
    return { ...found, values: Array.from(found.values, (value) => (Number.isNaN(value) ? null : value)) };
  },
  piecesOf,
  words: (sounds: Floats, width: number, places: number[], reading: Reading, seconds: number) =>
    findWords({ values: floats(sounds), width }, places, reading, seconds),
  fillUp: (piece: Floats, card: never) => text(fillUp(floats(piece), card)),
  speechPlaces: (waveform: Floats, card: never) => speechPlaces(floats(waveform), card),
  change: (rows: never) => {
    const all = lines(takes(rows));
    return change(all[0], all);
  },
  retakeSpread: (rows: never) => retakeSpread(lines(takes(rows))),
  statedRate: (file: string) => statedRate(new Uint8Array(readFileSync(file))),
  sentences: sentencesFor,
  typeset,
  // When the speaker has stopped, in s, and how loud it was called in each block.
  levels: (samples: Floats, rate: number) => {
    const watch = new LevelWatch();
    const all = floats(samples);
    const said: string[] = [];
    for (let place = 0; place + 1024 <= all.length; place += 1024) {
      const ended = watch.hear(all.subarray(place, place + 1024), rate);
      said.push(watch.loudness);
      if (ended) return { ended: (place + 1024) / rate, said };
    }
    return { ended: null, said };
  },
};

const asked = JSON.parse(readFileSync(0, "utf8")) as [string, ...never[]][];
process.stdout.write(JSON.stringify(asked.map(([name, ...given]) => calls[name](...given))));
