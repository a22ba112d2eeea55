"""The headline numbers of the test split, by clip and by speaker, with their intervals."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from accent.intervals import speaker_intervals
from accent.metrics import evaluate_scores, headline_scores
from accent.selective import RATES, evaluate_refusal


def evaluate_test(
    predictions: pd.DataFrame,
    logits: np.ndarray,
    classes: list[str],
    temperature: float,
    target: str,
    resamples: int,
    seed: int,
) -> dict:
    """Metrics of clips, of speakers (the mean of their clips' logits) and of the refusals; sizes; and intervals.

    `predictions` has client_id, label, refused and probability_CLASS of each clip, `logits` (clips, classes) theirs.
    The intervals are of 95% and over speakers, under the names of what they belong to: [low, high], or None.
    """
    targets = predictions["label"].map(classes.index).to_numpy()
    means = pd.DataFrame(logits).groupby([predictions["client_id"], targets]).mean()
    of_speaker = means.index.get_level_values(0)
    mean_logits, mean_targets = means.to_numpy(), means.index.get_level_values(1).to_numpy()

    def intervals(metric: Callable[[np.ndarray], dict], speakers: Sequence[str], classes_of: np.ndarray) -> dict:
        return speaker_intervals(metric, speakers, resamples, seed, classes_of)

    def rates(rows: np.ndarray) -> dict[str, float]:
        found = evaluate_refusal(predictions.iloc[rows], target)
        return {name: np.nan if found[name] is None else found[name] for name in RATES}

    by_label = predictions.groupby("label")
    return {
        "clip": evaluate_scores(logits, targets, classes, temperature),
        "speaker": evaluate_scores(mean_logits, mean_targets, classes, temperature),
        "refusal": evaluate_refusal(predictions, target),
        "interval": {
            "clip": intervals(
                lambda rows: headline_scores(logits[rows], targets[rows], temperature),
                predictions["client_id"],
                targets,
            ),
            "speaker": intervals(
                lambda rows: headline_scores(mean_logits[rows], mean_targets[rows], temperature),
                of_speaker,
                mean_targets,
            ),
            "refusal": intervals(rates, predictions["client_id"], targets),
        },
        "clips": len(predictions),
        "clips_of": by_label.size().to_dict(),
        "speakers": predictions["client_id"].nunique(),
        "speakers_of": by_label["client_id"].nunique().to_dict(),
    }
