"""What answering "unsure" costs and gains. `predictions`: a row a clip, with label, predicted, refused (kind or "")."""

import numpy as np
import pandas as pd


def evaluate_refusal(predictions: pd.DataFrame, target: str) -> dict:
    """What the scorer's "unsure" costs and gains on clips with `label`, `predicted` and `refused`.

    Shares refused of all, of native speakers (the class `target`) and by kind of reason; the error with and without
    the refused.
    """
    refused = predictions["refused"] != ""
    wrong = predictions["predicted"] != predictions["label"]
    kinds = (
        predictions.loc[refused, "refused"].str.split(":").str[0].str.replace(r"only .* s of", "too little", regex=True)
    )
    return {
        "refused": float(refused.mean()),
        "natives_refused": float(refused[predictions["label"] == target].mean()),
        "error_of_all": float(wrong.mean()),
        "error_of_answered": float(wrong[~refused].mean()) if not refused.all() else None,
        "clips_refused": {kind: int(count) for kind, count in sorted(kinds.value_counts().items())},
    }


def risk_coverage(predictions: pd.DataFrame) -> pd.DataFrame:
    """Share of wrong answers against the share answered, the surest clips first (arXiv 1705.08500).

    Once over all clips, once over those that are not refused for the recording's sake; a curve ends where all of its
    clips are answered.
    """
    curves = []
    recording = predictions["refused"].isin(["", "too close to call"])
    confidence = predictions.filter(like="probability_").max(axis=1)
    for name, rows in (("all clips", predictions), ("without bad recordings", predictions[recording])):
        order = confidence[rows.index].sort_values(ascending=False, kind="stable").index
        wrong = (rows["predicted"] != rows["label"])[order].to_numpy()
        answered = np.arange(1, len(rows) + 1)
        curve = {"coverage": answered / len(predictions), "risk": wrong.cumsum() / answered, "label": name}
        curves.append(pd.DataFrame(curve))
    return pd.concat(curves, ignore_index=True)
