"""Robustness: how far scores move when a recording is re-encoded (`accent.audio.reencode`)."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import delayed
from tqdm import tqdm

from accent.audio.reencode import CHANGES, decoded
from accent.core.errors import Reject
from accent.core.parallel import in_parallel
from accent.corpus.selection import seeded_hash
from accent.scoring.refusal import UNPROVEN
from accent.scoring.scorer import Scorer

UNTOUCHED = "untouched"


def score_changes(clips: pd.DataFrame, model_dir: Path, seed: int) -> pd.DataFrame:
    """The score of every clip, as it is and after each of `CHANGES`: `clip_id`, `change`, `probability`, `refused`.

    `clips` has `clip_id` and `audio`, the bytes of its file. Probabilities are those of the target class, NaN where
    nothing could be heard. On all cores that this process may use; the numbers are the same on one.
    """
    jobs = [
        delayed(_score_clip)(model_dir, *clip, seed) for clip in clips[["clip_id", "audio"]].itertuples(index=False)
    ]
    results = tqdm(in_parallel(jobs), total=len(clips), unit="clip", desc="channels", mininterval=1)
    rows = [row for found in results for row in found]
    return pd.DataFrame(rows, columns=["clip_id", "change", "probability", "refused"])


def _score_clip(model_dir: Path, clip_id: str, audio: bytes, seed: int) -> list[tuple[str, str, float, bool]]:
    torch.set_num_threads(1)  # the other cores have clips of their own; sums come out the same for any number of them
    scorer = _scorer(model_dir)
    waveform, rate = decoded(audio)
    rng = np.random.default_rng(seeded_hash(seed, clip_id))
    takes = {UNTOUCHED: audio} | {name: change(waveform, rate, rng) for name, change in CHANGES.items()}
    return [(clip_id, name, *_judged(scorer, take)) for name, take in takes.items()]


@lru_cache(maxsize=1)
def _scorer(model_dir: Path) -> Scorer:
    return Scorer.load(model_dir, grades=False)  # once a process


def _judged(scorer: Scorer, take: bytes) -> tuple[float, bool]:
    try:
        score = scorer.score(take)
    except Reject:
        return np.nan, True
    refused = score.refused is not None and score.refused.kind != UNPROVEN  # the model need not have earned anything
    return np.nan if score.probability is None else score.probability, refused


def stability(scores: pd.DataFrame) -> dict[str, dict[str, float | int | None]]:
    """How far each change moves the scores of `score_changes`, over clips that have a score before and after it.

    The mean and the 95th percentile of the probability's absolute change; the share of `flipped` verdicts, which are
    on the other side of 0.5, and that among the clips that are answered both times; and of the clips that were
    answered untouched, the share that is refused now. None where there is no clip to go by.
    """
    probability = scores.pivot(index="clip_id", columns="change", values="probability")
    answered = ~scores.pivot(index="clip_id", columns="change", values="refused").astype(bool)
    before = probability[UNTOUCHED]
    found = {}
    for change in CHANGES:
        after = probability[change]
        sizes = (after - before).abs().dropna()
        flipped = (after >= 0.5) != (before >= 0.5)
        found[change] = {
            "clips": len(sizes),
            "mean_change": _known(sizes.mean()),
            "p95_change": _known(sizes.quantile(0.95)),
            "flipped": _known(flipped[sizes.index].mean()),
            "answered_flipped": _known(flipped[answered[UNTOUCHED] & answered[change]].mean()),
            "newly_refused": _known(1 - answered.loc[answered[UNTOUCHED], change].mean()),
        }
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
