"""How much of a model's ROC AUC could be had without listening, and whether it tells women from men instead."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from accent.core.params import Seed, params
from accent.corpus.common_voice import FEMALE, GENDERS, MALE, gender_of
from accent.corpus.probes import EvaluateParams
from accent.evaluation.intervals import speaker_intervals, too_few_speakers
from accent.evaluation.nuisance import fit_classifier, log_odds, metadata_table
from accent.evaluation.ranking import auc, roc_auc


@params
class AuditParams:
    max_clips: PositiveInt
    permutations: PositiveInt
    seed: Seed


class Heard(NamedTuple):
    """Clips, with the model's log-odds (n, classes) for them; the rows have `label`, `client_id`, `gender`, `age`."""

    rows: pd.DataFrame
    log_odds: np.ndarray
    classes: list[str]

    @property
    def targets(self) -> np.ndarray:
        """The number of each clip's class."""
        return self.rows["label"].map(self.classes.index).to_numpy()

    @property
    def speakers(self) -> np.ndarray:
        """Each clip's speaker."""
        return self.rows["client_id"].to_numpy()


def compare(alone: np.ndarray, test: Heard, what: str, intervals: EvaluateParams) -> dict:
    """ROC AUC of what does not listen, of the model on the same clips, the second less the first, and that in words.

    `alone` are log-odds (n, classes), and `what` names where they come from. The interval of the difference is of the
    same resamples of speakers for both.
    """
    targets = test.targets

    def metric(rows: np.ndarray) -> dict[str, float]:
        without, heard = (roc_auc(values[rows], targets[rows]) for values in (alone, test.log_odds))
        return {"roc_auc": without, "model_roc_auc": heard, "difference": heard - without}

    labels = test.rows["label"].to_numpy()
    found = _with_intervals(metric, test.speakers, intervals, labels)
    reason = too_few_speakers(test.speakers, labels)
    return found | {"verdict": f"no comparison with {what}: {reason}" if reason else _verdict(found, what)}


def _verdict(found: dict, what: str) -> str:
    at_least = {name: (found[f"{name}_95"] or [found[name]])[0] for name in ("roc_auc", "difference")}
    if found["difference"] <= 0:
        return f"{what} alone do as well as the model: its accuracy need not be speech"
    if at_least["difference"] <= 0:
        return f"{what} alone may do as well as the model, within the error: its accuracy need not be speech"
    if at_least["roc_auc"] > 0.5:
        return f"the model does better than {what} alone, which do better than chance: some of it need not be speech"
    return f"the model does better than {what} alone, which need be no better than chance"


def audit_metadata(train: pd.DataFrame, test: Heard, target: str, intervals: EvaluateParams, seed: int) -> dict:
    """Whether gender and age alone tell the class, the score tells women from men, and the model the class within each.

    `train` has the columns of `test.rows`. The score is that of class `target`: an AUC above 0.5 means that women get
    the higher ones. Where a side has too few speakers for an interval, `roc_auc` is None and `reason` says so.
    """
    labels, speakers, targets = test.rows["label"].to_numpy(), test.speakers, test.targets
    genders = test.rows["gender"].map(gender_of).to_numpy()
    score = test.log_odds[:, test.classes.index(target)]

    def women_from_men(rows: np.ndarray) -> dict[str, float]:
        return {"roc_auc": auc(genders[rows] == FEMALE, score[rows])}

    def classes_apart(rows: np.ndarray) -> dict[str, float]:
        return {"roc_auc": roc_auc(test.log_odds[rows], targets[rows])}

    def within(mask: np.ndarray, metric: Callable, strata: np.ndarray, names: Sequence[str]) -> dict:
        rows = np.flatnonzero(mask)
        if reason := _unstated(strata[rows], speakers[rows], names):
            return _unanswered(reason, speakers[rows])
        return _with_intervals(lambda drawn: metric(rows[drawn]), speakers[rows], intervals, strata[rows])

    of_either = np.isin(genders, [FEMALE, MALE])
    return {
        "alone": _metadata_alone(train, test, intervals, seed),
        "women_from_men_within": {
            name: within((labels == name) & of_either, women_from_men, genders, (FEMALE, MALE)) for name in test.classes
        },
        "model_within": {name: within(genders == name, classes_apart, labels, test.classes) for name in GENDERS},
    }


def _metadata_alone(train: pd.DataFrame, test: Heard, intervals: EvaluateParams, seed: int) -> dict:
    """Of the rows that state one of the two or both."""
    learnt, known = (
        ((rows["gender"].map(gender_of) != "") | (rows["age"] != "")).to_numpy() for rows in (train, test.rows)
    )
    train, test = train[learnt], Heard(test.rows[known], test.log_odds[known], test.classes)
    for rows, where in ((train, "to learn from"), (test.rows, "to be tested on")):
        if reason := _unstated(rows["label"].to_numpy(), rows["client_id"].to_numpy(), test.classes):
            return _unanswered(f"{where}, {reason}", test.speakers)
    table = metadata_table(pd.concat([train, test.rows], ignore_index=True))
    classifier = fit_classifier(table[: len(train)], train["label"], seed)
    return compare(log_odds(classifier, test.classes, table[len(train) :]), test, "gender and age", intervals)


def _unstated(strata: np.ndarray, speakers: np.ndarray, names: Sequence[str]) -> str:
    """Why clips that state something, of a class or a gender each, cannot be compared, or ""."""
    if absent := [name for name in names if name not in strata]:
        return f"no speaker of {' and '.join(absent)} states it"
    return too_few_speakers(speakers, strata)


def _with_intervals(
    metric: Callable[[np.ndarray], Mapping[str, float]],
    speakers: np.ndarray,
    intervals: EvaluateParams,
    strata: np.ndarray,
) -> dict:
    """What `metric` gives for all rows, the `_95` interval over speakers of each number, and how many they are of."""
    bounds = speaker_intervals(metric, speakers, strata, intervals.resamples, intervals.seed, ["difference"])
    found = {}
    for name, value in metric(np.arange(len(speakers))).items():
        found |= {name: value, f"{name}_95": bounds[name]}
    return found | {"clips": len(speakers), "speakers": len(set(speakers))}


def _unanswered(reason: str, speakers: np.ndarray) -> dict:
    return {"roc_auc": None, "reason": reason, "clips": len(speakers), "speakers": len(set(speakers))}
