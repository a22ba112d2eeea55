"""Acoustic fingerprints of clips: they find other encodings of the same recording.

After Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002): the signs of differences between
neighbouring bands and moments. They are taken at landmarks only, the peaks of the energy, so that a clip needs few of
them and may be cut elsewhere. Chromaprint, the usual library, was made for music, needs three seconds of it, and its
Python package needs a native library of the system.
"""

import numpy as np
from scipy.fft import rfft
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from accent.audio.waveform import SAMPLE_RATE

# A landmark: when it was, 32 signs, and which two of them were nearest to the other sign.
LANDMARK = np.dtype([("time", "<u2"), ("signs", "<u4"), ("weakest", "u1", 2)])
TIMES_PER_SECOND = 100  # unit of `time`
MAX_LANDMARKS = 16  # of a clip, the loudest: 128 bytes

FRAME = 400  # samples: 25 ms, without overlap or window, since all is smoothed over more than that
LOWEST_HZ, HIGHEST_HZ, BANDS = 250, 3400, 9  # what a telephone passes
PEAK_SECONDS, BAND_SECONDS = 0.02, 0.08  # standard deviations of the smoothing in time
SIDE_SECONDS = 0.15  # before and after a landmark, where the bands are compared too
CHANGE_SECONDS = 0.08  # the same, for the change from before to after
SIDES = np.array([-SIDE_SECONDS, 0, SIDE_SECONDS, -CHANGE_SECONDS, CHANGE_SECONDS]) * SAMPLE_RATE / FRAME

EDGES = np.round(np.geomspace(LOWEST_HZ, HIGHEST_HZ, BANDS + 1) * FRAME / SAMPLE_RATE).astype(int)


def fingerprint(waveform: np.ndarray) -> bytes:
    """The landmarks of an int16 waveform at `SAMPLE_RATE`, by time, as the bytes of an array of `LANDMARK`."""
    frames = waveform[: len(waveform) // FRAME * FRAME].reshape(-1, FRAME)
    if len(frames) < 3:  # no room for a peak
        return b""
    spectrum = rfft(frames.astype(np.float32))[:, EDGES[0] : EDGES[-1]]
    energy = np.add.reduceat(spectrum.real**2 + spectrum.imag**2, EDGES[:-1] - EDGES[0], axis=1)
    places, heights = _peaks(_smoothed(energy.sum(axis=1), PEAK_SECONDS))
    places = places[np.sort(np.argsort(-heights, kind="stable")[:MAX_LANDMARKS])]

    energy = _smoothed(energy, BAND_SECONDS)
    steps = np.concatenate([energy[:, :-1] - energy[:, 1:], energy[:, :-1] + energy[:, 1:]], axis=1)
    both = _at(steps, places + SIDES[:, None])
    differences, totals = both[..., : BANDS - 1], both[..., BANDS - 1 :]
    differences = np.concatenate([differences[:3], differences[4:] - differences[3:4]])
    totals = np.concatenate([totals[:3], totals[4:] + totals[3:4]])
    values = (differences / (totals + 1)).transpose(1, 0, 2).reshape(len(places), 32)

    landmarks = np.zeros(len(places), LANDMARK)
    landmarks["time"] = np.rint(places * (FRAME * TIMES_PER_SECOND / SAMPLE_RATE))
    landmarks["signs"] = np.packbits(values > 0, axis=1, bitorder="little").view("<u4")[:, 0]
    landmarks["weakest"] = np.argsort(np.abs(values), axis=1, kind="stable")[:, :2]
    return landmarks.tobytes()


def _smoothed(energy: np.ndarray, seconds: float) -> np.ndarray:
    return gaussian_filter1d(energy, seconds * SAMPLE_RATE / FRAME, axis=0, mode="nearest")


def _peaks(energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the peaks are, in frames and parts of one (the vertex of the parabola through three), and how high."""
    peaks = find_peaks(energy)[0]
    before, peak, after = energy[peaks - 1], energy[peaks], energy[peaks + 1]
    bend = 2 * peak - before - after
    return peaks + 0.5 * (after - before) / np.where(bend > 0, bend, 1), peak


def _at(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The rows at places that may lie between two of them."""
    places = np.minimum(np.maximum(places, 0), len(rows) - 1)
    below = np.minimum(places.astype(int), len(rows) - 2)
    share = (places - below)[..., None].astype(rows.dtype)
    return rows[below] * (1 - share) + rows[below + 1] * share
