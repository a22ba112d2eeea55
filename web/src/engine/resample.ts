/**
 * Resampling to another rate by a polyphase windowed sinc, in this one place.
 *
 * Passband and stopband are those of soxr's "HQ", which Python's accent.audio.waveform uses: flat to 0.913 of the lower Nyquist
 * frequency, silent from there on. Kaiser window after Oppenheim & Schafer, "Discrete-Time Signal Processing", 7.6.
 */

const PASSBAND = 0.913;
const ATTENUATION_DB = 110; // the last of 16 bits lies at 98

export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  if (from === to) return samples;
  const divisor = gcd(from, to);
  const up = to / divisor;
  const down = from / divisor;
  const nyquist = Math.min(from, to) / 2;
  const cutoff = (((1 + PASSBAND) / 2) * nyquist) / from; // cycles a sample
  const transition = ((1 - PASSBAND) * nyquist) / from;
  const half = Math.ceil((ATTENUATION_DB - 7.95) / (14.36 * transition) / 2);
  const phases = new Map<number, Float32Array>(); // made as they are needed: some rates have thousands
  const output = new Float32Array(Math.floor((samples.length * to) / from + 0.5));
  for (let m = 0; m < output.length; m++) {
    const position = m * down;
    const phase = position % up;
    const centre = (position - phase) / up;
    let taps = phases.get(phase);
    if (!taps) phases.set(phase, (taps = sincTaps(phase / up, half, cutoff)));
    const first = centre - half + 1;
    const begin = Math.max(0, -first);
    const end = Math.min(taps.length, samples.length - first);
    output[m] = product(taps, samples, begin, end, first);
  }
  return output;
}

/** Sum of taps[j] * samples[first + j], in two sums at once: a processor need not wait for the one before. */
function product(taps: Float32Array, samples: Float32Array, begin: number, end: number, first: number): number {
  let even = 0;
  let odd = 0;
  let j = begin;
  for (; j + 1 < end; j += 2) {
    even += taps[j] * samples[first + j];
    odd += taps[j + 1] * samples[first + j + 1];
  }
  return j < end ? even + odd + taps[j] * samples[first + j] : even + odd;
}

/** Weights of the samples at -half+1 ... half around a point that lies `offset` (0 to 1) after sample 0. */
function sincTaps(offset: number, half: number, cutoff: number): Float32Array {
  const beta = 0.1102 * (ATTENUATION_DB - 8.7);
  const scale = 1 / bessel(beta);
  const taps = new Float32Array(2 * half);
  for (let j = 0; j < taps.length; j++) {
    const x = j - half + 1 - offset;
    const angle = 2 * Math.PI * cutoff * x;
    const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
    const edge = x / half;
    taps[j] = 2 * cutoff * sinc * bessel(beta * Math.sqrt(Math.max(0, 1 - edge * edge))) * scale;
  }
  return taps;
}

/** Modified Bessel function of the first kind and order 0, by its power series. */
function bessel(x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
