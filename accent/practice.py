"""Recordings of ordered levels, best first, and how well scores order them."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt
from scipy.stats import bootstrap, kendalltau

from accent.errors import InputError
from accent.params import Seed, params


@params
class PracticeParams:
    levels: Annotated[tuple[str, ...], Field(min_length=2)]
    resamples: PositiveInt
    seed: Seed


def find_recordings(folder: Path, levels: Sequence[str]) -> list[tuple[str, Path]]:
    """(level, file) for every file in `folder/LEVEL/`, by level and then by name.

    Raises `InputError` for a level without a recording, and for a folder that is no level.
    """
    found = {level: sorted(path for path in (folder / level).glob("*") if path.is_file()) for level in levels}
    found = {level: [path for path in paths if not path.name.startswith(".")] for level, paths in found.items()}
    strangers = sorted(path.name for path in folder.glob("*") if path.is_dir() and path.name not in levels)
    if strangers:
        raise InputError(
            f"{folder}: {', '.join(strangers)}: not in practice.levels ({', '.join(levels)}). "
            "Add it there in its place, best first, or move it away"
        )
    if absent := [level for level, paths in found.items() if not paths]:
        raise InputError(f"{folder}/{absent[0]}: no recording. Every one of practice.levels needs at least one")
    return [(level, path) for level in levels for path in found[level]]


def ordered_rightly(*levels: Sequence[float]) -> float:
    """Of all pairs of scores of different levels, best first, the share in which the better level's is higher.

    Equal scores count half.
    """
    rightly = total = 0.0
    for better, worse in combinations(map(np.asarray, levels), 2):
        differences = np.subtract.outer(better, worse)
        rightly += np.count_nonzero(differences > 0) + 0.5 * np.count_nonzero(differences == 0)
        total += differences.size
    return rightly / total


def summarise(log_odds: dict[str, Sequence[float]], params: PracticeParams) -> dict:
    """What `metrics/practice.json` says of the levels' log-odds, with a 95% interval by bootstrap over recordings."""
    samples = [np.asarray(log_odds[level]) for level in params.levels]
    summary = {
        "mean_log_odds": {level: float(scores.mean()) for level, scores in zip(params.levels, samples, strict=True)},
        "pairs_ordered_rightly": ordered_rightly(*samples),
    }
    if min(map(len, samples)) > 1:
        drawn = bootstrap(
            samples,
            ordered_rightly,
            vectorized=False,
            n_resamples=params.resamples,
            method="percentile",
            rng=np.random.default_rng(params.seed),
        )
        interval = {"low": float(drawn.confidence_interval.low), "high": float(drawn.confidence_interval.high)}
        summary["pairs_ordered_rightly_95"] = interval
    ranks = np.repeat(np.arange(len(samples), 0, -1), [len(scores) for scores in samples])
    tau = kendalltau(ranks, np.concatenate(samples)).statistic
    summary["kendall_tau"] = None if np.isnan(tau) else float(tau)  # all scores equal: no order at all
    return summary
