"""The trunk: weights of all layers but the last, from which training starts. Saved and loaded without pickle."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.error import URLError

import safetensors.torch
import torch
from pydantic import NonNegativeInt, PositiveInt
from safetensors import SafetensorError
from torch import Tensor

from accent.audio.spectrogram import SpectrogramParams
from accent.core.errors import InputError
from accent.core.outputs import output_file, write_json
from accent.core.params import params, read_json
from accent.network.resnet import ResNet

WEIGHTS, CARD = "trunk.safetensors", "trunk.json"
HEAD = "fc."  # the last layer, which a trunk lacks
SOURCE = "'git restore' or 'make pretrain'"  # what brings a trunk


@params
class Corpus:
    """Recordings that a trunk was trained on: the clips of one release, in some of its locales."""

    release: str
    locales: tuple[str, ...]
    clips: NonNegativeInt
    hours: float
    licence: str


@params
class TrunkCard:
    """What a trunk fits (network and spectrogram), and what it was made from."""

    arch: str
    width: PositiveInt
    antialias: bool
    spectrogram: SpectrogramParams
    teacher: dict[str, Any]
    data: tuple[Corpus, ...]
    pretraining: dict[str, Any]  # parameters
    commit: str
    metrics: dict[str, Any]
    weights_sha256: str


def save_trunk(folder: Path, network: ResNet, card: dict) -> None:
    """Write `trunk.safetensors` (float16) and `trunk.json` into `folder`; `card` is a `TrunkCard` without the hash."""
    trunk = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(HEAD)}
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in trunk.items()}
    weights = safetensors.torch.save({name: tensor.contiguous() for name, tensor in halves.items()})
    card = TrunkCard(**card, weights_sha256=hashlib.sha256(weights).hexdigest())
    with output_file(folder / WEIGHTS) as partial:
        partial.write_bytes(weights)
    write_json(folder / CARD, asdict(card))


def load_trunk(
    folder: Path, arch: str, width: int, antialias: bool, spectrogram: SpectrogramParams
) -> dict[str, Tensor]:
    """The weights, in float32, of the trunk in `folder`, for `build_model`.

    Raises `InputError` where it is missing or damaged, or is not for that network and these spectrograms.
    """
    path = folder / WEIGHTS
    try:
        weights = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. {SOURCE} brings it, or set train.weights to none") from None
    card = read_json(folder / CARD, TrunkCard, SOURCE)
    if hashlib.sha256(weights).hexdigest() != card.weights_sha256:
        raise InputError(f"{path}: not the weights that {CARD} describes (cut off, or another's). {SOURCE} brings both")
    wanted = _fits(arch, width, antialias, spectrogram)
    made_for = _fits(card.arch, card.width, card.antialias, card.spectrogram)
    if others := [f"{name} {made_for[name]}, not {wanted[name]}" for name in wanted if made_for[name] != wanted[name]]:
        raise InputError(
            f"{folder / CARD}: this trunk is for {'; '.join(others)}. Change params.yaml to what the trunk has, make "
            "a trunk of your own ('make pretrain'), or set train.weights to none"
        )
    try:
        trunk = safetensors.torch.load(weights)
    except SafetensorError as error:
        raise InputError(f"{path}: no safetensors file ({error}). {SOURCE} brings it") from None
    with torch.device("meta"):
        network = ResNet(arch, width, antialias, channels=1)
    needed = {name: tensor.shape for name, tensor in network.state_dict().items() if not name.startswith(HEAD)}
    found = {name: tensor.shape for name, tensor in trunk.items()}
    if other := sorted(name for name in needed.keys() | found.keys() if needed.get(name) != found.get(name)):
        raise InputError(
            f"{path}: not the tensors of {arch} of width {width}: {len(other)} are missing, unknown or of another "
            f"shape, {other[0]} for one. {SOURCE} brings it"
        )
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in trunk.items()}


def _fits(arch: str, width: int, antialias: bool, spectrogram: SpectrogramParams) -> dict[str, Any]:
    """The parameters that a trunk depends on, under their names in params.yaml."""
    network = {"train.arch": arch, "train.width": width, "train.antialias": antialias}
    return network | {f"spectrogram.{name}": value for name, value in asdict(spectrogram).items()}


def imagenet_trunk(arch: str, width: int, antialias: bool) -> dict[str, Tensor]:
    """torchvision's published weights (hash-checked, fetched once); the first layer's colour filters summed to one."""
    from torchvision import models  # slow to import, and needed for nothing else

    if width != 64 or antialias:
        raise InputError("params.yaml: train.weights: imagenet: are for train.width 64 and train.antialias false only")
    published = models.get_model_weights(arch).IMAGENET1K_V1
    try:
        weights = published.get_state_dict(check_hash=True, weights_only=True)
    except (URLError, OSError) as error:
        raise InputError(
            f"train.weights: imagenet: cannot fetch {published.url} ({error}). Connect to a network once, put the "
            f"file into {torch.hub.get_dir()}/checkpoints, or set train.weights to speech"
        ) from None
    trunk = {name: tensor for name, tensor in weights.items() if not name.startswith(HEAD)}
    return trunk | {"conv1.weight": weights["conv1.weight"].sum(dim=1, keepdim=True)}
