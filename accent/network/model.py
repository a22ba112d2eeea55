"""The network: build, save (without pickle), load, and compute the logits of clips."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import safetensors.torch
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from safetensors import SafetensorError
from torch import Tensor, nn

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import AudioParams
from accent.audio.windows import MAX_WINDOW_SECONDS, cut, even_starts, frame_counts
from accent.core.errors import InputError
from accent.core.outputs import output_file, write_json
from accent.core.params import params, read_json
from accent.network.resnet import ARCHITECTURES, ResNet

WEIGHTS, CARD = "accent.safetensors", "accent.json"


@params
class ModelCard:
    """The model's card: how audio becomes windows, and how logits become a probability."""

    arch: str
    width: PositiveInt
    antialias: bool
    classes: tuple[str, ...]
    audio: AudioParams
    spectrogram: SpectrogramParams
    window_seconds: Annotated[float, Field(ge=0.2, le=MAX_WINDOW_SECONDS)]
    window_hop_seconds: PositiveFloat
    temperature: PositiveFloat
    weights_sha256: str

    @property
    def window(self) -> int:
        """Frames in a window."""
        return self.spectrogram.frames_in(self.window_seconds)

    @property
    def window_hop(self) -> int:
        """Frames between the windows over which a clip is judged."""
        return self.spectrogram.frames_in(self.window_hop_seconds)

    def check_labels(self, labels: Iterable[str], where: Path) -> None:
        """Raise `InputError` for a label, of the file `where`, that is none of the model's classes."""
        if strangers := sorted(set(labels) - set(self.classes)):
            raise InputError(f"{where}: classes {strangers} are not the model's {list(self.classes)}. Run 'dvc repro'")


class Standardise(nn.Module):
    """Standardise log-mel in 0-1 to about mean 0 and variance 1, as the usual initialisations expect."""

    def forward(self, batch: Tensor) -> Tensor:
        return (batch - 0.5) / 0.25


def build_model(
    arch: str,
    n_classes: int,
    width: int = 64,
    antialias: bool = False,
    trunk: Mapping[str, Tensor] | None = None,
    where: str = "params.yaml: train",
) -> nn.Module:
    """A residual network for windows (batch, 1, n_mels, frames) in 0-1, giving logits (batch, n_classes).

    Its weights are random, but for those of a `trunk` (`accent.network.trunk`): all layers below the last. `where` the
    settings stand is for the message.
    """
    if arch not in ARCHITECTURES:
        raise InputError(f"{where}.arch: no network {arch!r}. Known: {', '.join(ARCHITECTURES)}")
    network = ResNet(arch, width, antialias, channels=1)
    network.fc = nn.Linear(network.fc.in_features, n_classes)
    if trunk is not None:
        network.load_state_dict(network.state_dict() | trunk)
    return nn.Sequential(Standardise(), network)


def save_model(folder: Path, model: nn.Module, card: dict) -> None:
    """Write `accent.safetensors` and `accent.json` into `folder`; `card` is a `ModelCard` without the hash."""
    weights = safetensors.torch.save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    card = ModelCard(**card, weights_sha256=hashlib.sha256(weights).hexdigest())
    with output_file(folder / WEIGHTS) as partial:
        partial.write_bytes(weights)
    write_json(folder / CARD, asdict(card))


def load_model(folder: Path, device: str = "cpu") -> tuple[nn.Module, ModelCard]:
    """The network on `device`, in evaluation mode, and its card; `InputError` for files missing or of two models."""
    try:
        weights = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file. 'dvc repro' or 'dvc pull' brings the model") from None
    card = load_card(folder)
    if hashlib.sha256(weights).hexdigest() != card.weights_sha256:
        what = f"not the weights that {CARD} describes"
        raise InputError(f"{folder / WEIGHTS}: {what}. Remove both, and 'dvc repro' or 'dvc pull' brings them")
    try:
        state = safetensors.torch.load(weights)
        del weights  # 45 MB: a command that scores a take has little more than this and torch
        model = build_model(card.arch, len(card.classes), card.width, card.antialias, where=str(folder / CARD))
        model.load_state_dict(state, assign=True)
    except (SafetensorError, RuntimeError) as error:
        raise InputError(f"{folder / WEIGHTS}: does not fit {card.arch} ({str(error).splitlines()[0]})") from None
    # In this layout of memory a CPU convolves nearly twice as fast.
    return model.float().to(device, memory_format=torch.channels_last).eval(), card


def load_card(folder: Path) -> ModelCard:
    """The card of a model alone."""
    return read_json(folder / CARD, ModelCard)


@torch.inference_mode()
def window_logits(
    model: nn.Module, spectrograms: Sequence[np.ndarray], window: int, hop: int, batch_size: int = 64
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each spectrogram (frames, n_mels) the first frames of its windows, and their logits (windows, classes).

    In float32 whatever the training's precision was, in batches that only fill across clips, so memory stays flat.
    On a CPU small batches are the fastest, since their layers stay in its cache.
    """
    device = next(model.parameters()).device
    model.eval()
    starts = [even_starts(length, window, hop) for length in frame_counts(spectrograms)]
    windows = ((clip, start) for clip, clip_starts in enumerate(starts) for start in clip_starts)
    logits: list[list[np.ndarray]] = [[] for _ in spectrograms]
    while batch := [pair for _, pair in zip(range(batch_size), windows, strict=False)]:
        pieces = np.stack([cut(spectrograms[clip], start, window) for clip, start in batch])
        outputs = model(torch.from_numpy(pieces).to(device).float() / 255).cpu().numpy()
        for (clip, _), output in zip(batch, outputs, strict=True):
            logits[clip].append(output)
    return starts, [np.stack(rows) for rows in logits]


def clip_logits(logits: Sequence[np.ndarray]) -> np.ndarray:
    """The logits of clips, float64 (clips, classes): the mean over each one's windows (windows, classes)."""
    return np.stack([windows.mean(axis=0, dtype=np.float64) for windows in logits])
