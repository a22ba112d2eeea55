"""Probes: named sets of clips that take no part in training and are scored beside the test split."""

from collections.abc import Collection
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt

from accent.core.errors import InputError
from accent.core.params import Fraction, Seed, params
from accent.corpus.common_voice import ClassFilter


@params
class Bar:
    """What a test has to show before a model gives verdicts; the last two are lower ends of the 95% intervals."""

    min_speakers: NonNegativeInt
    min_roc_auc: Fraction
    min_balanced_accuracy: Fraction


@params
class EvaluateParams:
    resamples: PositiveInt
    seed: Seed
    probes: dict[str, ClassFilter] = Field(default_factory=dict)
    second_source: Path
    second_source_clips: PositiveInt
    bar: Bar


def check_names(classes: Collection[str], probes: Collection[str]) -> None:
    """Raise `InputError` where a probe has the name of a class: their clips are told apart by it."""
    if both := sorted(set(classes) & set(probes)):
        raise InputError(f"params.yaml: evaluate.probes.{both[0]}: a class has that name too. Give the probe another")
