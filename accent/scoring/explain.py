"""Which parts of a spectrogram speak for and against the target class.

Integrated gradients (arXiv 1703.01365, captum's) from each window's own mean spectrum: of the methods tried, none was
measurably better at naming the cells whose loss moves the score (docs/scoring.md, "Why it says so").
"""

from typing import NamedTuple

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from accent.audio.waveform import SAMPLE_RATE
from accent.audio.windows import even_windows
from accent.network.calibration import one_against_rest
from accent.network.model import ModelCard, clip_logits, window_logits

STEPS = 8  # of the integral; 16 named no better cells, 4 leave a larger gap between the sum and the score
WINDOWS_AT_ONCE = 32
CELL_BANDS = 8  # a cell is a piece of the spectrogram that is taken away at once: 8 of 64 bands ...
CELL_SECONDS = 0.1  # ... for a tenth of a second


class LogOdds(nn.Module):
    """The calibrated log-odds (batch,) of one class for windows (batch, 1, n_mels, frames) in 0-1."""

    def __init__(self, model: nn.Module, card: ModelCard, target: int) -> None:
        super().__init__()
        self.model, self.temperature, self.target = model, card.temperature, target

    def forward(self, windows: Tensor) -> Tensor:
        logits = self.model(windows) / self.temperature
        others = [number for number in range(logits.shape[1]) if number != self.target]
        return logits[:, self.target] - logits[:, others].logsumexp(dim=1)


def attributions(model: nn.Module, card: ModelCard, target: int, spectrogram: np.ndarray) -> np.ndarray:
    """Attributions: what each point of a spectrogram (frames, n_mels) adds to the log-odds of class number `target`.

    Float of the same shape, above 0 where it speaks for the class. Averaged over the windows; their sum is about the
    mean of the windows' log-odds less that of windows without change in time.
    """
    starts, windows = even_windows(spectrogram, card.window, card.window_hop)
    windows = (torch.from_numpy(windows).float() / 255).to(next(model.parameters()).device)
    method = IntegratedGradients(LogOdds(model, card, target))
    result = np.zeros((starts[-1] + card.window, spectrogram.shape[1]))
    for first in range(0, len(windows), WINDOWS_AT_ONCE):
        batch = windows[first : first + WINDOWS_AT_ONCE]
        baseline = batch.mean(dim=3, keepdim=True).expand_as(batch)
        added = method.attribute(batch, baseline, n_steps=STEPS, internal_batch_size=WINDOWS_AT_ONCE)
        for start, window in zip(starts[first:], added.detach().cpu().numpy(), strict=False):
            result[start : start + card.window] += window[0].T / len(windows)
    return result[: len(spectrogram)]


class Cells(NamedTuple):
    """The grid of cells over a spectrogram: how many frames and bands a cell has."""

    frames: int
    bands: int

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sums of values (frames, n_mels) over each cell, of shape (cells in time, cells in frequency)."""
        rows, columns = (np.arange(0, size, step) for size, step in zip(values.shape, self, strict=True))
        return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)

    def spread(self, cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Each cell's value at all of its points: the reverse of `total` in shape."""
        points = np.repeat(np.repeat(cells, self.frames, axis=0), self.bands, axis=1)
        return points[: shape[0], : shape[1]]


def cells_of(card: ModelCard) -> Cells:
    """The grid for a model's spectrograms."""
    frames = max(round(CELL_SECONDS * SAMPLE_RATE / card.spectrogram.hop_length), 1)
    return Cells(frames, min(CELL_BANDS, card.spectrogram.n_mels))


def without(spectrogram: np.ndarray, cells: Cells, taken: np.ndarray) -> np.ndarray:
    """A spectrogram whose cells that are True in `taken` hold the clip's mean spectrum instead."""
    mean = spectrogram.mean(axis=0, keepdims=True).round().astype(spectrogram.dtype)
    return np.where(cells.spread(taken, spectrogram.shape), mean, spectrogram)


class Deletion(NamedTuple):
    """Result of a deletion check: the fall of the answer's log-odds when a share of the cells is removed."""

    most: float  # those that speak most for the answer
    least: float  # those that speak most against it: it should rise, so this is below 0
    random: float  # as many drawn at random, mean over the draws
    random_size: float  # the mean size of those changes, up or down


def deletion_check(
    model: nn.Module,
    card: ModelCard,
    target: int,
    spectrogram: np.ndarray,
    explanation: np.ndarray,
    share: float,
    draws: int,
    rng: np.random.Generator,
) -> Deletion:
    """Deletion check of an explanation: remove the cells that it names, and see how far the log-odds fall."""
    cells = cells_of(card)
    totals = cells.total(explanation)
    count = max(round(share * totals.size), 1)

    def log_odds(spectrograms: list[np.ndarray]) -> np.ndarray:
        _, logits = window_logits(model, spectrograms, card.window, card.window_hop, WINDOWS_AT_ONCE)
        return one_against_rest(clip_logits(logits) / card.temperature, target)

    whole = log_odds([spectrogram])[0]
    answer = 1.0 if whole >= 0 else -1.0
    order = np.argsort(answer * totals, axis=None, kind="stable")
    chosen = [order[-count:], order[:count], *(rng.permutation(totals.size)[:count] for _ in range(draws))]
    masks = [np.isin(np.arange(totals.size), places).reshape(totals.shape) for places in chosen]
    most, least, *random = answer * (whole - log_odds([without(spectrogram, cells, taken) for taken in masks]))
    return Deletion(most, least, float(np.mean(random)), float(np.mean(np.abs(random))))
