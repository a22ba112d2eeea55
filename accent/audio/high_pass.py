"""High-pass filter, applied before anything is measured: it removes what lies below the band that the network hears.

A constant offset, mains hum of 50 or 60 Hz and the rumble of handling make silence as loud as speech otherwise.
"""

import numpy as np

SAMPLE_RATE = 16000
STEP = 20  # samples: the low band is found at every 20th, 800 times a second, which is a fortieth of the work
TAPS = 71  # at that rate: 89 ms, odd, so that nothing is delayed
CUTOFF_HZ = 75  # 6 dB down; 60 Hz is 35 dB down, 50 Hz 44 dB, a constant 120 dB; from 90 Hz on it is less than 0.2 dB
KAISER_BETA = 4.6


def _low_pass() -> np.ndarray:
    """The taps of a low-pass at 16 kHz / `STEP`: the ideal one, made up for both triangles, in a Kaiser window."""
    hz = np.fft.rfftfreq(2**14, STEP / SAMPLE_RATE)
    ideal = np.fft.irfft((hz < CUTOFF_HZ) / np.sinc(hz * STEP / SAMPLE_RATE) ** 4)
    taps = np.roll(ideal, TAPS // 2)[:TAPS] * np.kaiser(TAPS, KAISER_BETA)
    return (taps / taps.sum()).astype(np.float32)


LOW_PASS = _low_pass()
RISING = np.arange(STEP, dtype=np.float32) / STEP
TRIANGLE = np.stack([1 - RISING, RISING])  # (2, `STEP`): the falling side, and the rising side before it


def high_pass(waveform: np.ndarray) -> np.ndarray:
    """High-pass at `CUTOFF_HZ` of a float32 waveform (n,) at 16 kHz; length and phase stay the same.

    The low band is found at every `STEP`th sample (a mean weighted by a triangle, then `LOW_PASS`), drawn out to all
    of them in straight lines, and taken away. Beyond its ends the waveform goes on as its own reflection in its first
    and last sample, so that an offset does not begin with a step.
    """
    edge = STEP * (TAPS // 2 + 1)
    padded = reflected(waveform, edge, edge + -len(waveform) % STEP)
    falling, rising = (padded.reshape(-1, STEP) @ (TRIANGLE.T / STEP)).T
    low = np.convolve(falling[1:] + rising[:-1], LOW_PASS, "valid")
    drawn_out = (np.stack([low[:-1], low[1:]], axis=1) @ TRIANGLE).reshape(-1)[: len(waveform)]
    return np.subtract(waveform, drawn_out, out=drawn_out)


def reflected(waveform: np.ndarray, before: int, after: int) -> np.ndarray:
    """`np.pad` in odd reflection, in half the time where one reflection is enough."""
    if len(waveform) <= max(before, after):
        return np.pad(waveform, (before, after), "reflect", reflect_type="odd")
    padded = np.empty(before + len(waveform) + after, waveform.dtype)
    padded[before : before + len(waveform)] = waveform
    np.subtract(2 * waveform[0], waveform[before:0:-1], out=padded[:before])
    np.subtract(2 * waveform[-1], waveform[-2 : -2 - after : -1], out=padded[before + len(waveform) :])
    return padded
