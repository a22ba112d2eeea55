"""The ear and the natives' banks as they are shipped in `models/encoder/`: int8, a card, nothing pickled.

A weight matrix is int8 with a scale for each output; the other weights are float16. A bank's unit frames are int8.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import safetensors.torch
import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import normalize

from accent.core.errors import InputError
from accent.core.outputs import output_file
from accent.core.params import params, read_json
from accent.grading.encoder import WIDTH, Ear
from accent.network.trunk import Corpus

WEIGHTS, BANKS, CARD = "encoder.safetensors", "banks.safetensors", "encoder.json"
SOURCE = "'git restore' or 'make pretrain'"  # what brings them
SCALE = ".scale"
INT8 = 127


@params
class NativesCard:
    """The bank of one locale: its frames, and the takes that say how natives are graded."""

    frames: PositiveInt
    speakers: PositiveInt
    takes: NonNegativeInt


@params
class EarCard:
    """What the ear is made of, what the banks are made from, and how far grades agree with those of the teacher."""

    teacher: dict[str, Any]
    licence: str
    layers: Annotated[PositiveInt, Field(le=32)]  # Whisper's largest encoder; a card may not ask for any memory
    positions: Annotated[PositiveInt, Field(le=1500)]  # of its 30 s of context
    dimensions: Annotated[PositiveInt, Field(le=WIDTH)]
    natives: dict[str, NativesCard]  # by locale
    others: tuple[str, ...]  # locales of the bank of other languages
    data: tuple[Corpus, ...]
    parameters: dict[str, Any]
    agreement: dict[str, Any]
    commit: str
    weights_sha256: str
    banks_sha256: str


class Take(NamedTuple):
    """A native's recording that is graded by banks without its speaker: its unit frames, thinned."""

    frames: Tensor
    speaker: int  # the number by which the bank's frames name that speaker; -1: none of them


class Natives(NamedTuple):
    """Unit frames (count, dimensions) of natives, the number of each one's speaker, and takes to be graded."""

    frames: Tensor
    speakers: Tensor
    takes: list[Take]


class Shipped(NamedTuple):
    """The shipped banks: natives by locale, and frames of other languages with the number of each one's locale."""

    natives: dict[str, Natives]
    others: Tensor
    locale_numbers: Tensor
    locales: tuple[str, ...]  # the numbers' names


def quantise(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (outputs, ...) as int8, and the scale (outputs, 1, ...) of each output, float16."""
    scale = weights.float().flatten(1).abs().amax(dim=1).clamp(min=1e-6) / INT8
    scale = scale.half().float().clamp(min=1e-7).reshape(-1, *[1] * (weights.ndim - 1))
    return (weights.float() / scale).round().clamp(-INT8, INT8).to(torch.int8), scale.half()


def quantise_frames(frames: Tensor) -> dict[str, Tensor]:
    """Unit frames as int8 with one scale; `unit_int8` brings them back."""
    scale = frames.abs().max().clamp(min=1e-6) / INT8
    return {"frames": (frames / scale).round().to(torch.int8).contiguous()}  # of length 1 again, whatever the scale


def unit_int8(frames: Tensor) -> Tensor:
    """Frames of `quantise_frames` as float32 of length 1."""
    return normalize(frames.float(), dim=1)


def pack_ear(ear: Ear) -> bytes:
    """The ear's weights as a safetensors file: matrices in int8, but for the projection and the positions."""
    tensors = {}
    for name, weights in ear.state_dict().items():
        if weights.ndim < 2 or name.startswith(("project.", "encoder.embed_positions.")):
            tensors[name] = weights.half()
        else:
            tensors[name], tensors[name + SCALE] = quantise(weights)
    return safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})


def unpack_ear(path: Path, tensors: Mapping[str, Tensor], card: EarCard) -> Ear:
    """The ear of `pack_ear`'s tensors, in float32; raises `InputError` for those of another shape."""
    ear = Ear(card.layers, card.positions, card.dimensions)  # not on the meta device, whose first use imports sympy
    state = ear.state_dict()
    shapes = {name: tensor.shape for name, tensor in tensors.items() if not name.endswith(SCALE)}
    if other := sorted(n for n in shapes.keys() | state.keys() if n not in state or state[n].shape != shapes.get(n)):
        raise InputError(
            f"{path}: not the tensors that {CARD} describes: {len(other)} are missing, unknown or of another shape, "
            f"{other[0]} for one. {SOURCE} brings both"
        )
    for name, weights in state.items():
        try:
            weights.copy_(tensors[name].float() * tensors.get(name + SCALE, torch.ones(())).float())
        except RuntimeError:
            raise InputError(f"{path}: {name + SCALE} is of another shape than {name}. {SOURCE} brings both") from None
    return ear.eval()


