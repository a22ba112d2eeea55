"""The shipped ear and its banks: from the teacher's first layers and the speech of the pre-training."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from tqdm import tqdm

from accent.core.errors import InputError
from accent.core.params import Seed, params
from accent.corpus.common_voice import NAME_SEPARATOR
from accent.grading.build import STEP, draw_balanced, hear, make_natives, unit_projection
from accent.grading.encoder import CONTEXT_SECONDS, FRAME_SECONDS, WIDTH, Ear, Encoder, speech_places
from accent.grading.grade import Bank, frame_grades, thinned
from accent.grading.store import Shipped, quantise
from accent.pretraining.agreement import clip_grades
from accent.pretraining.teacher import Teacher

UNKNOWN = "unknown:"  # how the ingest stage names the speaker of a clip that states none


@params
class NativesFilter:
    """Whose clips are natives'; with `accents`, only clips that state their speaker and no other accent than these."""

    accents: tuple[str, ...] = ()


@params
class BanksParams:
    layers: Annotated[int, Field(ge=1, le=6)]
    dimensions: Annotated[int, Field(ge=8, le=WIDTH)]
    natives: dict[str, NativesFilter]  # by locale
    native_clips: PositiveInt
    native_frames: PositiveInt
    takes: PositiveInt
    other_clips: PositiveInt
    other_frames: PositiveInt
    seed: Seed


def is_native(clips: pd.DataFrame, locale: str, who: NativesFilter) -> np.ndarray:
    """Which clips are natives' of a locale."""
    of_locale = (clips["label"] == locale).to_numpy()
    if not who.accents:
        return of_locale
    stated = clips["accents"].map(lambda text: {name for name in NAME_SEPARATOR.split(text.strip()) if name})
    native = stated.map(lambda names: bool(names) and names <= set(who.accents))
    return of_locale & native.to_numpy() & ~clips["client_id"].str.startswith(UNKNOWN).to_numpy()


def choose_clips(clips: pd.DataFrame, releases: Sequence[str], params: BanksParams) -> dict[str, np.ndarray]:
    """Row numbers of each bank's clips: for every locale of natives, and `others`. Sources and speakers are balanced.

    The sources of natives are the `releases`, those of the others the locales.
    """
    found = {}
    for locale, who in params.natives.items():
        rows = np.flatnonzero(is_native(clips, locale, who))
        if clips["client_id"].iloc[rows].nunique() < 2:
            raise InputError(
                f"params.yaml: banks.natives.{locale}: clips of at least two speakers are needed, there are {len(rows)}"
                " clips. Add speech, or take the locale out"
            )
        order = draw_balanced(clips.iloc[rows], np.asarray(releases)[rows], params.native_clips, params.seed)
        found[locale] = rows[order]
    rows = np.flatnonzero(~clips["label"].isin(list(params.natives)))
    if not len(rows):
        raise InputError("params.yaml: banks.natives: no clip of another locale is left. Add speech of other languages")
    order = draw_balanced(clips.iloc[rows], clips["label"].iloc[rows], params.other_clips, params.seed)
    return found | {"others": np.sort(rows[order])}


def rounded_encoder(state: Mapping[str, Tensor], layers: int) -> Encoder:
    """The teacher's first layers, with weights as they are after a way through int8."""
    encoder = Encoder(layers, round(CONTEXT_SECONDS / FRAME_SECONDS))
    kept = {name: state[name].float() for name in encoder.state_dict()}
    kept["embed_positions.weight"] = kept["embed_positions.weight"][: encoder.embed_positions.num_embeddings]
    for name, weights in kept.items():
        if weights.ndim > 1 and name != "embed_positions.weight":
            levels, scale = quantise(weights)
            kept[name] = levels.float() * scale.float()
        else:
            kept[name] = weights.half().float()
    encoder.load_state_dict(kept)
    return encoder.eval()


