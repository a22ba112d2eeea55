"""The grade: how much nearer a take's sounds lie to natives' than to those of speakers of other languages.

A frame's grade is its mean cosine to its nearest frames in a bank of natives' speech, less the same for a bank of
other languages. A take's grade is the mean over its frames of speech. It needs no text and no learner's recording.
"""

from typing import Annotated, NamedTuple

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from scipy.special import stdtrit
from torch import Tensor

from accent.core.params import params
from accent.grading.encoder import FRAME_SECONDS

NEIGHBOURS = 4  # 1, 4 and 16 agree about equally well with human ratings of English
FRAMES_AT_ONCE = 256  # a product of so many frames and a bank: 256 x 36,000 float32 are 37 MB
BLOCK_SECONDS = 0.25  # of speech: windows of a take whose means vary by what was said in them
SMOOTH_FRAMES = 9  # of a triangle, 0.1 s wide at half its height: about a sound
PERCENTS = np.arange(101)
LOW, HIGH = 5, 95  # percent of natives: their range
WITHIN, NEAR, BELOW, ELSEWHERE = "within", "near", "below", "another language"


class Bank(NamedTuple):
    """Frames (count, dimensions) of one side, of length 1."""

    frames: Tensor

    def nearness(self, frames: Tensor) -> Tensor:
        """The mean cosine (n,) of each of these frames (n, dimensions), of length 1, to its nearest in the bank."""
        nearest = [
            (piece @ self.frames.T).topk(min(NEIGHBOURS, len(self.frames)), dim=1).values.mean(dim=1)
            for piece in frames.split(FRAMES_AT_ONCE)
        ]
        return torch.cat(nearest)


def frame_grades(frames: Tensor, natives: Bank, others: Bank) -> Tensor:
    """Each unit frame's grade (n,): above 0 it lies nearer to natives than to the others."""
    return natives.nearness(frames) - others.nearness(frames)


def smooth(values: np.ndarray, places: np.ndarray | None = None, width: int = SMOOTH_FRAMES) -> np.ndarray:
    """Frames' grades (n,) as weighted means over a triangle of `width` frames.

    `places` are the frames' numbers: what lies between them is no speech, and counts for nothing.
    """
    places = np.arange(len(values)) if places is None else places - places[0]
    known, sums = np.zeros(places[-1] + 1), np.zeros(places[-1] + 1)
    known[places], sums[places] = 1.0, values
    half = (width + 1) // 2
    triangle = np.convolve(np.ones(half), np.ones(half))
    sums, known = (np.convolve(row, triangle)[half - 1 :][: len(row)] for row in (sums, known))
    return sums[places] / known[places]


@params
class Reference:
    """How natives' takes are graded by a bank without them, and how that depends on the seconds of speech."""

    centre: float  # mean grade
    between: PositiveFloat  # variance of the grade of very long takes
    within: NonNegativeFloat  # variance that one second of speech adds, shrinking with the seconds
    deviations: Annotated[tuple[float, ...], Field(min_length=101, max_length=101)]  # percentiles 0 to 100, in SDs
    stretch: float  # smoothed frames' grade that 5% of natives' frames lie below
    takes: PositiveInt
    speakers: PositiveInt
    frame_seconds: PositiveFloat = FRAME_SECONDS

    def sd(self, seconds: float) -> float:
        """Standard deviation of natives' grades for so many seconds of speech."""
        return float(np.sqrt(self.between + self.within / max(seconds, BLOCK_SECONDS)))

    def bounds(self, seconds: float) -> tuple[float, float]:
        """The range that 90% of natives' takes with so many seconds of speech are in."""
        low, high = (self.centre + self.deviations[percent] * self.sd(seconds) for percent in (LOW, HIGH))
        return low, high

    def percentile(self, grade: float, seconds: float) -> float:
        """Percent of natives' takes of that length that are graded lower."""
        return float(np.interp((grade - self.centre) / self.sd(seconds), self.deviations, PERCENTS))


