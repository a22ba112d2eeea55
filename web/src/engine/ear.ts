/** The exported graph in onnxruntime's WebAssembly: waveform in, spectrogram and logits out. */

import * as ort from "onnxruntime-web/wasm";
import { type Card, FORMAT } from "./card";
import type { Spectrogram } from "./typicality";
import { evenStarts } from "./windows";

export interface Heard {
  spectrogram: Spectrogram;
  starts: number[]; // first frames of the windows
  logits: number[][]; // of each window
}

export class Ear {
  private constructor(
    readonly card: Card,
    private readonly session: ort.InferenceSession,
  ) {}

  /** `wasm` is the runtime's address, from which browsers keep the compiled code; the rest is accent/page/export.py's. */
  static async load(wasm: string, graph: ArrayBuffer, card: Card): Promise<Ear> {
    if (card.format !== FORMAT) throw new Error(`ear.json: format ${card.format}, this page reads ${FORMAT}`);
    ort.env.wasm.numThreads = 1; // more would need headers that a static host cannot set
    ort.env.wasm.wasmPaths = { wasm };
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
    return new Ear(card, session);
  }

  /** A trimmed waveform in int16's range. */
  async hear(waveform: Float32Array): Promise<Heard> {
    const { window, window_hop, spectrogram } = this.card;
    const frames = Math.floor(waveform.length / spectrogram.hop_length) + 1;
    const starts = evenStarts(frames, window, window_hop);
    const outputs = await this.session.run({
      waveform: new ort.Tensor("float32", waveform, [waveform.length]),
      starts: new ort.Tensor("int64", BigInt64Array.from(starts, BigInt), [starts.length]),
    });
    const values = outputs.logits.data as Float32Array;
    const classes = this.card.classes.length;
    return {
      spectrogram: { cells: outputs.cells.data as Uint8Array, frames, nMels: spectrogram.n_mels },
      starts,
      logits: starts.map((_, i) => Array.from(values.subarray(i * classes, (i + 1) * classes))),
    };
  }
}
