"""The headline numbers of the test split, by clip and by speaker, with their intervals."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.special import softmax

from accent.evaluation.fitness import HEADLINES
from accent.evaluation.intervals import speaker_intervals, too_few_speakers
from accent.evaluation.metrics import ece_by_chance, evaluate_scores, headline_scores
from accent.evaluation.selective import RATES, evaluate_refusal


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
    The intervals are of 95% and over the speakers of each class, under the names of what they belong to: [low, high],
    or None, for which `too_few` may have a reason.
    """
    targets = predictions["label"].map(classes.index).to_numpy()
    means = pd.DataFrame(logits).groupby([predictions["client_id"], targets]).mean()
    of_speaker = means.index.get_level_values(0)
    mean_logits, mean_targets = means.to_numpy(), means.index.get_level_values(1).to_numpy()

    def intervals(metric: Callable[[np.ndarray], dict], speakers: Sequence[str], classes_of: np.ndarray) -> dict:
        return speaker_intervals(metric, speakers, classes_of, resamples, seed)

    def scores(of_logits: np.ndarray, of_targets: np.ndarray) -> dict:
        chance = ece_by_chance(softmax(of_logits / temperature, axis=1), seed)
        return evaluate_scores(of_logits, of_targets, classes, temperature) | {"ece_by_chance": chance}

    def rates(rows: np.ndarray) -> dict[str, float]:
        found = evaluate_refusal(predictions.iloc[rows], target)
        return {name: np.nan if found[name] is None else found[name] for name in RATES}

    return {
        "clip": scores(logits, targets),
        "speaker": scores(mean_logits, mean_targets),
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
        "too_few": too_few_speakers(predictions["client_id"], predictions["label"]),
        **sizes(predictions, classes),
    }


def evaluate_second_source(
    clips: pd.DataFrame, logits: np.ndarray, classes: list[str], temperature: float, resamples: int, seed: int
) -> dict:
    """ROC AUC and balanced accuracy of clips of another source, with intervals; `clips` has client_id and label."""
    targets = clips["label"].map(classes.index).to_numpy()

    def metric(rows: np.ndarray) -> dict[str, float]:
        found = headline_scores(logits[rows], targets[rows], temperature)
        return {name: found[name] for name in HEADLINES}

    return {
        **metric(np.arange(len(clips))),
        "interval": speaker_intervals(metric, clips["client_id"], clips["label"], resamples, seed),
        "too_few": too_few_speakers(clips["client_id"], clips["label"]),
        **sizes(clips, classes),
    }


def sizes(clips: pd.DataFrame, classes: list[str]) -> dict:
    """How many clips and speakers there are, of all and of each class."""
    by_label = clips.groupby("label")
    of_class = {"clips_of": by_label.size(), "speakers_of": by_label["client_id"].nunique()}
    counts = {name: count.reindex(classes, fill_value=0).to_dict() for name, count in of_class.items()}
    return {"clips": len(clips), "speakers": clips["client_id"].nunique(), **counts}
