"""Comparison of two runs on the clips that both tested, with intervals over the speakers of each class."""

import numpy as np
import pandas as pd
from tqdm import tqdm

from accent.core.errors import InputError
from accent.evaluation.intervals import speaker_intervals, too_few_speakers
from accent.evaluation.metrics import HIGHER_IS_BETTER, Scores
from accent.evaluation.predictions import probabilities_of
from accent.evaluation.revisions import check_same_classes

SAME = "no difference seen"
UNKNOWN = "too few speakers to tell"


def compare(first: pd.DataFrame, second: pd.DataFrame, resamples: int, seed: int) -> dict:
    """Compare the test predictions of two runs on the clips that both tested.

    `metrics` has of each metric `a`, `b`, `difference` (b - a), its 95% interval `low` to `high` by paired bootstrap
    over the speakers of each class (None where a class has too few), and the `verdict` on b: better, worse, or why
    neither. `clips` and `speakers` are counted, in `left_out` the clips that only one run tested, and `too_few` says
    why there is no interval, or "".
    Raises `InputError` where the classes differ, no clip is shared, or a shared one has two labels.
    """
    classes = check_same_classes({"A": first, "B": second})
    both = first.merge(second, on="clip_id", suffixes=("", "_b"), validate="one_to_one")
    if both.empty:
        raise InputError(
            f"none of the {len(first):,} and {len(second):,} test clips is in both runs. "
            "Compare runs of the same split.fold, or with a common test set"
        )
    if relabelled := int((both["label"] != both["label_b"]).sum()):
        raise InputError(f"{relabelled:,} of {len(both):,} shared clips have another label in the other run")
    if absent := sorted(set(classes) - set(both["label"])):
        raise InputError(f"none of the {len(both):,} shared clips is {absent[0]}. Compare runs that share more clips")
    targets = both["label"].map(classes.index).to_numpy()
    a, b = (
        Scores(probabilities_of(run.set_index("clip_id").loc[both["clip_id"]]).to_numpy(), targets)
        for run in (first, second)
    )
    with tqdm(unit="resample", delay=2, leave=False) as bar:  # and the jackknife of the intervals

        def differences(rows: np.ndarray) -> dict[str, float]:
            bar.update()
            in_a, in_b = a.metrics(rows), b.metrics(rows)
            return {name: in_b[name] - in_a[name] for name in in_a}

        intervals = speaker_intervals(
            differences, both["client_id"], both["label"], resamples, seed, differences=HIGHER_IS_BETTER
        )
    of_a, of_b = (run.metrics(np.arange(len(both))) for run in (a, b))
    too_few = too_few_speakers(both["client_id"], both["label"])
    metrics = {}
    for name, interval in intervals.items():
        low, high = interval or (None, None)
        difference = float(of_b[name] - of_a[name])
        metrics[name] = {
            "a": float(of_a[name]),
            "b": float(of_b[name]),
            "difference": difference,
            "low": low,
            "high": high,
            "verdict": verdict(difference, interval, HIGHER_IS_BETTER[name], too_few),
        }
    return {
        "clips": len(both),
        "speakers": both["client_id"].nunique(),
        "too_few": too_few,
        "left_out": {"a": len(first) - len(both), "b": len(second) - len(both)},
        "metrics": metrics,
    }


def verdict(difference: float, interval: list[float] | None, higher_is_better: bool, too_few: str = "") -> str:
    """Whether the second run is better or worse: only if the interval of the difference leaves out zero.

    Where all resamples differ by the same there is no interval, and that is 0 where the runs say the same.
    """
    if interval is None:
        return UNKNOWN if too_few or difference else SAME
    low, high = interval
    if low <= 0 <= high:
        return SAME
    return "better" if (low > 0) == higher_is_better else "worse"
