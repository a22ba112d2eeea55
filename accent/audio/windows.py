"""Windows: pieces of a fixed number of frames, which are what the network hears of a clip."""

from collections.abc import Sequence

import numpy as np

MAX_WINDOW_SECONDS = 30  # far more than a network that hears sounds and not words may want; bounds the memory


def frame_counts(spectrograms: Sequence[np.ndarray]) -> np.ndarray:
    """The length of each spectrogram; of `accent.core.parts.Parts` from their index, without opening one."""
    lengths = getattr(spectrograms, "lengths", None)
    return np.array([len(spectrogram) for spectrogram in spectrograms]) if lengths is None else lengths


def even_starts(length: int, window: int, hop: int) -> np.ndarray:
    """First frames of windows spread evenly over `length` frames, at most `hop` apart, from its start to its end."""
    last = max(length - window, 0)
    return np.linspace(0, last, -(-last // hop) + 1).round().astype(np.int64)


def cut(spectrogram: np.ndarray, start: int, window: int) -> np.ndarray:
    """A window of shape (1, n_mels, window), uint8, of a spectrogram (frames, n_mels); silence fills what it lacks."""
    piece = spectrogram[start : start + window]
    if len(piece) < window:
        piece = np.concatenate([piece, np.zeros((window - len(piece), piece.shape[1]), piece.dtype)])
    return piece.T[np.newaxis]


def even_windows(spectrogram: np.ndarray, window: int, hop: int) -> tuple[np.ndarray, np.ndarray]:
    """The first frames of a spectrogram's `even_starts` windows, and the windows, uint8 (count, 1, n_mels, window)."""
    starts = even_starts(len(spectrogram), window, hop)
    return starts, np.stack([cut(spectrogram, start, window) for start in starts])
