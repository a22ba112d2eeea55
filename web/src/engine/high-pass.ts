/** What lies below the band that the network hears is no part of a recording: accent/audio/high_pass.py. */

import type { Card } from "./card";

/** The waveform without its low band, found at every `step`th sample, drawn out in straight lines and taken away. */
export function highPass(waveform: Float32Array, { step, taps }: Card["high_pass"]): Float32Array {
  const half = (taps.length - 1) / 2;
  const edge = step * (half + 1);
  const blocks = Math.ceil(waveform.length / step) + 2 * (half + 1);
  const falling = new Float64Array(blocks);
  const rising = new Float64Array(blocks);
  for (let block = 0; block < blocks; block++) {
    for (let j = 0; j < step; j++) {
      const sample = beyond(waveform, block * step + j - edge) / step;
      rising[block] += (sample * j) / step;
      falling[block] += (sample * (step - j)) / step;
    }
  }
  const low = Float64Array.from({ length: blocks - taps.length }, (_, k) =>
    taps.reduce((sum, tap, i) => sum + tap * (falling[k + i + 1] + rising[k + i]), 0),
  );
  return waveform.map((sample, i) => {
    const k = Math.floor(i / step);
    const share = (i % step) / step;
    return sample - ((1 - share) * low[k] + share * low[k + 1]);
  });
}

/** The waveform goes on beyond its ends as its own reflection in its first and last sample. */
function beyond(waveform: Float32Array, i: number): number {
  const last = waveform.length - 1;
  if (last < 1) return waveform[0] ?? 0;
  if (i < 0) return 2 * waveform[0] - beyond(waveform, -i);
  if (i > last) return 2 * waveform[last] - beyond(waveform, 2 * last - i);
  return waveform[i];
}
