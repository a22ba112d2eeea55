"""Probes: named sets of clips that take no part in training and are scored beside the test split."""

from pydantic import Field, PositiveInt

from accent.common_voice import ClassFilter
from accent.params import Seed, params


@params
class EvaluateParams:
    resamples: PositiveInt
    seed: Seed
    probes: dict[str, ClassFilter] = Field(default_factory=dict)
