"""Evaluation of explanations: what the deletion check gives over clips, and which bands the model listens to."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field, PositiveInt
from torch import nn
from tqdm import tqdm

from accent.core.params import Seed, params
from accent.network.model import ModelCard
from accent.scoring.explain import attributions, deletion_check
from accent.scoring.picture import band_hz


@params
class ExplainParams:
    max_clips: PositiveInt
    share: Annotated[float, Field(gt=0, lt=1)]
    draws: PositiveInt
    seed: Seed


def explain_clips(
    model: nn.Module,
    card: ModelCard,
    target: str,
    spectrograms: Sequence[np.ndarray],
    params: ExplainParams,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, np.ndarray]:
    """A row of `deletion_check` for each clip; and what each band adds to its log-odds of `target`, (2, clips, bands).

    First the sums over time of the sizes of the attributions, as shares of the clip's whole; then those of the
    attributions with their signs.
    """
    number = card.classes.index(target)
    checks, shares, sums = [], [], []
    for spectrogram in tqdm(spectrograms, unit="clip", desc="explain", mininterval=1):
        added = attributions(model, card, number, spectrogram)
        checks.append(deletion_check(model, card, number, spectrogram, added, params.share, params.draws, rng))
        size = np.abs(added).sum(axis=0)
        shares.append(size / max(size.sum(), 1e-12))
        sums.append(added.sum(axis=0))
    return pd.DataFrame(checks), np.array([shares, sums])


def deletion_metrics(checks: pd.DataFrame, share: float) -> dict:
    """What `metrics/explanation.json` has: means of the falls, and how often the named cells beat random ones."""
    falls = {f"log_odds_fall_{name}": float(value) for name, value in checks.mean().items()}
    more = float((checks["most"] > checks["random_size"]).mean())
    return {
        "clips": len(checks),
        "deletion": {"share_of_cells": share, **falls, "clips_where_most_beats_random": more},
    }


def band_table(card: ModelCard, labels: Sequence[str], by_clip: np.ndarray) -> pd.DataFrame:
    """The mean over the clips of each label of what `explain_clips` found in each band: hz, label, share, added."""
    labels = np.asarray(labels)
    tables = []
    for label in sorted(set(labels)):
        share, added = (values[labels == label].mean(axis=0) for values in by_clip)
        tables.append(pd.DataFrame({"hz": band_hz(card), "label": label, "share": share, "added": added}))
    return pd.concat(tables, ignore_index=True)


def say_deletion(metrics: dict) -> str:
    """A line that says what `deletion_metrics` found."""
    found = metrics["deletion"]
    most, random = found["log_odds_fall_most"], found["log_odds_fall_random"]
    return (
        f"{metrics['clips']:,} test clips: without the most important {found['share_of_cells']:.0%} of the cells the "
        f"log-odds fall by {most:.2f}, without random ones by {random:.2f}"
    )
