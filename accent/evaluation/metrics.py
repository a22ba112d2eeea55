"""Metrics of a set of scores: discrimination and calibration.

Everywhere `logits` is float of shape (n, classes) and `targets` int of shape (n,), the index of the true class.
"""

import numpy as np
from scipy.special import softmax
from scipy.stats import rankdata
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from accent.network.calibration import log_odds_of, one_against_rest

HEADLINES = ("accuracy", "balanced_accuracy", "roc_auc", "eer", "log_loss", "brier")
HIGHER_IS_BETTER = {"roc_auc": True, "balanced_accuracy": True, "log_loss": False}
ECE_BINS = 15  # as in arXiv 1706.04599, which proposed temperature scaling
CHANCE_DRAWS = 1000
CHANCE_PERCENTS = (5, 95)


def auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """The share of pairs of a positive and a negative in which the positive's score is higher; equal ones count half.

    That is the area under the ROC curve; NaN where there are no positives, or no negatives.
    """
    positives = int(np.count_nonzero(positive))
    pairs = positives * (len(positive) - positives)
    if not pairs:
        return np.nan
    return float((rankdata(scores)[positive].sum() - positives * (positives + 1) / 2) / pairs)


def roc_auc(log_odds: np.ndarray, targets: np.ndarray) -> float:
    """The AUC of each class against the rest, averaged as `metrics` does, for log-odds (n, classes)."""
    return float(np.mean([auc(targets == number, column) for number, column in enumerate(log_odds.T)]))


def equal_error_rate(positive: np.ndarray, scores: np.ndarray) -> float:
    """The rate at which as many positives are missed as negatives taken, read off the ROC by linear interpolation."""
    false_positive, true_positive, _ = roc_curve(positive, scores)
    difference = false_positive - (1 - true_positive)  # rises from -1 to 1
    return float(np.interp(0, difference, false_positive))


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """The expected calibration error (ECE) for values of shape (n,): the mean over `ECE_BINS` equal bins of confidence
    of |share right - mean confidence|, weighted by their clips. Source: Guo et al. 2017, arXiv 1706.04599, equation 3.
    """
    bins = np.digitize(confidence, np.linspace(0, 1, ECE_BINS + 1)[1:-1])
    return float(np.abs(np.bincount(bins, right - confidence)).sum() / len(confidence))


def calibration_error(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The ECE of the predicted class's probability, for probabilities of shape (n, classes)."""
    return expected_calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets)


def ece_by_chance(probabilities: np.ndarray, seed: int) -> dict[str, float]:
    """The ECE that a perfectly calibrated model with these probabilities would show: `mean`, `low`, `high` (5 and 95%).

    Drawn `CHANCE_DRAWS` times: the predicted class is right as often as its probability says (the consistency
    resampling of Broecker and Smith 2007, Weather and Forecasting 22:651). The ECE of few clips is far from 0 even
    then, so a bootstrap interval around it would not cover the truth (arXiv 1909.10155 on the bias).
    """
    confidence = probabilities.max(axis=1)
    rng = np.random.default_rng(seed)
    draws = (rng.random(len(confidence)) < confidence for _ in range(CHANCE_DRAWS))
    errors = [expected_calibration_error(confidence, right) for right in draws]
    low, high = np.percentile(errors, CHANCE_PERCENTS)
    return {"mean": float(np.mean(errors)), "low": float(low), "high": float(high)}


def headline_scores(logits: np.ndarray, targets: np.ndarray, temperature: float) -> dict[str, float]:
    """What `softmax(logits / temperature)` is judged by; every number is NaN where a class has no clip.

    ROC AUC and EER are those of one class against the rest, averaged over the classes (with two they are the same).
    """
    classes = logits.shape[1]
    labels = list(range(classes))
    if len(set(targets)) < classes:
        return dict.fromkeys(HEADLINES, float("nan"))
    probabilities = softmax(logits / temperature, axis=1)
    predicted = logits.argmax(axis=1)
    numbers = [1] if classes == 2 else labels  # of two classes, the curves mirror each other
    scores = {number: (targets == number, one_against_rest(logits / temperature, number)) for number in numbers}
    values = [
        accuracy_score(targets, predicted),
        balanced_accuracy_score(targets, predicted),
        np.mean([roc_auc_score(*score) for score in scores.values()]),
        np.mean([equal_error_rate(*score) for score in scores.values()]),
        log_loss(targets, probabilities, labels=labels),
        # Of two classes scikit-learn gives the half of the sum over classes: the usual Brier score of each.
        brier_score_loss(targets, probabilities if classes > 2 else probabilities[:, 1], labels=labels),
    ]
    return dict(zip(HEADLINES, map(float, values), strict=True))


def evaluate_scores(logits: np.ndarray, targets: np.ndarray, classes: list[str], temperature: float) -> dict:
    """`headline_scores`, calibration, what log loss and calibration were before temperature scaling, numbers by class.

    None stands for the number of a class without a clip.
    """
    raw, calibrated = softmax(logits, axis=1), softmax(logits / temperature, axis=1)
    labels = list(range(len(classes)))
    metrics = {
        **headline_scores(logits, targets, temperature),
        "log_loss_uncalibrated": float(log_loss(targets, raw, labels=labels)),
        "ece": calibration_error(calibrated, targets),
        "ece_uncalibrated": calibration_error(raw, targets),
    }
    clips = np.bincount(targets, minlength=len(classes))
    recall = recall_score(targets, logits.argmax(axis=1), labels=labels, average=None, zero_division=0)
    metrics["recall"] = {
        name: float(value) if count else None for name, value, count in zip(classes, recall, clips, strict=True)
    }
    if len(classes) > 2:
        for name, of_one in (("roc_auc", roc_auc_score), ("eer", equal_error_rate)):
            metrics[f"{name}_by_class"] = {
                label: float(of_one(targets == number, one_against_rest(logits / temperature, number)))
                if 0 < clips[number] < len(targets)
                else None
                for number, label in enumerate(classes)
            }
    return metrics


class Scores:
    """A run's probabilities, of shape (clips, classes), with what the metrics need of each clip worked out once."""

    def __init__(self, probabilities: np.ndarray, targets: np.ndarray):
        logs = np.log(np.maximum(probabilities, np.finfo(float).tiny))  # where softmax has rounded down to 0
        self.targets = targets
        self.log_odds = log_odds_of(probabilities)
        self.right = probabilities.argmax(axis=1) == targets
        self.losses = np.minimum(-logs[np.arange(len(targets)), targets], -np.log(np.finfo(float).eps))  # as sklearn

    def metrics(self, rows: np.ndarray) -> dict[str, float]:
        """The metrics of `evaluate_scores` that `HIGHER_IS_BETTER` names, of these rows.

        A hundred times as fast, for the bootstrap. ROC AUC is NaN where there is no clip of a class.
        """
        targets = self.targets[rows]
        clips = np.bincount(targets, minlength=self.log_odds.shape[1])
        right = np.bincount(targets, self.right[rows], minlength=len(clips))
        return {
            "roc_auc": roc_auc(self.log_odds[rows], targets),
            "balanced_accuracy": np.mean(right[clips > 0] / clips[clips > 0]),
            "log_loss": self.losses[rows].mean(),
        }
