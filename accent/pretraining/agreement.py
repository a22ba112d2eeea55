"""Agreement of grades from the student's frames with grades from the teacher's frames."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from accent.corpus.selection import seeded_hash
from accent.grading.encoder import WIDTH
from accent.grading.grade import Bank, frame_grades
from accent.pretraining.listen import ListenParams
from accent.pretraining.student import Student
from accent.pretraining.teacher import Teacher

NATIVE_CLIPS, OTHER_CLIPS, GRADED_CLIPS, FRAMES_PER_CLIP = 100, 250, 100, 100

Frames = Callable[[int], Tensor]  # row of a clip -> its frames (n, dimensions)


def bank_rows(clips: pd.DataFrame, native: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows for a bank of natives, rows for one of others, and held-out rows of natives that are graded.

    `clips` has `label`, `client_id` and `kind`: those that the student was fitted on are `train`.
    """
    order = np.argsort([seeded_hash(seed, clip) for clip in clips["clip_id"]], kind="stable")
    drawn = clips.iloc[order]
    learnt, natives = (drawn["kind"] == "train").to_numpy(), (drawn["label"] == native).to_numpy()
    sides = order[learnt & natives][:NATIVE_CLIPS], order[learnt & ~natives][:OTHER_CLIPS]
    return *sides, order[~learnt & natives][:GRADED_CLIPS]


def unit_frames(frames: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """Frames (n, dimensions), standardised by dimension and scaled to length 1, which a cosine compares."""
    return normalize((frames.float() - mean) / spread, dim=1)


def clip_grades(frames: Frames, natives: Sequence[int], others: Sequence[int], graded: Sequence[int]) -> np.ndarray:
    """The grade of each clip in `graded`, by banks of evenly thinned frames of the other two."""

    def thinned(row: int) -> Tensor:
        found = frames(row)
        return found[np.linspace(0, len(found) - 1, min(FRAMES_PER_CLIP, len(found))).round().astype(int)]

    def shown(rows: Sequence[int], what: str) -> tqdm:
        return tqdm(rows, unit="clip", desc=what, delay=5)  # only where it takes long: frames may be at hand

    named = {"bank of natives": natives, "bank of others": others}
    sides = [torch.cat([thinned(row) for row in shown(rows, name)]).float() for name, rows in named.items()]
    both = torch.cat(sides)
    mean, spread = both.mean(dim=0), both.std(dim=0).clamp(min=1e-6)
    banks = [Bank(unit_frames(side, mean, spread)) for side in sides]
    return np.array(
        [
            float(frame_grades(unit_frames(frames(row), mean, spread), *banks).mean())
            for row in shown(graded, "graded clips")
        ]
    )


@torch.inference_mode()
def agreement(
    clips: pd.DataFrame,
    spectrograms: Sequence[np.ndarray],
    waveforms: Sequence[np.ndarray],
    student: Student,
    teacher: Teacher,
    params: ListenParams,
) -> dict[str, float | int]:
    """Correlation over held-out natives' clips of grades from the student's frames with those from the teacher's.

    The student's are what its head says of the teacher's first layer, and the map that the head sees. The rows of
    `clips` are those of `spectrograms` and `waveforms`.
    """
    rows = bank_rows(clips, params.native, params.seed)
    if min(map(len, rows)) < 2:
        return {"clips": len(rows[2]), "head": None, "map": None}

    @lru_cache(maxsize=1)
    def columns(row: int) -> Tensor:
        cells = torch.from_numpy(np.ascontiguousarray(spectrograms[row].T)).float()[None, None] / 255
        return student.network.columns(student.standardise(cells))

    by = {
        "teacher": lambda row: torch.from_numpy(teacher.frames([waveforms[row]])[0]),
        "head": lambda row: student.head(columns(row))[0, :WIDTH].T,
        "map": lambda row: columns(row)[0].T,
    }
    grades = {name: clip_grades(frames, *rows) for name, frames in by.items()}
    correlations = {name: float(np.corrcoef(grades[name], grades["teacher"])[0, 1]) for name in ("head", "map")}
    return {"clips": len(rows[2]), **correlations}
