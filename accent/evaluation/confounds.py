"""Confound baselines: classifiers that see recording conditions or metadata, and hear no speech.

It knows the recording's measures, or the speaker's gender and age, alone. And whether the model tells women from men
instead of the classes.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import PositiveInt
from sklearn.ensemble import HistGradientBoostingClassifier
from tqdm import tqdm

from accent.audio.waveform import FULL_SCALE
from accent.core.params import Seed, params
from accent.core.parts import Parts
from accent.corpus.common_voice import FEMALE, GENDERS, MALE, gender_of
from accent.corpus.selection import EvaluateParams
from accent.evaluation.intervals import speaker_intervals, too_few_speakers
from accent.evaluation.metrics import auc, roc_auc
from accent.evaluation.predictions import Predictions
from accent.network.calibration import log_odds_of

# Those of accent.audio.waveform.trim that are numbers; the codec and the noise floor's bands come beside them.
CONFOUNDS = [
    *("duration_s", "leading_silence_s", "trailing_silence_s", "speech_s", "loudness_dbfs"),
    *("snr_db", "clipped_fraction", "bandwidth_hz", "source_rate_hz"),
]
PART = ":"  # in a column's name, between a measure and which part of it the column is
FRAME, HOP = 512, 256  # samples: 32 ms every 16 ms
FLOOR_WINDOW = np.hanning(FRAME)
FLOOR_SHARE = 0.1  # of the frames: the quietest
FLOOR_BANDS = 8  # of 1 kHz


@params
class AuditParams:
    max_clips: PositiveInt
    permutations: PositiveInt
    seed: Seed


def noise_floor(waveform: np.ndarray) -> np.ndarray:
    """The spectrum of the quietest tenth of a waveform's (int16) frames, in 8 bands of 1 kHz.

    Mean log power of those frames, in dB re the mean power of all frames and bands; at least -120.
    """
    samples = np.pad(waveform, (0, max(FRAME - len(waveform), 0))) / FULL_SCALE
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    spectrum = np.fft.rfft(frames * FLOOR_WINDOW)[:, 1:]
    power = (spectrum.real**2 + spectrum.imag**2).reshape(len(frames), FLOOR_BANDS, -1).mean(axis=2)
    totals = power.mean(axis=1)
    quietest = np.argsort(totals, kind="stable")[: max(round(FLOOR_SHARE * len(frames)), 1)]
    relative = power[quietest] / max(totals.mean(), 1e-20)
    return 10 * np.log10(np.maximum(relative, 1e-12)).mean(axis=0)


def confound_table(rows: pd.DataFrame, waveforms: Parts) -> pd.DataFrame:
    """The measures of clips as numbers, a row a clip; `rows` are those of the waveforms' index.

    A measure of several columns has a colon in their names: `noise_floor:0 ...`, `source_codec:OGG/OPUS ...`.
    """
    floors = [noise_floor(waveform) for waveform in tqdm(waveforms, unit="clip", desc="noise floor", mininterval=1)]
    bands = pd.DataFrame(np.array(floors), rows.index).add_prefix(f"noise_floor{PART}")
    codec = pd.get_dummies(rows[["source_codec"]], prefix_sep=PART)
    return pd.concat([rows[CONFOUNDS], codec, bands], axis=1).astype(float)


def metadata_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Gender and age as numbers: a column of 0 and 1 for each value, and one for clips that state none."""
    words = rows[["gender", "age"]].assign(gender=rows["gender"].map(gender_of))
    return pd.get_dummies(words, prefix_sep=PART).astype(float)


def fit_classifier(table: pd.DataFrame, labels: Sequence[str], seed: int) -> HistGradientBoostingClassifier:
    """Boosted trees that guess the label from a table of numbers; small ones, since there may be a few hundred rows."""
    model = HistGradientBoostingClassifier(
        max_leaf_nodes=8,
        min_samples_leaf=10,
        l2_regularization=1.0,
        class_weight="balanced",
        early_stopping=False,
        random_state=seed,
    )
    return model.fit(table.to_numpy(), labels)


def log_odds(model: HistGradientBoostingClassifier, classes: Sequence[str], table: pd.DataFrame) -> np.ndarray:
    """Log-odds (n, classes) of each class against the others, in the order of `classes`."""
    places = [list(model.classes_).index(name) for name in classes]
    return log_odds_of(model.predict_proba(table.to_numpy())[:, places])