def fit_reference(takes: list[np.ndarray], speakers: list, step: int) -> Reference:
    """The reference from natives' takes, each as the grades of every `step`-th of its frames of speech.

    The variance is fitted to a line over 1 / seconds, on whole takes and on pieces of 1, 2 and 4 s of them.
    """
    seconds = step * FRAME_SECONDS
    means, lengths = np.array([take.mean() for take in takes]), np.array([len(take) * seconds for take in takes])
    centre = float(means.mean())
    rows = [(1 / max(length, BLOCK_SECONDS), (mean - centre) ** 2) for length, mean in zip(lengths, means, strict=True)]
    for size in (1.0, 2.0, 4.0):
        count = round(size / seconds)
        pieces = [
            take[start : start + count].mean() for take in takes for start in range(0, len(take) - count + 1, count)
        ]
        rows += [(1 / size, (mean - centre) ** 2) for mean in pieces]
    inverse, squares = np.array(rows).T
    within, between = np.polyfit(inverse, squares, 1) if np.ptp(inverse) > 0 else (0.0, squares.mean())
    if within < 0:
        within, between = 0.0, squares.mean()
    between = max(float(between), 0.05 * float(squares.mean()), 1e-8)
    sds = np.sqrt(between + max(within, 0) / np.maximum(lengths, BLOCK_SECONDS))
    width = SMOOTH_FRAMES // step | 1
    return Reference(
        centre=centre,
        between=between,
        within=float(within),
        deviations=tuple(np.percentile((means - centre) / sds, PERCENTS).tolist()),
        stretch=float(np.percentile(np.concatenate([smooth(take, width=width) for take in takes]), LOW)),
        takes=len(takes),
        speakers=len(set(speakers)),
    )


class Stretch(NamedTuple):
    """A stretch of a take that sounded less native than 95% of natives' frames."""

    start_s: float
    end_s: float
    grade: float


@params
class Grade:
    """A take's grade for a target, beside natives' of as many seconds of speech."""

    target: str
    grade: float
    low: float  # the grade's own 95% interval
    high: float
    percentile: float  # percent of natives' takes that are graded lower
    native_low: float
    native_high: float
    speech_s: PositiveFloat

    def verdict(self, likely: bool = True) -> str:
        """Within the natives' range or above it, near it (the interval reaches it), or below it.

        `likely` is whether the classifier takes the take for the target at all. It is asked below the range alone, so
        that nothing within it is ever called another language.
        """
        if self.grade >= self.native_low:
            return WITHIN
        if self.high >= self.native_low:
            return NEAR
        return BELOW if likely else ELSEWHERE


def judge(values: np.ndarray, target: str, reference: Reference) -> Grade:
    """The grade of a take from its frames' grades (n,), of which at least one is needed.

    Its interval is that of a mean over windows of `BLOCK_SECONDS`, by Student's t: few seconds say little.
    """
    seconds = len(values) * FRAME_SECONDS
    grade = float(values.mean())
    blocks = np.array([block.mean() for block in np.array_split(values, max(round(seconds / BLOCK_SECONDS), 1))])
    if len(blocks) > 2:
        error = float(blocks.std(ddof=1) / np.sqrt(len(blocks)) * stdtrit(len(blocks) - 1, 0.975))
    else:
        # Too few blocks: what natives' takes vary by, times 4 (between Student's t of 2 and of 3 degrees of freedom).
        error = 4 * float(np.sqrt(reference.within / seconds))
    low, high = reference.bounds(seconds)
    return Grade(
        target=target,
        grade=grade,
        low=grade - error,
        high=grade + error,
        percentile=reference.percentile(grade, seconds),
        native_low=low,
        native_high=high,
        speech_s=seconds,
    )


def least_native(values: np.ndarray, places: np.ndarray, start_s: float, limit: float, count: int = 3) -> list[Stretch]:
    """Up to `count` stretches of smoothed grades below `limit`, the largest total shortfall first.

    `places` are the frames' numbers from `start_s` on. A gap of less than 0.1 s does not split a stretch.
    """
    smoothed = smooth(values, places)
    under = np.flatnonzero(smoothed < limit)
    runs = np.split(under, np.flatnonzero(np.diff(places[under]) > SMOOTH_FRAMES // 2) + 1) if len(under) else []
    runs = [run for run in runs if places[run[-1]] - places[run[0]] >= SMOOTH_FRAMES // 2]
    runs = sorted(runs, key=lambda run: (smoothed[run] - limit).sum())[:count]
    return [
        Stretch(
            float(start_s + places[run[0]] * FRAME_SECONDS),
            float(start_s + (places[run[-1]] + 1) * FRAME_SECONDS),
            float(values[run].mean()),
        )
        for run in runs
    ]


def thinned(frames: Tensor, count: int) -> Tensor:
    """At most `count` of the frames, evenly spread."""
    return frames[np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))]
