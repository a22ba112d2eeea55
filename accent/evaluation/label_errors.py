"""Label errors by confident learning, and recordings too bad to learn from: candidates for `data/exclusions.csv`."""

from dataclasses import replace

import pandas as pd
from cleanlab.filter import find_label_issues

from accent.core.errors import InputError
from accent.evaluation.predictions import classes_of, probabilities_of
from accent.evaluation.revisions import check_same_classes
from accent.scoring.refusal import QUALITY, ScoreParams, refusal

# In the order of the list: what misleads training most comes first.
KINDS = ("label", "near-silent", "clipped", "too noisy", "muffled")
MIN_LOUDNESS_DBFS = -50  # half of the sample's clips have -24.6, the quietest has -30


def join_folds(runs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The test clips of all the runs, each with the score of the one run that was not trained on it.

    Raises `InputError` where a clip is in two of them, or their classes differ.
    """
    check_same_classes(runs)
    clips = pd.concat([predictions.assign(revision=name) for name, predictions in runs.items()], ignore_index=True)
    twice = clips[clips["clip_id"].duplicated(keep=False)].sort_values("clip_id", kind="stable")
    if len(twice):
        clip, (first, second) = twice["clip_id"].iloc[0], twice["revision"].iloc[:2]
        raise InputError(
            f"{first} and {second} both tested {clip} ({twice['clip_id'].nunique():,} clips were tested twice). "
            "Name one run for each split.fold, all with the same other settings of split"
        )
    return clips.sort_values("clip_id", ignore_index=True)


def label_candidates(scores: pd.DataFrame) -> pd.DataFrame:
    """Clips whose label is probably wrong by confident learning (arXiv 1911.00068; cleanlab), in any order.

    They are those that get another class, and as high a score for it as its own clips get on average. cleanlab's other
    filters accuse more clips, since they scale the counts up to the size of each class.
    `scores` are rows of `data/predictions.parquet`, by models that were not trained on them. The table has `clip_id`,
    `kind`, `severity` (the probability of the given label: low is bad) and `reason`.
    """
    classes, probabilities = classes_of(scores), probabilities_of(scores).to_numpy()
    given = scores["label"].map(classes.index).to_numpy()
    if len(set(given)) < 2:
        raise InputError(f"all clips with a score out of fold are {scores['label'].iloc[0]}. Name folds of two classes")
    wrong = find_label_issues(given, probabilities, filter_by="confident_learning", n_jobs=1)
    found = scores[wrong]
    reasons = [
        f"label: given {label}, sounds {classes[row.argmax()]} ({row.max():.2f}), out of fold"
        for label, row in zip(found["label"], probabilities[wrong], strict=True)
    ]
    severity = probabilities[wrong, given[wrong]]
    return pd.DataFrame({"clip_id": found["clip_id"], "kind": "label", "severity": severity, "reason": reasons})


def recording_candidates(measures: pd.DataFrame, params: ScoreParams, min_loudness_dbfs: float) -> pd.DataFrame:
    """Clips that would be refused as takes for how they sound, or are hardly to be heard; as `label_candidates`.

    `measures` is the index of the waveforms. How much speech there is does not count: `decode` has a limit for that.
    """
    params = replace(params, min_speech_seconds=0)
    rows = []
    for clip in measures[["clip_id", *QUALITY, "loudness_dbfs"]].to_dict("records"):
        if (loudness := clip["loudness_dbfs"]) < min_loudness_dbfs:
            reason = f"near-silent: the speech is at {loudness:.0f} dBFS, {min_loudness_dbfs:.0f} are needed"
            rows.append((clip["clip_id"], "near-silent", loudness, reason))
        if found := refusal(clip, unlikeness=0, probability=1, params=params):
            reason = found.say().rpartition(": ")[0]  # without the advice, which is for one who can record again
            severity = -found.found if found.kind == "clipped" else found.found
            rows.append((clip["clip_id"], found.kind, severity, reason))
    return pd.DataFrame(rows, columns=["clip_id", "kind", "severity", "reason"])


def rank(candidates: pd.DataFrame) -> pd.DataFrame:
    """One row a clip, kind by kind, the worst first; where several things are wrong, under the first of `KINDS`."""
    order = candidates["kind"].map(KINDS.index)
    ordered = candidates.assign(order=order).sort_values(["order", "severity", "clip_id"], ignore_index=True)
    reasons = ordered.groupby("clip_id")["reason"].agg("; ".join)
    first = ordered.drop_duplicates("clip_id", ignore_index=True)
    return first[["clip_id", "kind"]].assign(reason=first["clip_id"].map(reasons))
