"""How far the student's frames grade recordings as the teacher's do."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from accent.grade import Bank, frame_grades, unit_frames
from accent.selection import seeded_hash

NATIVE_CLIPS, OTHER_CLIPS, FRAMES_PER_CLIP = 250, 900, 80

Frames = Callable[[int], Tensor]  # row of a clip -> its frames (n, dimensions)


def bank_rows(clips: pd.DataFrame, native: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows for a bank of natives, for one of others, and the natives' rows that are graded: no speaker in two."""
    order = np.argsort([seeded_hash(seed, speaker) for speaker in clips["client_id"]], kind="stable")
    is_native = (clips["label"] == native).to_numpy()[order]
    natives, others = order[is_native], order[~is_native]
    bank = natives[:NATIVE_CLIPS]
    speakers = set(clips["client_id"].iloc[bank])
    graded = np.array([row for row in natives[NATIVE_CLIPS:] if clips["client_id"].iat[row] not in speakers])
    return bank, others[:OTHER_CLIPS], graded


def clip_grades(frames: Frames, natives: Sequence[int], others: Sequence[int], graded: Sequence[int]) -> np.ndarray:
    """The grade of each clip in `graded`, by banks of evenly thinned frames of the other two."""

    def thinned(row: int) -> Tensor:
        found = frames(row)
        return found[np.linspace(0, len(found) - 1, min(FRAMES_PER_CLIP, len(found))).round().astype(int)]

    sides = [torch.cat([thinned(row) for row in rows]).float() for rows in (natives, others)]
    both = torch.cat(sides)
    mean, spread = both.mean(dim=0), both.std(dim=0).clamp(min=1e-6)
    banks = [Bank(unit_frames(side, mean, spread)) for side in sides]
    return np.array([float(frame_grades(unit_frames(frames(row), mean, spread), *banks).mean()) for row in graded])