def permutation_importance(
    table: pd.DataFrame, guess: Callable[[pd.DataFrame], np.ndarray], targets: np.ndarray, repeats: int, seed: int
) -> dict[str, dict[str, float]]:
    """Permutation importance: the fall of the ROC AUC of `guess(table)` when one column is shuffled, the largest first.

    Mean and standard deviation over the repeats. All columns of a measure are dealt out together: scikit-learn's
    function of this name would take one at a time, and the others would still tell.
    """
    whole = roc_auc(guess(table), targets)
    measures = table.columns.str.split(PART).str[0]
    rng = np.random.default_rng(seed)
    falls = {}
    for measure in tqdm(measures.unique(), unit="measure", desc="importance", mininterval=1):
        columns = table.columns[measures == measure]
        orders = [rng.permutation(len(table)) for _ in range(repeats)]
        dealt = (table.assign(**{name: table[name].to_numpy()[order] for name in columns}) for order in orders)
        fall = whole - np.array([roc_auc(guess(values), targets) for values in dealt])
        falls[measure] = {"mean": float(fall.mean()), "sd": float(fall.std())}
    return dict(sorted(falls.items(), key=lambda item: -item[1]["mean"]))


def audit_measures(
    train: pd.DataFrame, test: Predictions, waveforms: Path, params: AuditParams, intervals: EvaluateParams
) -> dict:
    """Audit the measures: a classifier that knows them alone, against the model, and the importance of each measure.

    `train` and `test.clips` are rows of the index of `waveforms`.
    """
    rows = pd.concat([train, test.clips], ignore_index=True)
    table = confound_table(rows, Parts(waveforms, rows))
    classifier = fit_classifier(table[: len(train)], train["label"], params.seed)
    table = table[len(train) :]
    guess = functools.partial(log_odds, classifier, test.classes)
    return {
        "confounds": against_model(guess(table), test, "the confounds", intervals),
        "importance": permutation_importance(table, guess, test.targets, params.permutations, params.seed),
    }


def say_comparison(found: dict) -> str:
    """A line that says what `against_model` found of the confounds."""

    def number(name: str) -> str:
        interval = found[f"{name}_95"]
        return f"{found[name]:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")

    return (
        f"ROC AUC of the confounds alone {number('roc_auc')}, of the model {number('model_roc_auc')}, "
        f"difference {number('difference')}: {found['verdict']}"
    )


def against_model(alone: np.ndarray, test: Predictions, what: str, intervals: EvaluateParams) -> dict:
    """Compare a baseline with the model on the same clips: both ROC AUCs, their difference, and a verdict in words.

    `alone` are log-odds (n, classes), and `what` names where they come from. The interval of the difference is of the
    same resamples of speakers for both.
    """
    targets = test.targets

    def metric(rows: np.ndarray) -> dict[str, float]:
        without, heard = (roc_auc(values[rows], targets[rows]) for values in (alone, test.log_odds))
        return {"roc_auc": without, "model_roc_auc": heard, "difference": heard - without}

    labels = test.clips["label"].to_numpy()
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


def audit_metadata(train: pd.DataFrame, test: Predictions, target: str, intervals: EvaluateParams, seed: int) -> dict:
    """Audit gender and age: do they predict the class, does the score predict gender, does the model work within each?

    `train` has the columns of `test.clips`. The score is that of class `target`: an AUC above 0.5 means that women get
    the higher ones. Where a side has too few speakers for an interval, `roc_auc` is None and `reason` says so.
    """
    labels, speakers, targets = test.clips["label"].to_numpy(), test.speakers, test.targets
    genders = test.clips["gender"].map(gender_of).to_numpy()
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


def _metadata_alone(train: pd.DataFrame, test: Predictions, intervals: EvaluateParams, seed: int) -> dict:
    """Of the rows that state one of the two or both."""
    learnt, known = (
        ((rows["gender"].map(gender_of) != "") | (rows["age"] != "")).to_numpy() for rows in (train, test.clips)
    )
    train, test = train[learnt], test.of(known)
    for rows, where in ((train, "to learn from"), (test.clips, "to be tested on")):
        if reason := _unstated(rows["label"].to_numpy(), rows["client_id"].to_numpy(), test.classes):
            return _unanswered(f"{where}, {reason}", test.speakers)
    table = metadata_table(pd.concat([train, test.clips], ignore_index=True))
    classifier = fit_classifier(table[: len(train)], train["label"], seed)
    return against_model(log_odds(classifier, test.classes, table[len(train) :]), test, "gender and age", intervals)


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
