/** What the two networks hear in a waveform: spectrogram and logits, and the grades of its frames. */

import type { Card } from "./card";
import { Network } from "./network";
import { addWindowFeatures, type Spectrogram } from "./typicality";
import type { Heard } from "./grade";
import { fillUp, piecesOf, speechPlaces } from "./pieces";
import { evenStarts } from "./windows";
import type { Sounds } from "./words";

export interface Windows {
  spectrogram: Spectrogram;
  starts: number[]; // first frames of the windows
  logits: number[][]; // of each window
  features: Float64Array; // sums over the windows, see typicality.ts
}

export interface Listened {
  windows: Windows;
  heard: Heard & { sounds: Sounds };
}

export class Ear {
  private last: (Listened & { waveform: Float32Array }) | null = null;

  private constructor(
    readonly card: Card,
    private readonly classifier: Network,
    private readonly grader: Network,
  ) {}

  /** With the graphs of accent/page/export.py. */
  static async load(card: Card): Promise<Ear> {
    return new Ear(card, ...(await Promise.all([Network.load("ear.onnx"), Network.load("grade.onnx")])));
  }

  /** What both networks hear in a trimmed waveform in int16's range; the last one's is remembered. */
  async listen(waveform: Float32Array): Promise<Listened> {
    if (!this.last || !same(this.last.waveform, waveform)) {
      const [windows, heard] = await Promise.all([this.hear(waveform), this.grades(waveform)]);
      this.last = { waveform, windows, heard };
    }
    return this.last;
  }

  private async hear(waveform: Float32Array): Promise<Windows> {
    const { window, window_hop, spectrogram } = this.card;
    const frames = Math.floor(waveform.length / spectrogram.hop_length) + 1;
    const starts = evenStarts(frames, window, window_hop);
    const outputs = await this.classifier.run({
      waveform: { data: waveform, dims: [waveform.length] },
      starts: { data: BigInt64Array.from(starts, BigInt), dims: [starts.length] },
    });
    const values = outputs.logits.data as Float32Array;
    const classes = this.card.classes.length;
    const heard = { cells: outputs.cells.data as Uint8Array, frames, nMels: spectrogram.n_mels };
    const features = new Float64Array(this.card.typicality.mean.length);
    addWindowFeatures(features, heard, starts, this.card);
    return {
      spectrogram: heard,
      starts,
      features,
      logits: starts.map((_, i) => Array.from(values.subarray(i * classes, (i + 1) * classes))),
    };
  }

  /** The grades of the frames of speech. */
  private async grades(waveform: Float32Array): Promise<Listened["heard"]> {
    const { grade } = this.card;
    const places = speechPlaces(waveform, grade);
    const { starts, size } = piecesOf(waveform.length, grade);
    const values: number[] = [];
    const sounds: number[] = [];
    let width = 1;
    for (const first of starts) {
      const inside = places.filter((place) => first <= place && place < first + size);
      if (!inside.length) continue;
      const piece = waveform.subarray(first * grade.frame_samples, (first + size) * grade.frame_samples);
      const blocks = fillUp(piece, grade);
      const local = BigInt64Array.from(inside, (place) => BigInt(place - first));
      const outputs = await this.grader.run({
        blocks: { data: blocks, dims: [blocks.length / grade.frame_samples, grade.frame_samples] },
        places: { data: local, dims: [local.length] },
      });
      values.push(...(outputs.grades.data as Float32Array));
      for (const value of outputs.sounds.data as Float32Array) sounds.push(value);
      width = outputs.sounds.dims[1];
    }
    return { values, places, sounds: { values: Float32Array.from(sounds), width } };
  }
}

function same(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
