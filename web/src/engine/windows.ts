/** Windows of a spectrogram: accent/audio/windows.py. */

import { rint } from "./numbers";

/** First frames of windows spread evenly over `length` frames, at most `hop` apart, from its start to its end. */
export function evenStarts(length: number, window: number, hop: number): number[] {
  const last = Math.max(length - window, 0);
  const count = Math.ceil(last / hop) + 1;
  return Array.from({ length: count }, (_, i) => (count === 1 ? 0 : rint(i * (last / (count - 1)))));
}
