"""The validation loss of a small corpus, from scratch, with and without measured batch-norm statistics.

Run it in the project's folder after `dvc repro spectrogram split`. Both trainings give the same weights, since these
learn from each batch's own statistics; what is judged has fastai's running mean, or what `BatchNorm` measures.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd

from accent.audio.spectrogram import SpectrogramParams
from accent.core.errors import run
from accent.core.params import load_params
from accent.evaluation.curves import draw_loss
from accent.training.callbacks import BatchNorm
from accent.training.checkpoint import Checkpoint
from accent.training.learner import TrainParams, fit, make_learner, read_clips, training_dls

WAYS = {"running mean": False, "measured": True}
LEARNING_RATE = 0.003  # of all layers, from random weights; that of params.yaml is the last layer's


def losses(spectrograms: Path, splits: Path, measured: bool) -> pd.DataFrame:
    """Step and validation loss of a training from scratch with the other parameters of params.yaml."""
    params, spectrogram = load_params("train", TrainParams), load_params("spectrogram", SpectrogramParams)
    params = replace(params, weights="none", keep="last", learning_rate=LEARNING_RATE)
    window, hop = (spectrogram.frames_in(seconds) for seconds in (params.window_seconds, params.window_hop_seconds))
    clips, classes = read_clips(spectrograms, splits)
    dls = training_dls(clips["train"], clips["valid"], classes, window, hop, params, spectrogram.range_db)
    learn = make_learner(dls, params)
    if not measured:
        learn.remove_cb(BatchNorm)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder, "state"), "")
        fit(learn, params, checkpoint, Path(folder, "live"))
    valid = [loss for _, loss, *_ in checkpoint.history]
    return pd.DataFrame({"step": range(1, len(valid) + 1), "loss": valid})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--spectrograms", type=Path, default=Path("data/spectrograms"))
    parser.add_argument("--splits", type=Path, default=Path("data/splits.parquet"))
    args = parser.parse_args()

    curves = {name: losses(args.spectrograms, args.splits, measured) for name, measured in WAYS.items()}
    args.picture.parent.mkdir(parents=True, exist_ok=True)
    draw_loss(curves).savefig(args.picture, facecolor="white")
    table = pd.DataFrame({name: rows["loss"] for name, rows in curves.items()}).round(2)
    print(table.describe().loc[["min", "50%", "max"]].to_string())


if __name__ == "__main__":
    run(main)
