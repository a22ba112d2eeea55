"""Predictions: a model's logits for clips, all that follows from them, and the table `data/predictions.parquet`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from accent.core.errors import InputError
from accent.core.parts import join_index
from accent.core.tables import read_frame
from accent.corpus.splits import PROBE
from accent.network.calibration import log_odds_of_logits
from accent.network.model import ModelCard, clip_logits
from accent.network.typicality import Typicality
from accent.scoring.refusal import QUALITY, ScoreParams, refusal

PROBABILITY = "probability_"  # and a class: a column of the table


def probability_columns(classes: list[str]) -> list[str]:
    """The columns of the table that have the probabilities of these classes."""
    return [PROBABILITY + name for name in classes]


def classes_of(table: pd.DataFrame) -> list[str]:
    """The classes that a run told apart, in the order of its probabilities."""
    return [name.removeprefix(PROBABILITY) for name in table if name.startswith(PROBABILITY)]


def probabilities_of(table: pd.DataFrame) -> pd.DataFrame:
    """Shape (clips, classes), in the order of `classes_of`."""
    return table[probability_columns(classes_of(table))]


@dataclass(frozen=True)
class Predictions:
    """Clips and a model's logits (clips, classes) for them; `clips` has `client_id`, `label` and whatever is needed."""

    clips: pd.DataFrame
    logits: np.ndarray
    classes: list[str]
    temperature: float = 1.0

    @classmethod
    def of_table(cls, table: pd.DataFrame, clips: pd.DataFrame | None = None) -> "Predictions":
        """Predictions from a table with calibrated probabilities; `clips` are other columns of the same rows."""
        probabilities = probabilities_of(table).to_numpy()
        logits = np.log(np.maximum(probabilities, np.finfo(float).tiny))
        return cls(table if clips is None else clips, logits, classes_of(table))

    @classmethod
    def of_windows(cls, table: pd.DataFrame, card: ModelCard) -> "Predictions":
        """Predictions from the `window_logits` of clips, as the predict stage writes them."""
        logits = clip_logits([np.stack(windows) for windows in table["window_logits"]])
        return cls(table.reset_index(drop=True), logits, list(card.classes), card.temperature)

    def __len__(self) -> int:
        return len(self.logits)

    def of(self, rows: np.ndarray | pd.Series) -> "Predictions":
        """The predictions of some rows, given by a mask or by numbers, which may repeat."""
        clips = self.clips[rows] if np.asarray(rows).dtype == bool else self.clips.iloc[rows]
        return Predictions(clips.reset_index(drop=True), self.logits[rows], self.classes, self.temperature)

    def of_split(self, *splits: str) -> "Predictions":
        """The predictions of the clips of these splits."""
        return self.of(self.clips["split"].isin(splits))

    def natives(self, target: str) -> "Predictions":
        """The predictions of the test clips of class `target`; raises `InputError` where there is none."""
        found = self.of((self.clips["split"] == "test") & (self.clips["label"] == target))
        if not len(found):
            raise InputError(
                f"no test clip of {target} (score.target), with which takes are compared. Change split.fold"
            )
        return found

    def of_speakers(self) -> "Predictions":
        """The mean logits of each speaker's clips of a class."""
        means = pd.DataFrame(self.logits).groupby([self.clips["client_id"], self.targets]).mean()
        speakers, targets = (means.index.get_level_values(level) for level in (0, 1))
        clips = pd.DataFrame({"client_id": speakers, "label": np.array(self.classes)[targets]})
        return Predictions(clips, means.to_numpy(), self.classes, self.temperature)

    @cached_property
    def targets(self) -> np.ndarray:
        """The number of each clip's class."""
        return self.clips["label"].map(self.classes.index).to_numpy()

    @property
    def speakers(self) -> np.ndarray:
        """Each clip's speaker."""
        return self.clips["client_id"].to_numpy()

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Calibrated, of shape (clips, classes)."""
        return softmax(self.logits / self.temperature, axis=1)

    @cached_property
    def log_odds(self) -> np.ndarray:
        """Calibrated log-odds (clips, classes) of each class against the others."""
        return log_odds_of_logits(self.logits / self.temperature)

    @property
    def predicted(self) -> np.ndarray:
        """The name of each clip's likeliest class."""
        return np.array(self.classes)[self.logits.argmax(axis=1)]

    def of_class(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities and the log-odds of one class, each of shape (clips,)."""
        number = self.classes.index(name)
        return self.probabilities[:, number], self.log_odds[:, number]

    def table(self) -> pd.DataFrame:
        """The rows of `data/predictions.parquet`."""
        probabilities = dict(zip(probability_columns(self.classes), self.probabilities.T, strict=True))
        rows = self.clips[["clip_id", "client_id", "split", "label", "predicted", "refused"]].assign(**probabilities)
        return rows.join(self.clips[["window_start_s", "window_logits"]])


def read_test(path: Path, waveforms: Path, classes: Sequence[str]) -> Predictions:
    """The predictions of the test split in the file `path`; the clips are their rows of the index of `waveforms`.

    Raises `InputError` where their classes are not those of the model.
    """
    predictions = read_frame(path)
    tested = predictions[predictions["split"] == "test"].sort_values("clip_id", ignore_index=True)
    clips = join_index(tested[["clip_id"]], waveforms)
    if strangers := set(clips["label"]) ^ set(classes):
        raise InputError(
            f"{path}: class {min(strangers)!r} is not both in the test split and the model's ({', '.join(classes)}). "
            "Change split.fold, or run 'dvc repro'"
        )
    return Predictions.of_table(tested, clips)


def judge(
    heard: pd.DataFrame, measures: pd.DataFrame, card: ModelCard, typicality: Typicality, score: ScoreParams
) -> Predictions:
    """The clips that were not trained on, of all splits and probes, as the scorer would judge them as takes.

    `heard` are the rows of the predict stage, `measures` those of the waveforms' index. The clips get the columns
    `predicted`, `refused` (the kind of reason, or "") and `log_odds` of the target class.
    """
    rows = heard[heard["split"].isin(["valid", "test", PROBE])]
    others = measures.columns.difference(rows.columns).union(["clip_id"])
    found = Predictions.of_windows(rows.merge(measures[others], on="clip_id", validate="one_to_one"), card)
    if len(found) < len(rows):
        raise InputError(f"{len(rows) - len(found):,} clips are not in the index of the waveforms. Run 'dvc repro'")
    _, log_odds = found.of_class(score.target)
    reasons = [
        refusal(measured, typicality.unlikeness(features), probability, score)
        for measured, features, probability in zip(
            found.clips[list(QUALITY)].to_dict("records"), found.clips["typicality"], expit(log_odds), strict=True
        )
    ]
    kinds = [reason.kind if reason else "" for reason in reasons]
    clips = found.clips.assign(predicted=found.predicted, refused=kinds, log_odds=log_odds)
    return replace(found, clips=clips)
