"""Banks from clips: which clips, what the ear hears in them, and which of their frames stay."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from accent.core.parts import Parts
from accent.corpus.selection import seeded_hash
from accent.grading.encoder import Ear, encode, speech_places
from accent.grading.grade import NEIGHBOURS, Bank, frame_grades, thinned
from accent.grading.store import Natives, Take

STEP = 2  # of a take whose grade is looked at, every second frame stays: 40 ms


def draw_balanced(clips: pd.DataFrame, sources: Sequence[str], count: int, seed: int) -> np.ndarray:
    """Row numbers of at most `count` clips: the sources take turns, and within each its speakers do.

    Which clip of a speaker and which speaker comes first is drawn by a seeded hash; `clips` has `clip_id`, `client_id`.
    """
    rows = pd.DataFrame({"source": list(sources), "speaker": clips["client_id"].to_numpy()})
    rows["draw"] = [seeded_hash(seed, clip) for clip in clips["clip_id"]]
    rows = rows.sort_values("draw", kind="stable")
    rows["turn"] = rows.groupby(["source", "speaker"]).cumcount()
    rows = rows.sort_values(["turn", "draw"], kind="stable")
    rows["place"] = rows.groupby("source").cumcount()
    return rows.sort_values(["place", "source"], kind="stable").index.to_numpy()[:count]


def hear(ear: torch.nn.Module, waveform: np.ndarray) -> Tensor:
    """What an ear or an encoder hears in a clip: the frames (count, dimensions) of speech."""
    frames = encode(ear, waveform)
    return frames[torch.from_numpy(speech_places(waveform))]


def hear_clips(folder: Path, ear: Ear, rows: pd.DataFrame) -> list[Tensor]:
    """The unit frames of speech, every `STEP`-th, of the clips in `folder` that `rows` of its index name, in order.

    In this process: a bank takes a few hundred clips at most, and others would spend half their time on starting.
    """
    parts = Parts(folder, rows)
    return [hear(ear, parts[row])[::STEP] for row in tqdm(range(len(rows)), unit="clip", desc="ear", mininterval=1)]


def make_natives(heard: Sequence[Tensor], speakers: Sequence[str], frames: int, takes: int) -> Natives:
    """A bank of about `frames` frames, as many of each clip, and the first `takes` clips as takes; clips without speech
    are left out.
    """
    kept = [row for row, clip in enumerate(heard) if len(clip)]
    if not kept:
        return Natives(torch.empty(0), torch.empty(0, dtype=torch.long), [])
    names = {name: number for number, name in enumerate(dict.fromkeys(speakers[row] for row in kept))}
    each = max(frames // max(len(kept), 1), 1)
    chosen = [thinned(heard[row], each) for row in kept]
    numbers = torch.tensor([names[speakers[row]] for row in kept])
    return Natives(
        torch.cat(chosen),
        torch.repeat_interleave(numbers, torch.tensor([len(clip) for clip in chosen])),
        [Take(heard[row], names[speakers[row]]) for row in kept[:takes]],
    )


def leave_speaker_out(natives: Natives, others: Bank) -> list[np.ndarray]:
    """The frames' grades of every take, by the natives without its speaker."""
    found = []
    for take in natives.takes:
        rest = natives.frames[natives.speakers != take.speaker]
        found.append(frame_grades(take.frames, Bank(rest), others).numpy() if len(rest) >= NEIGHBOURS else None)
    return [grades for grades in found if grades is not None]


def unit_projection(frames: Tensor, dimensions: int) -> tuple[Tensor, Tensor]:
    """A linear map (weight, bias) that standardises frames by dimension and gives their principal components."""
    mean, spread = frames.mean(dim=0), frames.std(dim=0).clamp(min=1e-6)
    covariance = torch.cov(((frames - mean) / spread).double().T)
    components = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :dimensions].float().T
    signs = components.gather(1, components.abs().argmax(dim=1, keepdim=True)).sign()  # eigh leaves them open
    weight = signs * components / spread
    return weight, -(weight @ mean)
