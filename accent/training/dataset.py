"""Windows of spectrograms as fastai `DataLoaders`."""

from collections.abc import Sequence
from typing import Any

import fastai.vision.learner  # noqa: F401  (its show_batch and show_results lay a batch out as a grid)
import matplotlib.pyplot as plt
import numpy as np
import torch
from fastai.data.core import DataLoaders
from fastai.data.transforms import IntToFloatTensor
from fastai.torch_core import TensorCategory, TensorImageBW, default_device
from fasttransform import Transform

from accent.audio.windows import cut, even_starts, frame_counts
from accent.training.augment import AugmentParams, augment


class TensorSpectrogram(TensorImageBW):
    """A window (1, n_mels, frames) or a batch of them; shown with time to the right and frequency upwards."""

    def show(self, ctx: plt.Axes | None = None, title: str | None = None, **kwargs: Any) -> plt.Axes:
        """Draw one window on `ctx`, or on axes of its own, and return the axes."""
        axes = ctx or plt.subplots()[1]
        axes.imshow(self.squeeze(0).float().cpu().numpy(), origin="lower", aspect="auto", cmap="magma")
        axes.set(xticks=[], yticks=[], **({"title": title} if title else {}))
        return axes


class Label(str):
    """A class name that fastai can show above a spectrogram."""

    def show(self, ctx: plt.Axes | None = None, **kwargs: Any) -> plt.Axes:
        """Add the name to the title of `ctx`: below what stands there, so that truth is above prediction."""
        title = ctx.get_title()
        ctx.set_title(f"{title}\n{self}" if title else str(self), fontsize="medium")
        return ctx


class Windows:
    """Windows of labelled clips: window `i` begins at frame `starts[i]` of clip `clips[i]`.

    An item is a `TensorSpectrogram` (1, n_mels, window) of uint8 and a `TensorCategory`. The subclasses say which
    windows there are.
    """

    clips: np.ndarray
    starts: np.ndarray

    def __init__(
        self, spectrograms: Sequence[np.ndarray], labels: Sequence[str], vocab: Sequence[str], window: int
    ) -> None:
        self.spectrograms, self.window, self.vocab = spectrograms, window, list(vocab)
        self.targets = np.array([self.vocab.index(label) for label in labels])
        self.lengths = frame_counts(spectrograms)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: int) -> tuple[TensorSpectrogram, TensorCategory]:
        clip = self.clips[item]
        window = cut(self.spectrograms[clip], self.starts[item], self.window)
        return TensorSpectrogram(torch.tensor(window)), TensorCategory(self.targets[clip])

    def decode(self, sample: tuple, full: bool = True) -> tuple[TensorSpectrogram, Label]:
        """A sample as fastai shows it."""
        window, target = sample
        return window, Label(self.vocab[int(target)])


class EvenWindows(Windows):
    """The windows over which a clip is judged, at most `hop` frames apart: the same in every epoch."""

    def __init__(self, *args: Any, hop: int) -> None:
        super().__init__(*args)
        starts = [even_starts(length, self.window, hop) for length in self.lengths]
        self.clips = np.repeat(np.arange(len(starts)), [len(clip_starts) for clip_starts in starts])
        self.starts = np.concatenate(starts)


class RandomWindows(Windows):
    """`per_clip` windows of every clip, elsewhere in every epoch.

    Their places are a function of seed and epoch alone, not of worker processes or of what ran before.
    """

    def __init__(self, *args: Any, per_clip: int, seed: int) -> None:
        super().__init__(*args)
        self.clips, self.seed = np.tile(np.arange(len(self.lengths)), per_clip), seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw this epoch's places."""
        spare = np.maximum(self.lengths[self.clips] - self.window, 0)
        self.starts = np.random.default_rng([self.seed, epoch]).integers(0, spare, endpoint=True)


class Augment(Transform):
    """`accent.training.augment` on training batches only."""

    split_idx, order = 0, IntToFloatTensor.order + 1

    def __init__(self, params: AugmentParams, range_db: float):
        super().__init__()
        self.params, self.range_db = params, range_db

    def encodes(self, batch: TensorSpectrogram):
        return TensorSpectrogram(augment(batch.as_subclass(torch.Tensor), self.params, self.range_db))


def make_dls(
    train: Windows, valid: Windows, batch_size: int, num_workers: int, augment_params: AugmentParams, range_db: float
) -> DataLoaders:
    """`DataLoaders` of both sets of windows, on the GPU if there is one, without a last, smaller training batch."""
    train.split_idx, valid.split_idx = 0, 1
    dls = DataLoaders.from_dsets(
        train,
        valid,
        bs=batch_size,
        num_workers=num_workers,
        device=default_device(),
        after_batch=[IntToFloatTensor(), Augment(augment_params, range_db)],
        # Batch normalisation suffers from a few examples by themselves, but a set smaller than a batch is one.
        drop_last=(len(train) >= batch_size, False),
    )
    for dl in dls:
        _ = (
            dl.n_inp
        )  # fastai passes an item through when it first asks, which draws random numbers: now, not in training
    return dls
