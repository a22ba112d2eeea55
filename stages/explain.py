"""Explain the scores of test clips, check the explanations by deletion, and draw what the model listens to."""

import argparse
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field, PositiveInt
from tqdm import tqdm

from accent.core.errors import run
from accent.core.outputs import output_folder, write_json
from accent.core.params import Seed, load_params, params
from accent.core.parts import Parts, join_index
from accent.core.tables import read_frame
from accent.network.model import load_model
from accent.scoring.explain import attributions, deletion_check
from accent.scoring.picture import band_hz, draw_bands
from accent.scoring.reference import load_reference


@params
class ExplainParams:
    max_clips: PositiveInt
    share: Annotated[float, Field(gt=0, lt=1)]
    draws: PositiveInt
    seed: Seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("spectrograms", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("metrics", type=Path)
    parser.add_argument("pictures", type=Path)
    args = parser.parse_args()

    params = load_params("explain", ExplainParams)
    model, card = load_model(args.model)
    target = load_reference(args.model).score.target
    number = card.classes.index(target)
    splits = read_frame(args.splits)
    test = join_index(splits[splits["split"] == "test"], args.spectrograms)
    rng = np.random.default_rng(params.seed)
    test = test.iloc[np.sort(rng.permutation(len(test))[: params.max_clips])]

    checks, shares, sums = [], [], []
    for spectrogram in tqdm(Parts(args.spectrograms, test), unit="clip", desc="explain", mininterval=1):
        added = attributions(model, card, number, spectrogram)
        checks.append(deletion_check(model, card, number, spectrogram, added, params.share, params.draws, rng))
        size = np.abs(added).sum(axis=0)
        shares.append(size / max(size.sum(), 1e-12))
        sums.append(added.sum(axis=0))

    by_clip = pd.DataFrame(checks)
    metrics = {
        "clips": len(test),
        "deletion": {
            "share_of_cells": params.share,
            **{f"log_odds_fall_{name}": float(value) for name, value in by_clip.mean().items()},
            "clips_where_most_beats_random": float((by_clip["most"] > by_clip["random_size"]).mean()),
        },
    }
    rows = []
    labels = test["label"].to_numpy()
    for label in sorted(set(labels)):
        share, added = (np.array(values)[labels == label].mean(axis=0) for values in (shares, sums))
        rows.append(pd.DataFrame({"hz": band_hz(card), "label": label, "share": share, "added": added}))
    bands = pd.concat(rows, ignore_index=True)
    with output_folder(args.pictures) as partial:
        bands.to_csv(partial / "bands.csv", index=False)
        draw_bands(bands, target).savefig(partial / "bands.png", facecolor="white")
    write_json(args.metrics, metrics)
    fall = metrics["deletion"]
    print(
        f"{args.metrics}: {len(test):,} test clips: without the most important {params.share:.0%} of the cells the "
        f"log-odds fall by {fall['log_odds_fall_most']:.2f}, without random ones by {fall['log_odds_fall_random']:.2f}"
    )


if __name__ == "__main__":
    run(main)
