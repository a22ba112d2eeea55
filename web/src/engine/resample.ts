/**
 * Resampling to another rate by a polyphase windowed sinc, in this one place.
 *
 * Passband and stopband are those of soxr's "HQ", which Python's accent.audio.waveform uses: flat to 0.913 of the lower Nyquist
 * frequency, silent from there on. Kaiser window after Oppenheim & Schafer, "Discrete-Time Signal Processing", 7.6.
 */

const PASSBAND = 0.913;
const ATTENUATION_DB = 110; // the last of 16 bits lies at 98

/** `known` has the first samples of the output, where they were computed before. */
export function resample(samples: Float32Array, from: number, to: number, known: Float32Array = new Float32Array(0)): Float32Array {
  if (from === to) return samples;
  const divisor = gcd(from, to);
  const up = to / divisor;
  const down = from / divisor;
  const nyquist = Math.min(from, to) / 2;
  const cutoff = (((1 + PASSBAND) / 2) * nyquist) / from; // cycles a sample
  const half = reach(from, to);
  const phases = new Map<number, Float32Array>(); // made as they are needed: some rates have thousands
  const output = new Float32Array(Math.floor((samples.length * to) / from + 0.5));
  output.set(known);
  for (let m = known.length; m < output.length; m++) {
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

/** Samples on either side that one of the output is made of. */
function reach(from: number, to: number): number {
  const transition = ((1 - PASSBAND) * Math.min(from, to)) / 2 / from;
  return Math.ceil((ATTENUATION_DB - 7.95) / (14.36 * transition) / 2);
}

/** Resamples a recording that grows: only what is new since the last time. */
export class Resampler {
  private last: { samples: Float32Array; from: number; to: number; output: Float32Array } | null = null;

  resample(samples: Float32Array, from: number, to: number): Float32Array {
    const { last } = this;
    const grown = last?.from === from && last.to === to && startsWith(samples, last.samples);
    const sure = grown ? Math.floor(((last.samples.length - reach(from, to) - 1) * to) / from) : 0; // too far from its end
    const output = resample(samples, from, to, last?.output.subarray(0, Math.max(sure, 0)));
    this.last = { samples, from, to, output };
    return output;
  }
}

function startsWith(samples: Float32Array, first: Float32Array): boolean {
  for (let i = 0; i < first.length; i++) if (samples[i] !== first[i]) return false;
  return true;
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
