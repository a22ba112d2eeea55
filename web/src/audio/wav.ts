/** Mono 16-bit WAV files: what is kept of a take, and what is played. */

import type { Sound } from "../engine/engine";
import { mix } from "../engine/mix";

const HEADER = 44;

export function toMono({ channels, rate }: Sound): Sound {
  return { channels: [mix(channels)], rate };
}

export function encodeWav(sound: Sound): Blob {
  const { channels, rate } = toMono(sound);
  const samples = channels[0];
  const view = new DataView(new ArrayBuffer(HEADER + 2 * samples.length));
  const text = (place: number, word: string) => [...word].forEach((c, i) => view.setUint8(place + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER - 8 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  for (let i = 0; i < samples.length; i++) {
    view.setInt16(HEADER + 2 * i, Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32768))), true);
  }
  return new Blob([view], { type: "audio/wav" });
}

/** Whether `encodeWav` may have written it: `decodeWav` asks nothing of a file. */
export function isOurWav(bytes: Uint8Array): boolean {
  if (bytes.length <= HEADER) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = (place: number, length: number) => String.fromCharCode(...bytes.subarray(place, place + length));
  const [format, channels, bits] = [20, 22, 34].map((place) => view.getUint16(place, true));
  const rate = view.getUint32(24, true);
  const whole = view.getUint32(40, true) === bytes.length - HEADER;
  const named = text(0, 4) === "RIFF" && text(8, 8) === "WAVEfmt " && text(36, 4) === "data";
  return whole && named && format === 1 && channels === 1 && bits === 16 && rate >= 3000 && rate <= 768000;
}

/** Our own files back; others go through the browser's decoder. */
export async function decodeWav(file: Blob): Promise<Sound> {
  const view = new DataView(await file.arrayBuffer());
  const samples = new Float32Array((view.byteLength - HEADER) >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(HEADER + 2 * i, true) / 32768;
  return { channels: [samples], rate: view.getUint32(24, true) };
}
