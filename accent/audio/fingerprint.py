"""Acoustic fingerprints of clips: they find other encodings of the same recording.

After Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002): the signs of differences between
neighbouring bands and moments. They are taken at landmarks only, the peaks of the energy, so that a clip needs few of
them and may be cut elsewhere. Chromaprint, the usual library, was made for music, needs three seconds of it, and its
Python package needs a native library of the system.
"""

import numpy as np
from scipy.fft import rfft
from scipy.ndimage import correlate1d
from scipy.signal import find_peaks
from scipy.signal.windows import gaussian

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
# (2 x bins, `BANDS`): sums the squares of real and imaginary parts over the bins of each band.
BAND_OF = np.repeat(np.eye(BANDS, dtype=np.float32), 2 * np.diff(EDGES), axis=0)


def _gaussian(seconds: float) -> np.ndarray:
    """The weights of a Gaussian in time, one a frame, up to four standard deviations."""
    deviation = seconds * SAMPLE_RATE / FRAME
    weights = gaussian(2 * round(4 * deviation) + 1, deviation)
    return weights / weights.sum()


PEAK_WEIGHTS, BAND_WEIGHTS = _gaussian(PEAK_SECONDS), _gaussian(BAND_SECONDS)


def fingerprint(waveform: np.ndarray) -> bytes:
    """The landmarks of an int16 waveform at `SAMPLE_RATE`, by time, as the bytes of an array of `LANDMARK`."""
    frames = waveform[: len(waveform) // FRAME * FRAME].reshape(-1, FRAME)
    if len(frames) < 3:  # no room for a peak
        return b""
    spectrum = rfft(frames.astype(np.float32)).view(np.float32)[:, 2 * EDGES[0] : 2 * EDGES[-1]]
    energy = np.square(spectrum) @ BAND_OF
    places, heights = _peaks(_smoothed(energy.sum(axis=1), PEAK_WEIGHTS))
    places = places[np.sort(np.argsort(-heights, kind="stable")[:MAX_LANDMARKS])]

    sides = _at(_smoothed(energy, BAND_WEIGHTS), places + SIDES[:, None])  # (5, landmarks, `BANDS`)
    differences, totals = sides[..., :-1] - sides[..., 1:], sides[..., :-1] + sides[..., 1:]
    differences[3], totals[3] = differences[4] - differences[3], totals[4] + totals[3]
    values = (differences[:4] / (totals[:4] + 1)).transpose(1, 0, 2).reshape(len(places), 32)

    landmarks = np.zeros(len(places), LANDMARK)
    landmarks["time"] = np.rint(places * (FRAME * TIMES_PER_SECOND / SAMPLE_RATE))
    landmarks["signs"] = np.packbits(values > 0, axis=1, bitorder="little").view("<u4")[:, 0]
    landmarks["weakest"] = np.argsort(np.abs(values), axis=1, kind="stable")[:, :2]
    return landmarks.tobytes()


def _smoothed(energy: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return correlate1d(energy, weights, axis=0, mode="nearest")


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
