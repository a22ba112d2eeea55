"""The banks of a pipeline's classes, `models/bank.safetensors` and `models/bank.json`: a take in, its grade out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from accent.core.errors import InputError
from accent.core.outputs import output_file
from accent.core.params import params, read_json
from accent.grading.encoder import Ear, encode, speech_places
from accent.grading.grade import Bank, Reference, frame_grades
from accent.grading.store import CARD as EAR_CARD
from accent.grading.store import load_ear, quantise_frames, read_tensors, unit_int8

WEIGHTS, CARD = "bank.safetensors", "bank.json"
EAR = "encoder"  # the folder of the ear in a model's
SOURCE = "'dvc repro' or 'dvc pull'"
OTHERS = "(others)"  # the tensor of other languages, beside those of the classes


@params
class BankCard:
    """Which classes have a bank, how natives of each are graded, and why a class has none."""

    encoder_sha256: str  # of the ear that heard the frames
    shipped_sha256: str  # of the shipped banks that are part of these
    bank_sha256: str
    locales: dict[str, str]  # of each class with frames
    others: tuple[str, ...]  # locales of the bank of other languages
    targets: dict[str, Reference]
    without: dict[str, str]  # class -> why it cannot be a target


class Pools(NamedTuple):
    """Unit frames by class, those of other languages, and the number of each of the latter's locale."""

    classes: dict[str, Tensor]
    others: Tensor
    locale_numbers: Tensor

    def sides(self, target: str, locales: Mapping[str, str], others: tuple[str, ...]) -> tuple[Bank, Bank]:
        """The bank of a target's natives, and that of all other classes and languages but its own."""
        language = locales[target].split("-")[0]
        foreign = torch.tensor([name.split("-")[0] != language for name in others])[self.locale_numbers]
        rest = [frames for name, frames in self.classes.items() if name != target]
        return Bank(self.classes[target]), Bank(torch.cat([self.others[foreign], *rest]))


class Heard(NamedTuple):
    """Grades (n,) of a waveform's frames of speech, and their numbers: frame k begins at k * `FRAME_SECONDS`."""

    values: np.ndarray
    places: np.ndarray


class Grader:
    """The ear and the banks of all targets."""

    def __init__(self, ear: Ear, pools: Pools, card: BankCard) -> None:
        self.ear, self.pools, self.card = ear, pools, card
        self._sides: dict[str, tuple[Bank, Bank]] = {}

    @classmethod
    def load(cls, folder: Path) -> "Grader":
        """Read a model's banks and its ear; raises `InputError` for files missing, damaged, or of another ear."""
        card = read_json(folder / CARD, BankCard, SOURCE)
        ear, ear_card = load_ear(folder / EAR)
        if card.encoder_sha256 != ear_card.weights_sha256:
            raise InputError(
                f"{folder / CARD}: banks of another encoder than {folder / EAR / EAR_CARD}. Run 'dvc repro bank'"
            )
        path = folder / WEIGHTS
        tensors = read_tensors(path, card.bank_sha256, CARD, SOURCE)
        try:
            classes = {name: unit_int8(tensors[name]) for name in card.locales}
            pools = Pools(classes, unit_int8(tensors[OTHERS]), tensors[f"{OTHERS}.locales"].long())
            sizes = {frames.shape[1] for frames in (pools.others, *classes.values())}
            if sizes != {ear_card.dimensions} or len(pools.locale_numbers) != len(pools.others):
                raise ValueError(f"frames of {sorted(sizes)} dimensions")
        except (KeyError, ValueError, IndexError, RuntimeError) as error:
            raise InputError(f"{path}: not the banks that {CARD} describes ({error}). {SOURCE} brings both") from None
        return cls(ear, pools, card)

    def check_target(self, target: str) -> None:
        """Raise `InputError` for a target without a bank."""
        if target not in self.card.targets:
            why = self.card.without.get(target, "no such class")
            known = ", ".join(self.card.targets) or "none"
            raise InputError(f"no bank of natives for {target!r} ({why}). There is one for: {known}")

    def reference(self, target: str) -> Reference:
        """How natives are graded for a target."""
        self.check_target(target)
        return self.card.targets[target]

    def sides(self, target: str) -> tuple[Bank, Bank]:
        """The banks of a target's natives and of all others."""
        if target not in self._sides:
            self.check_target(target)
            self._sides[target] = self.pools.sides(target, self.card.locales, self.card.others)
        return self._sides[target]

    def hear(self, waveform: np.ndarray, target: str) -> Heard:
        """The grades of a waveform's (int16, mono, 16 kHz) frames of speech."""
        places = speech_places(waveform)
        if not len(places):
            return Heard(np.zeros(0), places)
        frames = encode(self.ear, waveform)[torch.from_numpy(places)]
        return Heard(frame_grades(frames, *self.sides(target)).numpy(), places)

    def frames(self, waveform: np.ndarray) -> Tensor:
        """The encoder's frames of a waveform, with which words are aligned."""
        return encode(self.ear.encoder, waveform)


def save_bank(folder: Path, pools: Pools, card: dict) -> None:
    """Write the banks of a pipeline's classes; `card` is a `BankCard` without the hash of what is written."""
    tensors = {name: quantise_frames(frames)["frames"] for name, frames in pools.classes.items()}
    tensors |= {OTHERS: quantise_frames(pools.others)["frames"]}
    tensors |= {f"{OTHERS}.locales": pools.locale_numbers.to(torch.int16)}
    data = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    made = BankCard(**card, bank_sha256=hashlib.sha256(data).hexdigest())
    with output_file(folder / WEIGHTS) as partial:
        partial.write_bytes(data)
    with output_file(folder / CARD) as partial:
        partial.write_text(json.dumps(asdict(made), indent=1) + "\n", encoding="utf-8")
