/** A file -> its sound, by the browser's own decoder, at the file's own rate. */

import type { Sound } from "../engine/engine";
import { statedRate } from "./rate";

const USUAL_RATE = 48000; // where a header does not say

export class UnreadableError extends Error {}

export interface Decoded extends Sound {
  rateStated: boolean; // false: the browser resampled to `USUAL_RATE` before we could
}

/** Raises `UnreadableError` for what the browser cannot decode, or has no sound in it. */
export async function decode(file: Blob): Promise<Decoded> {
  const bytes = await file.arrayBuffer().catch(() => {
    throw new UnreadableError(); // a folder, or a file that is gone
  });
  const rate = statedRate(new Uint8Array(bytes));
  let buffer: AudioBuffer;
  try {
    buffer = await decodeAt(bytes.slice(0), rate ?? USUAL_RATE);
  } catch {
    throw new UnreadableError();
  }
  if (!buffer.length) throw new UnreadableError();
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i));
  return { channels, rate: buffer.sampleRate, rateStated: rate !== null };
}

async function decodeAt(bytes: ArrayBuffer, rate: number): Promise<AudioBuffer> {
  let context: OfflineAudioContext;
  try {
    context = new OfflineAudioContext(1, 1, rate);
  } catch {
    context = new OfflineAudioContext(1, 1, USUAL_RATE); // a rate that this browser does not have
  }
  return context.decodeAudioData(bytes);
}
