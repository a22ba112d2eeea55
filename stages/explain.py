"""Explain the scores of test clips, check the explanations by deletion, and draw what the model listens to."""

import numpy as np
import torch

from accent.core.arguments import parse_paths
from accent.core.errors import run
from accent.core.outputs import output_folder, write_json
from accent.core.params import load_params
from accent.core.parts import Parts, join_index
from accent.core.tables import read_frame
from accent.evaluation.explanations import ExplainParams, band_table, deletion_metrics, explain_clips, say_deletion
from accent.network.model import load_model
from accent.scoring.picture import draw_bands
from accent.scoring.reference import load_reference


def main() -> None:
    args = parse_paths(__doc__, "model", "spectrograms", "splits", "metrics", "pictures")

    torch.set_num_threads(1)  # clips of some seconds are too short to be shared among cores
    params = load_params("explain", ExplainParams)
    model, card = load_model(args.model)
    target = load_reference(args.model).score.target
    splits = read_frame(args.splits)
    test = join_index(splits[splits["split"] == "test"], args.spectrograms)
    rng = np.random.default_rng(params.seed)
    drawn = test.iloc[np.sort(rng.permutation(len(test))[: params.max_clips])]

    checks, by_clip = explain_clips(model, card, target, Parts(args.spectrograms, drawn), params, rng)
    metrics, bands = deletion_metrics(checks, params.share), band_table(card, drawn["label"], by_clip)
    with output_folder(args.pictures) as folder:
        bands.to_csv(folder / "bands.csv", index=False)
        draw_bands(bands, target).savefig(folder / "bands.png", facecolor="white")
    write_json(args.metrics, metrics)
    print(f"{args.metrics}: {say_deletion(metrics)}")


if __name__ == "__main__":
    run(main)
