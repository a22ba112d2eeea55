"""The network: build it, save it without pickle, load it, and what it says of clips."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal
from urllib.error import URLError

import numpy as np
import safetensors.torch
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from safetensors import SafetensorError
from torch import Tensor, nn

from accent.audio import SAMPLE_RATE, AudioParams
from accent.errors import InputError
from accent.network import ARCHITECTURES, ResNet
from accent.outputs import output_file
from accent.params import params, read_json
from accent.spectrogram import SpectrogramParams
from accent.windows import MAX_WINDOW_SECONDS, cut, even_starts, window_frames

WEIGHTS, CARD = "accent.safetensors", "accent.json"


@params
class ModelCard:
    """All that one must know to use the weights: how audio becomes windows, and logits become a probability."""

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
        return window_frames(self.window_seconds, SAMPLE_RATE, self.spectrogram.hop_length)

    @property
    def window_hop(self) -> int:
        """Frames between the windows over which a clip is judged."""
        return window_frames(self.window_hop_seconds, SAMPLE_RATE, self.spectrogram.hop_length)


class Standardise(nn.Module):
    """0-1 log-mel to about mean 0 and variance 1, which is what the usual initialisations expect."""

    def forward(self, batch: Tensor) -> Tensor:
        return (batch - 0.5) / 0.25


def build_model(
    arch: str,
    n_classes: int,
    width: int = 64,
    antialias: bool = False,
    weights: Literal["none", "imagenet"] = "none",
    where: str = "params.yaml: train",
) -> nn.Module:
    """A residual network for windows (batch, 1, n_mels, frames) in 0-1, giving logits (batch, n_classes).

    With `weights: imagenet`, torchvision's published weights (hash-checked, fetched once), of which the first layer's
    three colour filters are summed to one. `where` the settings stand is for the messages.
    """
    if arch not in ARCHITECTURES:
        raise InputError(f"{where}.arch: no network {arch!r}. Known: {', '.join(ARCHITECTURES)}")
    if weights == "imagenet" and (width != 64 or antialias):
        raise InputError(f"{where}.weights: imagenet: are for train.width 64 and train.antialias false only")
    network = ResNet(arch, width, antialias)
    if weights == "imagenet":
        network.load_state_dict(_published_weights(arch))
    colours = network.conv1
    network.conv1 = nn.Conv2d(1, colours.out_channels, kernel_size=7, stride=2, padding=3, bias=False)
    if weights == "imagenet":
        network.conv1.weight.data = colours.weight.data.sum(dim=1, keepdim=True)
    network.fc = nn.Linear(network.fc.in_features, n_classes)
    return nn.Sequential(Standardise(), network)


def _published_weights(arch: str) -> dict[str, Tensor]:
    from torchvision import models  # slow to import, and needed for nothing else

    published = models.get_model_weights(arch).IMAGENET1K_V1
    try:
        return published.get_state_dict(check_hash=True, weights_only=True)
    except (URLError, OSError) as error:
        raise InputError(
            f"train.weights: imagenet: cannot fetch {published.url} ({error}). Connect to a network once, put the "
            f"file into {torch.hub.get_dir()}/checkpoints, or set train.weights to none"
        ) from None


def save_model(folder: Path, model: nn.Module, card: dict) -> None:
    """Write `accent.safetensors` and `accent.json` into `folder`; `card` is a `ModelCard` without the hash."""
    weights = safetensors.torch.save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    card = ModelCard(**card, weights_sha256=hashlib.sha256(weights).hexdigest())
    with output_file(folder / WEIGHTS) as partial:
        partial.write_bytes(weights)
    with output_file(folder / CARD) as partial:
        partial.write_text(json.dumps(asdict(card), indent=2) + "\n", encoding="utf-8")


def load_model(folder: Path, device: str = "cpu") -> tuple[nn.Module, ModelCard]:
    """The network on `device`, ready to judge, and its card; `InputError` for files missing or not of one model."""
    try:
        weights = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file. 'dvc repro' or 'dvc pull' brings the model") from None
    card = read_json(folder / CARD, ModelCard)
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
    starts = [even_starts(len(spectrogram), window, hop) for spectrogram in spectrograms]
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
