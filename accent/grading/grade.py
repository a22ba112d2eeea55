"""The grade: how much nearer a take's sounds lie to natives' than to those of speakers of other languages.

For every frame the mean cosine to its nearest frames in a bank of natives' speech, less the same for a bank of other
languages; a take's grade is the mean over its frames. It needs no text, and no recording of a learner.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

NEIGHBOURS = 4  # 1, 4 and 16 agree with human ratings alike (DESIGN.md, "The grade")
FRAMES_AT_ONCE = 256  # a product of so many frames and a bank: 256 x 36,000 float32 are 37 MB


class Bank(NamedTuple):
    """Frames (count, dimensions) of one side, standardised by dimension and of length 1."""

    frames: Tensor

    def nearness(self, frames: Tensor) -> Tensor:
        """The mean cosine (n,) of each of these frames (n, dimensions), of length 1, to its nearest in the bank."""
        nearest = [
            (piece @ self.frames.T).topk(min(NEIGHBOURS, len(self.frames)), dim=1).values.mean(dim=1)
            for piece in frames.split(FRAMES_AT_ONCE)
        ]
        return torch.cat(nearest)


def unit_frames(frames: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """Frames (n, dimensions), standardised by dimension and scaled to length 1, which a cosine compares."""
    return normalize((frames.float() - mean) / spread, dim=1)


def frame_grades(frames: Tensor, natives: Bank, others: Bank) -> Tensor:
    """Each unit frame's grade (n,): above 0 it lies nearer to natives than to the others."""
    return natives.nearness(frames) - others.nearness(frames)