def read_tensors(path: Path, sha256: str, card: str, source: str = SOURCE) -> dict[str, Tensor]:
    """The tensors of a file whose hash stands in a card; raises `InputError`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. {source} brings it") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(f"{path}: not the file that {card} describes (cut off, or another's). {source} brings both")
    try:
        return safetensors.torch.load(data)
    except SafetensorError as error:
        raise InputError(f"{path}: no safetensors file ({error}). {source} brings it") from None


def load_ear(folder: Path) -> tuple[Ear, EarCard]:
    """The ear in a folder, ready to hear, and its card; raises `InputError` for files missing, damaged or unfit."""
    card = read_json(folder / CARD, EarCard, SOURCE)
    path = folder / WEIGHTS
    return unpack_ear(path, read_tensors(path, card.weights_sha256, CARD), card), card


def load_shipped(folder: Path) -> Shipped:
    """The shipped banks of a folder; raises `InputError` for files missing, damaged or unfit."""
    card = read_json(folder / CARD, EarCard, SOURCE)
    path = folder / BANKS
    tensors = read_tensors(path, card.banks_sha256, CARD)
    natives = {}
    try:
        for locale in card.natives:
            frames, speakers, takes, owners, take_speakers = (tensors[f"{locale}.{name}"] for name in NATIVE_TENSORS)
            rows = zip(takes.split(torch.bincount(owners.long()).tolist()), take_speakers.tolist(), strict=True)
            natives[locale] = Natives(unit_int8(frames), speakers.long(), [Take(unit_int8(x), s) for x, s in rows])
        others, numbers = unit_int8(tensors["others.frames"]), tensors["others.locales"].long()
        wrong = {frames.shape[1] for frames in (others, *(bank.frames for bank in natives.values()))}
        if wrong != {card.dimensions} or numbers.max() >= len(card.others):
            raise ValueError(f"frames of {sorted(wrong)} dimensions")
    except (KeyError, ValueError, RuntimeError, IndexError) as error:
        raise InputError(f"{path}: not the banks that {CARD} describes ({error}). {SOURCE} brings both") from None
    return Shipped(natives, others, numbers, card.others)


NATIVE_TENSORS = ("frames", "speakers", "takes", "take_of_frame", "take_speakers")


def save_shipped(folder: Path, ear: Ear, banks: Shipped, card: dict[str, Any]) -> None:
    """Write the ear, the banks and the card into a folder; `card` is an `EarCard` without what follows from them."""
    tensors = {
        **{f"others.{name}": tensor for name, tensor in quantise_frames(banks.others).items()},
        "others.locales": banks.locale_numbers.to(torch.int16),
    }
    for locale, bank in banks.natives.items():
        takes = [quantise_frames(take.frames)["frames"] for take in bank.takes]
        owners = torch.repeat_interleave(torch.arange(len(takes)), torch.tensor([len(take) for take in takes]))
        values = (
            quantise_frames(bank.frames)["frames"],
            bank.speakers.to(torch.int16),
            torch.cat(takes),
            owners.to(torch.int16),
            torch.tensor([take.speaker for take in bank.takes], dtype=torch.int16),
        )
        tensors |= {f"{locale}.{name}": value for name, value in zip(NATIVE_TENSORS, values, strict=True)}
    files = {WEIGHTS: pack_ear(ear), BANKS: safetensors.torch.save({n: t.contiguous() for n, t in tensors.items()})}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    counts = {
        locale: NativesCard(frames=len(bank.frames), speakers=len(bank.speakers.unique()), takes=len(bank.takes))
        for locale, bank in banks.natives.items()
    }
    made = EarCard(
        **card, natives=counts, others=banks.locales, weights_sha256=hashes[WEIGHTS], banks_sha256=hashes[BANKS]
    )
    for name, data in files.items():
        with output_file(folder / name) as partial:
            partial.write_bytes(data)
    with output_file(folder / CARD) as partial:
        partial.write_text(json.dumps(asdict(made), indent=2) + "\n", encoding="utf-8")
