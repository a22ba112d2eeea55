"""Probes: named sets of clips that take no part in training and are scored beside the test split."""

from collections.abc import Collection

from pydantic import Field, PositiveInt

from accent.common_voice import ClassFilter
from accent.errors import InputError
from accent.params import Seed, params


@params
class EvaluateParams:
    resamples: PositiveInt
    seed: Seed
    probes: dict[str, ClassFilter] = Field(default_factory=dict)


def check_names(classes: Collection[str], probes: Collection[str]) -> None:
    """Raise `InputError` where a probe has the name of a class: their clips are told apart by it."""
    if both := sorted(set(classes) & set(probes)):
        raise InputError(f"params.yaml: evaluate.probes.{both[0]}: a class has that name too. Give the probe another")
