"""Practice recordings of several levels, the best level first, and how well scores order them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field, PositiveInt
from scipy.special import logit
from scipy.stats import kendalltau, somersd

from accent.core.errors import InputError, Reject, printable
from accent.core.params import Seed, params
from accent.evaluation.intervals import speaker_intervals, too_few_speakers
from accent.scoring.scorer import UNSURE, Scorer

COLUMNS = [
    *("level", "recording", "verdict", "reason", "error"),
    *("speech_s", "probability", "log_odds", "grade"),
]


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


def score_recordings(scorer: Scorer, recordings: Sequence[tuple[str, Path]]) -> pd.DataFrame:
    """A row for every recording of `find_recordings`: its score, or the error why it has none."""
    rows = []
    for level, path in recordings:
        row = {"level": level, "recording": printable(path.name), "verdict": "", "reason": "", "error": ""}
        try:
            score = scorer.score(path)
        except Reject as error:
            rows.append(row | {"error": str(error)})
            continue
        row |= {"verdict": score.verdict, "reason": score.reason, "speech_s": score.speech_s}
        if score.probability is not None:
            odds = float(logit(np.clip(score.probability, 1e-12, 1 - 1e-12)))
            row |= {"probability": score.probability, "log_odds": odds}
        row |= {"grade": score.heard.whole.grade} if score.heard else {}
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def ordered_rightly(ranks: Sequence[int], scores: Sequence[float]) -> float:
    """Of all pairs of recordings of different ranks, the share in which the higher rank has the higher score.

    Equal scores count half: that is Somers' D of the scores, moved from -1 to 1 to 0 to 1.
    """
    if np.ptp(scores) == 0:
        return 0.5  # where scipy says NaN
    return float(somersd(ranks, scores).statistic + 1) / 2


def summarise(values: dict[str, Sequence[float]], params: PracticeParams) -> dict:
    """What `metrics/practice.json` says of the levels' grades or log-odds; a 95% interval by bootstrap of recordings.

    `too_few` says why there is no interval, or "".
    """
    counts = [len(values[level]) for level in params.levels]
    ranks = np.repeat(np.arange(len(counts), 0, -1), counts)
    levels = np.repeat(params.levels, counts)
    scores = np.concatenate([values[level] for level in params.levels])

    def metric(rows: np.ndarray) -> dict[str, float]:
        return {"pairs_ordered_rightly": ordered_rightly(ranks[rows], scores[rows])}

    recordings = np.arange(len(scores))
    tau = kendalltau(ranks, scores).statistic
    return {
        "mean": {level: float(np.mean(values[level])) for level in params.levels},
        **metric(recordings),
        "interval": speaker_intervals(metric, recordings, levels, params.resamples, params.seed),
        "too_few": too_few_speakers(recordings, levels).replace("speakers", "recordings"),
        "kendall_tau": None if np.isnan(tau) else float(tau),  # all scores equal: no order at all
    }


def practice_metrics(heard: pd.DataFrame, by: str, params: PracticeParams) -> dict:
    """Numbers of the recordings that were scored: the probabilities of each level, and its order by a column `by`."""
    of_level = {level: heard[heard["level"] == level] for level in params.levels}
    return {
        "mean_probability": {level: float(rows["probability"].mean()) for level, rows in of_level.items()},
        **summarise({level: rows[by] for level, rows in of_level.items()}, params),
        "recordings": {level: len(rows) for level, rows in of_level.items()},
        "unsure": int((heard["verdict"] == UNSURE).sum()),
    }
