/** Power spectra: a radix-2 transform for lengths that are powers of 2, the plain sum for others. */

/** |rfft|^2, of length n/2 + 1. */
export function powerSpectrum(samples: Float64Array): Float64Array {
  return (samples.length & (samples.length - 1)) === 0 ? radix2(samples) : plain(samples);
}

function radix2(samples: Float64Array): Float64Array {
  const n = samples.length;
  const real = new Float64Array(n);
  const imaginary = new Float64Array(n);
  for (let i = 0, j = 0; i < n; i++) {
    real[j] = samples[i];
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
  }
  for (let size = 2; size <= n; size *= 2) {
    const step = (-2 * Math.PI) / size;
    for (let k = 0; k < size / 2; k++) {
      const c = Math.cos(step * k);
      const s = Math.sin(step * k);
      for (let i = k; i < n; i += size) {
        const j = i + size / 2;
        const re = c * real[j] - s * imaginary[j];
        const im = s * real[j] + c * imaginary[j];
        real[j] = real[i] - re;
        imaginary[j] = imaginary[i] - im;
        real[i] += re;
        imaginary[i] += im;
      }
    }
  }
  return Float64Array.from({ length: n / 2 + 1 }, (_, i) => real[i] ** 2 + imaginary[i] ** 2);
}

function plain(samples: Float64Array): Float64Array {
  const n = samples.length;
  return Float64Array.from({ length: Math.floor(n / 2) + 1 }, (_, k) => {
    let re = 0;
    let im = 0;
    for (let i = 0; i < n; i++) {
      const angle = (2 * Math.PI * ((i * k) % n)) / n;
      re += samples[i] * Math.cos(angle);
      im -= samples[i] * Math.sin(angle);
    }
    return re * re + im * im;
  });
}
