"""How unlike speech a recording is: how far simple statistics of its windows lie from those of the training clips.

Independent of the network, which has never heard anything but speech and is as sure of music as of a sentence.
"""

import numpy as np

from accent.audio.windows import even_windows
from accent.core.params import params
from accent.network.model import ModelCard

GROUPS = 8  # of mel bands
MODULATIONS = ((0.5, 2.0), (2.0, 8.0), (8.0, 16.0), (16.0, 51.0))  # Hz; syllables come at 2 to 8 a second
LAG_SECONDS = 0.1
COUNT = 3 * GROUPS + len(MODULATIONS) + 8


@params
class Typicality:
    """Centre and precision (inverse covariance) of the training clips' statistics, and the distance still allowed."""

    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    allowed: float

    def __post_init__(self) -> None:
        if len(self.mean) != COUNT or {len(self.precision), *map(len, self.precision)} != {COUNT}:
            raise ValueError(f"mean and precision must have {COUNT} numbers a side")
        if not self.allowed > 0:
            raise ValueError(f"allowed must be above 0, and is {self.allowed}")

    def unlikeness(self, features: np.ndarray) -> float:
        """Distance of a clip's mean `window_features` (count,) from the centre, as a multiple of the allowed one."""
        return float(distances(features[np.newaxis], self.mean, self.precision)[0] / self.allowed)


def clip_features(spectrogram: np.ndarray, card: ModelCard) -> np.ndarray:
    """The `window_features` (windows, count) of a spectrogram's windows, as the model hears them."""
    _, windows = even_windows(spectrogram, card.window, card.window_hop)
    return window_features(windows[:, 0], card.spectrogram.seconds_of(1))


def window_features(windows: np.ndarray, frame_seconds: float) -> np.ndarray:
    """Statistics (n, count) of spectrogram windows (n, n_mels, frames), uint8.

    By group of bands: mean, spread over time, change from frame to frame. Then, as logarithms of shares, how fast the
    level is modulated; peakiness and contrast over the bands; low, middle and high level; change from band to band,
    from frame to frame and over a tenth of a second.
    """
    cells = windows.astype(np.float32) / 255
    edges = np.linspace(0, cells.shape[1], GROUPS, endpoint=False).astype(int)
    sizes = np.diff([*edges, cells.shape[1]])[:, np.newaxis]
    bands = np.add.reduceat(cells, edges, axis=1) / sizes
    level = bands.mean(axis=1)
    frames = level.shape[1]
    envelope = (level - level.mean(axis=1, keepdims=True)) * np.hanning(frames)
    power = np.abs(np.fft.rfft(envelope, axis=1)) ** 2
    hz = np.fft.rfftfreq(frames, frame_seconds)
    total = power[:, 1:].sum(axis=1) + 1e-9
    modulation = [np.log(power[:, (hz >= low) & (hz < high)].sum(axis=1) / total + 1e-3) for low, high in MODULATIONS]
    lag = min(max(round(LAG_SECONDS / frame_seconds), 1), frames - 1)
    shape = [
        *modulation,
        (cells.max(axis=1) - cells.mean(axis=1)).mean(axis=1),
        cells.std(axis=1).mean(axis=1),
        *np.quantile(level, [0.1, 0.5, 0.9], axis=1),
        np.abs(np.diff(cells, axis=1)).mean(axis=(1, 2)),
        np.abs(np.diff(cells, axis=2)).mean(axis=(1, 2)),
        np.abs(cells[:, :, lag:] - cells[:, :, :-lag]).mean(axis=(1, 2)),
    ]
    by_band = [bands.mean(axis=2), bands.std(axis=2), np.abs(np.diff(bands, axis=2)).mean(axis=2)]
    return np.concatenate([*by_band, np.stack(shape, axis=1)], axis=1, dtype=np.float64)


def distances(features: np.ndarray, mean: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Mahalanobis distances (n,) of features (n, count)."""
    offsets = features - np.asarray(mean)
    return np.sqrt(np.einsum("ni,ij,nj->n", offsets, np.asarray(precision), offsets))


def fit_typicality(train: np.ndarray, held_out: np.ndarray, quantile: float) -> Typicality:
    """From the features of training clips, with a shrunk covariance (Ledoit and Wolf 2004).

    The distance allowed is the one that a share `quantile` of held-out clips keeps within.
    """
    from sklearn.covariance import LedoitWolf  # slow to import, and scoring needs none of it

    scale = train.std(axis=0)
    scale[scale == 0] = 1
    fitted = LedoitWolf().fit(train / scale)  # it shrinks towards equal variances, which those of one unit have
    mean, precision = fitted.location_ * scale, fitted.get_precision() / np.outer(scale, scale)
    allowed = np.quantile(distances(held_out, mean, precision), quantile)
    return Typicality(
        mean=tuple(mean.tolist()), precision=tuple(map(tuple, precision.tolist())), allowed=float(allowed)
    )
