"""What answering "unsure" costs and gains.

`predictions` has a row a clip: label, probability_CLASS for every class, refused (the kind of reason, or "").
"""

import numpy as np
import pandas as pd

RATES = ("refused", "natives_refused", "error_of_all", "error_of_answered")


def _wrong(predictions: pd.DataFrame, target: str) -> pd.Series:
    """Where the scorer's answer, the target class or not, is not the truth."""
    return (predictions[f"probability_{target}"] >= 0.5) != (predictions["label"] == target)


def evaluate_refusal(predictions: pd.DataFrame, target: str) -> dict:
    """What the scorer's "unsure" costs and gains on the test clips.

    Shares refused of all, of native speakers (the class `target`) and by kind of reason; the error with and without
    the refused.
    """
    refused = predictions["refused"] != ""
    wrong = _wrong(predictions, target)
    kinds = predictions.loc[refused, "refused"]
    return {
        "refused": float(refused.mean()),
        "natives_refused": float(refused[predictions["label"] == target].mean()),
        "error_of_all": float(wrong.mean()),
        "error_of_answered": float(wrong[~refused].mean()) if not refused.all() else None,
        "clips_refused": {kind: int(count) for kind, count in sorted(kinds.value_counts().items())},
    }


def risk_coverage(predictions: pd.DataFrame, target: str) -> pd.DataFrame:
    """Share of wrong answers against the share answered, the surest clips first (arXiv 1705.08500).

    Once over all clips, once over those that are not refused for the recording's sake; a curve ends where all of its
    clips are answered.
    """
    curves = []
    recording = predictions["refused"].isin(["", "too close to call"])
    probability = predictions[f"probability_{target}"]
    confidence, wrong = np.maximum(probability, 1 - probability), _wrong(predictions, target)
    for name, rows in (("all clips", predictions), ("without bad recordings", predictions[recording])):
        order = confidence[rows.index].sort_values(ascending=False, kind="stable").index
        answered = np.arange(1, len(rows) + 1)
        risk = wrong[order].to_numpy().cumsum() / answered
        curve = {"coverage": answered / len(predictions), "risk": risk, "label": name}
        curves.append(pd.DataFrame(curve))
    return pd.concat(curves, ignore_index=True)