def build(
    clips: pd.DataFrame,
    waveforms: Sequence[np.ndarray],
    chosen: Mapping[str, np.ndarray],
    encoder: Encoder,
    params: BanksParams,
) -> tuple[Ear, Shipped]:
    """The ear, whose projection is fitted to all frames of the banks, and the banks."""
    heard = {
        name: [hear(encoder, waveforms[row])[::STEP].half() for row in tqdm(rows, unit="clip", desc=f"ear: {name}")]
        for name, rows in chosen.items()
    }
    locales = tuple(sorted(clips["label"].iloc[chosen["others"]].unique()))
    each = params.other_frames // len(heard["others"])
    others = [thinned(clip, each) for clip in heard.pop("others")]
    sides = [
        torch.cat([thinned(clip, params.native_frames // len(side)) for clip in side if len(clip)])
        for side in heard.values()
    ]
    ear = Ear(params.layers, encoder.embed_positions.num_embeddings, params.dimensions)
    ear.encoder = encoder
    weight, bias = unit_projection(torch.cat([*sides, *others]).float(), params.dimensions)
    ear.project.weight.data, ear.project.bias.data = weight.half().float(), bias.half().float()

    def unit(frames: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.nn.functional.normalize(ear.project(frames.float()), dim=-1)

    natives = {
        locale: make_natives(
            [unit(clip) for clip in side],
            clips["client_id"].iloc[chosen[locale]].tolist(),
            params.native_frames,
            params.takes,
        )
        for locale, side in heard.items()
    }
    kept = [locales.index(clips["label"].iat[row]) for row in chosen["others"]]
    numbers = torch.repeat_interleave(torch.tensor(kept), torch.tensor([len(clip) for clip in others]))
    return ear.eval(), Shipped(natives, unit(torch.cat(others)), numbers, locales)


def other_side(banks: Shipped, locale: str) -> Bank:
    """The bank of other languages for a locale: the other natives' and the shipped others, without its language."""
    language = locale.split("-")[0]
    foreign = torch.tensor([name.split("-")[0] != language for name in banks.locales])[banks.locale_numbers]
    sides = [bank.frames for name, bank in banks.natives.items() if name.split("-")[0] != language]
    return Bank(torch.cat([banks.others[foreign], *sides]))


def said_by(teacher: Teacher, waveform: np.ndarray) -> Tensor:
    """The teacher's frames of speech."""
    return torch.from_numpy(teacher.frames([waveform])[0])[torch.from_numpy(speech_places(waveform))]


def measure_agreement(
    ear: Ear,
    banks: Shipped,
    teacher: Teacher,
    waveforms: Sequence[np.ndarray],
    chosen: Mapping[str, np.ndarray],
    graded: Mapping[str, Sequence[np.ndarray]],
    clips_of_bank: int,
) -> dict[str, dict[str, float | int]]:
    """By target locale, the correlation over clips of the shipped grades with those of the float teacher.

    `graded` has waveforms by set, which are in no bank. The teacher hears them, and `clips_of_bank` clips of each
    side's, in its own context; its banks are of all its dimensions.
    """
    takes = [waveform for side in graded.values() for waveform in side]
    sides = {name: rows[:: max(len(rows) // clips_of_bank, 1)] for name, rows in chosen.items()}
    heard = {
        name: [said_by(teacher, waveforms[row]) for row in tqdm(rows, unit="clip", desc=f"teacher: {name}")]
        for name, rows in sides.items()
    }
    said = [said_by(teacher, take) for take in tqdm(takes, unit="clip", desc="teacher: takes")]
    found = {}
    for locale in banks.natives:
        natives = Bank(banks.natives[locale].frames)
        foreign = other_side(banks, locale)
        ours = np.array([float(frame_grades(hear(ear, take), natives, foreign).mean()) for take in takes])
        others = [clip for name, side in heard.items() if name != locale for clip in side]
        every = [*heard[locale], *others, *said]
        first, second = len(heard[locale]), len(heard[locale]) + len(others)
        theirs = clip_grades(every.__getitem__, range(first), range(first, second), range(second, len(every)))
        found[locale] = {"correlation": float(np.corrcoef(ours, theirs)[0, 1]), "clips": len(takes)}
        start = 0
        for name, side in graded.items():
            rows = slice(start, start := start + len(side))
            found[locale][f"correlation_{name}"] = float(np.corrcoef(ours[rows], theirs[rows])[0, 1])
    return found
