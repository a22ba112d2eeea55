"""Reference of a model, `models/reference.json`: what a score is compared with; `evaluate` writes it."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import expit

from accent.core.outputs import write_json
from accent.core.params import params, read_json
from accent.network.typicality import Typicality
from accent.scoring.refusal import ScoreParams

REFERENCE = "reference.json"
PERCENTS = np.arange(101)
NATIVE_LOW, NATIVE_HIGH = 5, 95  # percent of the native speakers' test clips: the range that a take is compared with


@params
class Fitness:
    """Whether a model may give verdicts, and in a sentence what that rests on."""

    verdicts: bool
    sentence: str


@params
class Reference:
    """Fitness, thresholds, native speakers' scores, and statistics of speech of a trained model."""

    weights_sha256: str
    fitness: Fitness
    score: ScoreParams
    native_log_odds: Annotated[tuple[float, ...], Field(min_length=101, max_length=101)]  # percentiles 0 to 100
    typicality: Typicality

    def native_probability(self, percent: int) -> float:
        """A percentile of the probability that native speakers' test clips got."""
        return float(expit(self.native_log_odds[percent]))

    def native_percentile(self, log_odds: float) -> float:
        """The percent of the native speakers' test clips that scored lower."""
        return float(np.interp(log_odds, self.native_log_odds, PERCENTS))


def percentiles(log_odds: np.ndarray) -> tuple[float, ...]:
    """Percentiles 0 to 100 of native speakers' log-odds, as a `Reference` has them."""
    return tuple(np.percentile(log_odds, PERCENTS).tolist())


def save_reference(folder: Path, reference: Reference) -> None:
    """Write `reference.json` into a model's folder."""
    write_json(folder / REFERENCE, asdict(reference), indent=1)


def load_reference(folder: Path) -> Reference:
    """Read it back; raises `InputError` where it is missing, broken or tampered with."""
    return read_json(folder / REFERENCE, Reference)
