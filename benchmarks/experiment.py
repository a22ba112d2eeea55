"""The weekend experiment trained on the pipeline's own splits: its test ROC AUC compared with the model's.

    python -m benchmarks.experiment [--epochs 25]

After `dvc repro`. fastai's `vision_learner` (a resnet18 from scratch, 3x224x224, float32) learns from pictures of the
clips of the train split, by ffmpeg, scipy and matplotlib, for as many epochs as the model had; the epoch of the lowest
validation loss is kept, as the pipeline does. Prints both AUCs and their difference, with intervals over speakers.
"""

import argparse
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
from fastai.callback.tracker import SaveModelCallback
from fastai.torch_core import set_seed
from fastai.vision.all import ImageDataLoaders, Resize, resnet18, vision_learner

from accent.core.errors import run
from accent.core.params import load_params
from accent.core.tables import read_frame
from accent.corpus.selection import EvaluateParams
from accent.evaluation.intervals import say_interval, speaker_intervals
from accent.evaluation.metrics import auc
from accent.scoring.refusal import ScoreParams
from accent.training.learner import TrainParams
from benchmarks.audio import the_experiment

BATCH, LEARNING_RATE = 64, 0.003


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=load_params("train", TrainParams).epochs)
    args = parser.parse_args()
    resampling = load_params("evaluate", EvaluateParams)
    target = load_params("score", ScoreParams).target
    clips = read_frame(Path("data/splits.parquet"), ["clip_id", "client_id", "label", "split"])
    ours = read_frame(Path("data/predictions.parquet"), ["clip_id", f"probability_{target}"])
    learned = clips[clips["split"].isin(["train", "valid"])]
    test = clips[clips["split"] == "test"].merge(ours, on="clip_id", validate="one_to_one")
    recordings = {path.stem: path for path in Path("data/sample").rglob("clips/*")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        the_experiment([recordings[name] for name in [*learned["clip_id"], *test["clip_id"]]], folder)
        table = learned.assign(picture=learned["clip_id"] + ".png", is_valid=learned["split"] == "valid")
        set_seed(1, reproducible=True)
        dls = ImageDataLoaders.from_df(
            table,
            folder,
            fn_col="picture",
            label_col="label",
            valid_col="is_valid",
            item_tfms=Resize(224),
            bs=BATCH,
        )
        learn = vision_learner(dls, resnet18, pretrained=False, path=folder)
        began = time.perf_counter()
        with learn.no_bar(), redirect_stdout(StringIO()):
            learn.fit_one_cycle(args.epochs, LEARNING_RATE, cbs=SaveModelCallback(monitor="valid_loss"))
        seconds = time.perf_counter() - began
        pictures = [folder / f"{name}.png" for name in test["clip_id"]]
        with learn.no_bar():
            probabilities, _ = learn.get_preds(dl=dls.test_dl(pictures))
    positive = (test["label"] == target).to_numpy()
    theirs = probabilities[:, list(dls.vocab).index(target)].numpy()
    mine = test[f"probability_{target}"].to_numpy()

    def metric(rows: np.ndarray) -> dict[str, float]:
        both = {"ours": mine, "the weekend way": theirs}
        found = {name: auc(positive[rows], scores[rows]) for name, scores in both.items()}
        return {**found, "difference": found["ours"] - found["the weekend way"]}

    everything = metric(np.arange(len(test)))
    intervals = speaker_intervals(metric, test["client_id"], test["label"], resampling.resamples, resampling.seed)
    print(f"{len(learned):,} clips to learn from, {len(test):,} to test, {args.epochs} epochs in {seconds:.0f} s")
    for name, value in everything.items():
        print(f"ROC AUC, {name}: {value:.3f} {say_interval(intervals[name])}")


if __name__ == "__main__":
    run(main)
