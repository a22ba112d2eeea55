"""Timeline of a take: the windows that sounded least native."""

import numpy as np
from scipy.special import logit

from accent.audio.waveform import SAMPLE_RATE
from accent.scoring.scorer import Piece, Window


def least_native(windows: list[Window], count: int = 3) -> list[Window]:
    """Up to `count` windows below one half, the lowest first, without overlap; if none is below, the lowest one."""
    chosen: list[Window] = []
    for window in sorted(windows, key=lambda window: (window.probability, window.start_s)):
        if chosen and window.probability >= 0.5:
            break
        if all(window.end_s <= other.start_s or window.start_s >= other.end_s for other in chosen):
            chosen.append(window)
        if len(chosen) == count:
            break
    return chosen


def within(windows: list[Window], piece: Piece) -> list[Window]:
    """The windows that begin in a piece of the recording."""
    end = piece.start_s + len(piece.waveform) / SAMPLE_RATE
    return [window for window in windows if piece.start_s <= window.start_s < end]


def curve(windows: list[Window]) -> tuple[np.ndarray, np.ndarray]:
    """The windows' middles in seconds, and their log-odds."""
    probabilities = np.clip([window.probability for window in windows], 1e-6, 1 - 1e-6)
    middles = np.array([(window.start_s + window.end_s) / 2 for window in windows])
    return middles, logit(probabilities)
