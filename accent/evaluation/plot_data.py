"""The rows behind the evaluation's plots, which `dvc plots` draws and lays over each other by revision."""

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from accent.evaluation.metrics import ECE_BINS
from accent.network.log_odds import one_against_rest

HISTOGRAM_EDGES = np.linspace(-12, 12, 25)  # log-odds; what lies beyond goes into the outermost bin


def confusion(labels: pd.Series, predicted: pd.Series) -> pd.DataFrame:
    """One row a clip, `actual` and `predicted`: DVC's `confusion` template counts them."""
    return pd.DataFrame({"actual": labels, "predicted": predicted})


def roc(logits: np.ndarray, targets: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """The ROC curve of every class against the rest; of two classes only the second's, since they mirror each other.

    A class that has no clip, or all of them, has no curve.
    """
    curves = [pd.DataFrame(columns=["false_positive_rate", "true_positive_rate", "label"])]
    for number, name in enumerate(classes):
        of_class = targets == number
        if (len(classes) == 2 and number == 0) or of_class.all() or not of_class.any():
            continue
        false_positive, true_positive, _ = roc_curve(of_class, one_against_rest(logits, number))
        curve = {"false_positive_rate": false_positive, "true_positive_rate": true_positive, "label": name}
        curves.append(pd.DataFrame(curve))
    return pd.concat(curves, ignore_index=True)


def reliability(logits: np.ndarray, targets: np.ndarray, temperature: float) -> pd.DataFrame:
    """Mean probability of the predicted class, and accuracy, by bin, before and after temperature scaling."""
    tables = []
    for scaling, divisor in (("before", 1.0), ("after", temperature)):
        probabilities = softmax(logits / divisor, axis=1)
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
        accuracy, mean_confidence = calibration_curve(right, confidence, n_bins=ECE_BINS)
        table = {"confidence": mean_confidence, "accuracy": accuracy, "temperature_scaling": scaling}
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def score_histogram(logits: np.ndarray, labels: pd.Series, classes: list[str], temperature: float) -> pd.DataFrame:
    """For every class, how the clips of each label spread over the calibrated log-odds for it, as shares.

    A label may be a probe's name: its clips are of none of the classes.
    """
    tables = []
    for number, name in enumerate(classes):
        if len(classes) == 2 and number == 0:
            continue
        scores = np.clip(one_against_rest(logits / temperature, number), *HISTOGRAM_EDGES[[0, -1]])
        present = set(labels)
        for label in [name for name in [*classes, *sorted(present - set(classes))] if name in present]:
            of_label = scores[(labels == label).to_numpy()]
            counts, _ = np.histogram(of_label, HISTOGRAM_EDGES)
            table = {"log_odds": (HISTOGRAM_EDGES[1:] + HISTOGRAM_EDGES[:-1]) / 2, "share": counts / len(of_label)}
            tables.append(pd.DataFrame({**table, "score_for": name, "label": label}))
    return pd.concat(tables, ignore_index=True)
