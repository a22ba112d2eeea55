"""Which training settings help on real clips, from the trunk: an experiment of DVC for every setting and fold.

    python -m benchmarks.settings RELEASES [--only NAME ...] [--jobs N] [--table]

RELEASES holds Common Voice in French and English. The experiments are called set-NAME-FOLD and run in DVC's queue.
Choose by the column of the validation clips; the test clips' are what a choice is worth. `benchmarks.folds` runs the
same settings in a single process, in a fraction of the time.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from accent.core.errors import InputError, run
from accent.evaluation.intervals import speaker_intervals
from accent.evaluation.metrics import auc, calibration_error, ece_by_chance
from accent.evaluation.revisions import read_predictions

FOLDS, TARGET, DEFAULT = 5, "french", "default"
ALL = {"split.folds": FOLDS, "evaluate.resamples": 20}  # not the intervals of these tables
NO_AUGMENTATION = {
    f"train.augment.{name}": 0 for name in ("level_db", "tilt_db", "lowpass", "noise_db", "time_mask", "frequency_mask")
}
SETTINGS: dict[str, dict] = {
    DEFAULT: {},  # params.yaml as it is: from the trunk, the last layer alone
    "fine-tuned": {"train.freeze_epochs": 1},
    "fine-tuned, learning rate 0.003": {"train.freeze_epochs": 1, "train.learning_rate": 0.003},
    "fine-tuned, batches of 64": {"train.freeze_epochs": 1, "train.batch_size": 64},
    "another seed": {"train.seed": 2},
    "21 epochs": {"train.epochs": 21},
    "windows of 1 s": {"train.window_seconds": 1.0},
    "windows of 2.5 s": {"train.window_seconds": 2.5},
    "batches of 64": {"train.batch_size": 64},
    "learning rate 0.01": {"train.learning_rate": 0.01},
    # Of classes of unlike size, all clips; its validation clips are others, so it is compared with nothing: --base
    "unbalanced, batches of 64": {"split.balance": False, "train.batch_size": 64},
    "10 windows a clip": {"train.windows_per_clip": 10},
    "no augmentation": NO_AUGMENTATION,
    "no level": {"train.augment.level_db": 0},
    "no tilt": {"train.augment.tilt_db": 0},
    "no low-pass": {"train.augment.lowpass": 0},
    "no noise": {"train.augment.noise_db": 0},
    "no masks": {"train.augment.time_mask": 0, "train.augment.frequency_mask": 0},
    "warped bands and time": {"train.augment.frequency_warp": 0.1, "train.augment.time_warp": 0.2},
    "test windows every 0.25 s": {"train.window_hop_seconds": 0.25},
    "mixup": {"train.mixup": 0.4},
    "label smoothing": {"train.label_smoothing": 0.1},
    "weight decay 0.1": {"train.weight_decay": 0.1},
    "random weights": {"train.weights": "none"},
    # Of benchmarks.self_supervision, which has no trunk to start from
    "scratch": {
        "train.weights": "none",
        "train.width": 16,
        "train.batch_size": 64,
        "train.windows_per_clip": 4,
        "train.augment.noise_db": 30,
    },
    # With RELEASES that have one of accent.synthesise beside the others (200, 600 clips a locale), and in the last also
    # the embedded sample with "sample" in its column segment.
    "synthetic": {},
    "synthetic-600": {},
    "synthetic-sample": {"split.train_segments": ["synthetic", "sample"]},
    # For benchmarks.folds --trunks: what benchmarks.trunks has made. The others start from the shipped trunk, which
    # fits one width, one antialias and one set of spectrogram parameters.
    "small trunk": {"train.trunk": "width-32"},
    "small trunk, width 64": {"train.trunk": "width-64", "train.width": 64},
    "small trunk, up to 8,000 Hz": {"train.trunk": "fmax-8000", "spectrogram.fmax_hz": 8000},
}
OTHER_RELEASES = ("synthetic", "synthetic-600", "synthetic-sample")  # to be named by --only, with their RELEASES
OF_OTHER_CLIPS = [name for name, changes in SETTINGS.items() if "split.balance" in changes]
OF_SMALL_TRUNKS = [name for name, changes in SETTINGS.items() if "train.trunk" in changes]


def experiment(name: str, fold: int) -> str:
    """What a run is called."""
    return f"set-{re.sub('[^a-z0-9]+', '-', name)}-{fold}"


def queue(name: str, changes: dict) -> None:
    """Put the runs of one setting, a fold each, into DVC's queue."""
    for fold in range(FOLDS):
        options = [f"-S{key}={value}" for key, value in {**ALL, "split.fold": fold, **changes}.items()]
        command = ["dvc", "exp", "run", "--queue", "--name", experiment(name, fold), *options, "evaluate"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def work(jobs: int) -> None:
    """Let DVC's workers empty the queue."""
    subprocess.run(["dvc", "queue", "start", "--jobs", str(jobs)], check=True)
    while any(word in _status() for word in ("Queued", "Running")):
        time.sleep(10)


def _status() -> str:
    return subprocess.run(["dvc", "queue", "status"], check=True, capture_output=True, text=True).stdout


def read(name: str, split: str) -> pd.DataFrame:
    """What a setting's runs say of a split: clip_id, client_id, positive, score, fold."""
    runs = [read_predictions(experiment(name, fold), split).assign(fold=fold) for fold in range(FOLDS)]
    clips = pd.concat(runs, ignore_index=True)
    return clips[["clip_id", "client_id", "fold"]].assign(
        positive=clips["label"] == TARGET, score=clips[f"probability_{TARGET}"]
    )


def calibration(clips: pd.DataFrame) -> list[str]:
    """The ECE of the folds' clips taken together, and what it would be by chance if the probabilities were right."""
    probabilities = np.stack([1 - clips["score"], clips["score"]], axis=1)
    found, chance = calibration_error(probabilities, clips["positive"].to_numpy(int)), ece_by_chance(probabilities, 1)
    return [f"{found:.3f}", "{mean:.3f} ({low:.2f} to {high:.2f})".format(**chance)]


def mean_auc(clips: pd.DataFrame, rows: np.ndarray, score: str = "score") -> float:
    """The mean of the folds' ROC AUC over those rows; NaN where one of them has none."""
    folds, positive, scores = (clips[name].to_numpy()[rows] for name in ("fold", "positive", score))
    return float(np.mean([auc(positive[folds == fold], scores[folds == fold]) for fold in range(FOLDS)]))


def beside(clips: pd.DataFrame, base: pd.DataFrame) -> list[str]:
    """Mean AUC with its interval, and the difference to the base run on the same clips with its own."""
    both = clips.merge(base[["clip_id", "fold", "score"]], on=["clip_id", "fold"], suffixes=("", "_base"))

    def metric(rows: np.ndarray) -> dict[str, float]:
        mean = mean_auc(both, rows)
        return {"auc": mean, "difference": mean - mean_auc(both, rows, "score_base")}

    intervals = speaker_intervals(metric, both["client_id"], both["positive"], 1000, 1, ["difference"])
    found = metric(np.arange(len(both)))
    said = {name: "({:+.2f} to {:+.2f})".format(*bounds) if bounds else "(-)" for name, bounds in intervals.items()}
    return [f"{found[name]:+.3f} {said[name]}" for name in found]


def print_table(names: list[str]) -> None:
    """A row a setting, as Markdown; one whose runs are not all there is left out, with the reason."""
    bases = {split: read(DEFAULT, split) for split in ("valid", "test")}
    print(
        "| setting | valid AUC | less default | test AUC | less default | test ECE | by chance |",
        "|---" * 7 + "|",
        sep="\n",
    )
    for name in names:
        try:
            runs = {split: read(name, split) for split in bases}
        except InputError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        print_row(name, runs, bases)


def print_row(name: str, runs: dict[str, pd.DataFrame], bases: dict[str, pd.DataFrame]) -> None:
    """The row of what a setting's runs say of the valid and the test clips."""
    cells = [cell for split, base in bases.items() for cell in beside(runs[split], base)]
    print(f"| {' | '.join([name, *cells, *calibration(runs['test'])])} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", type=Path)
    choices = [name for name in SETTINGS if name not in OF_SMALL_TRUNKS]
    usual = [name for name in choices if name not in (*OTHER_RELEASES, *OF_OTHER_CLIPS)]
    parser.add_argument("--only", nargs="+", choices=choices, default=usual, metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1, help="workers of the queue (default: 1)")
    parser.add_argument("--table", action="store_true", help="print what there is, and run nothing")
    args = parser.parse_args()
    if not args.table:
        for name in args.only:
            queue(name, {"ingest.releases": args.releases.resolve(), **SETTINGS[name]})
        work(args.jobs)
    print_table(args.only)


if __name__ == "__main__":
    run(main)
