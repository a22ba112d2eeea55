"""The banks of a pipeline's classes: from its own training clips and the shipped banks."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pydantic import PositiveInt

from accent.core.params import Seed, params
from accent.corpus.common_voice import ClassFilter
from accent.grading.build import STEP, draw_balanced, hear_clips, leave_speaker_out, make_natives
from accent.grading.encoder import Ear
from accent.grading.grade import Reference, fit_reference, frame_grades
from accent.grading.grader import Pools
from accent.grading.store import Natives, Shipped, Take

MIN_SPEAKERS, MIN_TAKES = 2, 10  # of natives: with fewer nobody can say how natives are graded


@params
class BankParams:
    clips: PositiveInt
    frames: PositiveInt
    takes: PositiveInt
    seed: Seed


def build_pools(
    waveforms: Path,
    clips: pd.DataFrame,
    classes: Mapping[str, ClassFilter],
    ear: Ear,
    shipped: Shipped,
    params: BankParams,
) -> tuple[Pools, dict]:
    """The banks of all classes, and what the card says of them; `clips` are the index's rows with `split`.

    The shipped natives are those of the one class of their locale; where several classes share it, each has its own
    clips alone. Natives of a language that is no class's are others.
    """
    drawn = {
        (name, split): _draw(clips[(clips["label"] == name) & (clips["split"] == split)], count, params.seed)
        for name in classes
        for split, count in (("train", params.clips), ("valid", params.takes))
    }
    rows = pd.concat(drawn.values(), ignore_index=True)
    heard = iter(hear_clips(waveforms, ear, rows))
    heard = {key: [next(heard) for _ in range(len(part))] for key, part in drawn.items()}
    of_locale = [spec.locale for spec in classes.values()]
    natives, tested, locales = {}, {}, {}
    for name, spec in classes.items():
        speakers = drawn[name, "train"]["client_id"].tolist()
        natives[name] = make_natives(heard[name, "train"], speakers, params.frames, params.takes)
        if spec.locale in shipped.natives and of_locale.count(spec.locale) == 1:
            natives[name] = _join(shipped.natives[spec.locale], natives[name], params.takes)
        tested[name] = zip(heard[name, "valid"], drawn[name, "valid"]["client_id"], strict=True)
        locales[name] = spec.locale
    unclaimed = {locale: bank.frames for locale, bank in shipped.natives.items() if locale not in of_locale}
    others = (*shipped.locales, *unclaimed)
    numbers = [shipped.locale_numbers]
    numbers += [torch.full((len(frames),), others.index(locale)) for locale, frames in unclaimed.items()]
    full = {name: bank.frames for name, bank in natives.items() if len(bank.frames)}
    pools = Pools(full, torch.cat([shipped.others, *unclaimed.values()]), torch.cat(numbers))
    targets, without = {}, {}
    for name, bank in natives.items():
        found = _refer(name, bank, tested[name], pools, locales, others)
        (targets if isinstance(found, Reference) else without)[name] = found
    locales = {name: locales[name] for name in full}
    return pools, {"locales": locales, "others": others, "targets": targets, "without": without}


def _draw(clips: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    clips = clips.reset_index(drop=True)
    return clips.iloc[draw_balanced(clips, np.zeros(len(clips)), count, seed)]


def _join(shipped: Natives, own: Natives, takes: int) -> Natives:
    """One bank of two, with as many takes of each; the second's speakers are numbered after the first's."""
    first = int(shipped.speakers.max()) + 1
    both = shipped.takes[:takes] + [Take(take.frames, first + take.speaker) for take in own.takes]
    frames = torch.cat([shipped.frames, own.frames])
    return Natives(frames, torch.cat([shipped.speakers, first + own.speakers]), both)


def _refer(name: str, bank: Natives, tested, pools: Pools, locales: dict, others: tuple[str, ...]) -> Reference | str:
    """How natives of a class are graded, or why that is not known."""
    speakers = len(bank.speakers.unique())
    if speakers < MIN_SPEAKERS:
        return (
            f"clips of {speakers} speaker{'s' * (speakers != 1)} are in the training split, {MIN_SPEAKERS} are needed"
        )
    natives, rest = pools.sides(name, locales, others)
    takes = leave_speaker_out(bank, rest)
    whose = [take.speaker for take in bank.takes]
    for frames, speaker in tested:
        if len(frames):
            takes.append(frame_grades(frames, natives, rest).numpy())
            whose.append(speaker)
    if len(takes) < MIN_TAKES:
        return f"{len(takes)} takes of natives, at least {MIN_TAKES} are needed"
    return fit_reference(takes, whose, STEP)
