"""Cross-validation by speaker of training settings, starting from the trunk, on releases of Common Voice.

    python -m benchmarks.folds RELEASES [--only NAME ...] [--base NAME] [--classes NAME=LOCALE ...] [--folder FOLDER]
                               [--trunks FOLDER] [--table]

Every setting of `benchmarks.settings` is run once a fold, by the project's own stages with the project's params.yaml,
in FOLDER (default: a temporary one), and compared with the default, or another --base, on the same clips. Runs that are
complete in FOLDER are not repeated, and with --table nothing is run at all. `benchmarks.settings` has DVC's queue do
it; here all runs share one process's imports and one decoding.

Choose by the columns of the validation clips. Those of the test clips say what a choice is worth.
"""

import argparse
import contextlib
import multiprocessing
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from accent.core.errors import run
from accent.core.parts import Parts, read_index
from accent.corpus.common_voice import FEMALE, MALE, gender_of
from accent.evaluation.compare import HIGHER_IS_BETTER, compare, verdict
from accent.evaluation.confounds import confound_table, fit_classifier, log_odds
from accent.evaluation.headline import evaluate_abstention
from accent.evaluation.intervals import say_interval, speaker_intervals
from accent.evaluation.metrics import auc, calibration_error, ece_by_chance, roc_auc
from accent.evaluation.predictions import Predictions, probabilities_of
from accent.network.calibration import log_odds_of
from benchmarks.settings import ALL, DEFAULT, FOLDS, OF_OTHER_CLIPS, OF_SMALL_TRUNKS, OTHER_RELEASES, SETTINGS
from benchmarks.usage import ROOT

RESAMPLES, SEED = 1000, 1
FIXED = {"train.trunk": str(ROOT / "models" / "trunk"), "evaluate.second_source": "none"}  # the latter: an empty folder
STAGES = {
    "ingest": "EXCLUSIONS clips",
    "decode": "clips waveforms",
    "spectrogram": "WAVEFORMS spectrograms",
    "split": "WAVEFORMS splits.parquet",
    "train": "SPECTROGRAMS splits.parquet models live training.json --state state",
    "predict": "models SPECTROGRAMS splits.parquet logits.parquet",
    "evaluate": "models WAVEFORMS/index.parquet logits.parquet evaluation.json predictions.parquet plots",
}
APART = (*OF_OTHER_CLIPS, *OF_SMALL_TRUNKS, *OTHER_RELEASES)  # run only where they are named
PREPARING, OF_A_FOLD = ("ingest", "decode"), ("split", "train", "predict", "evaluate")


def write_params(folder: Path, changes: dict) -> None:
    """The project's params.yaml with these changes (dotted names), in `folder`."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name, value in {**FIXED, **ALL, **changes}.items():
        *sections, last = name.split(".")
        place = params
        for section in sections:
            place = place[section]
        place[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def run_stage(name: str, folder: Path, paths: dict[str, Path]) -> None:
    """A stage in `folder`, in a child of this process, which has imported it already; it says the rest in `log.txt`."""
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(name, folder, paths))
    child.start()
    child.join()
    if child.exitcode:
        sys.exit(f"{folder}: {name} failed, as the line above says")  # which multiprocessing prints


def _in_child(name: str, folder: Path, paths: dict[str, Path]) -> None:
    os.chdir(folder)
    words = (word.partition("/") for word in STAGES[name].split())
    sys.argv = [name, *("".join([str(paths.get(first, first)), slash, rest]) for first, slash, rest in words)]
    with open("log.txt", "a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        try:
            run(import_module(f"stages.{name}").main)
        finally:  # a forked child's exit waits for idle workers, which joblib keeps for five minutes
            get_reusable_executor().shutdown()


def place_of(folder: Path, name: str, fold: int) -> Path:
    """Where a setting's run of a fold is kept."""
    return folder / f"{name.replace(' ', '-').replace(',', '')}-{fold}"


def run_all(folder: Path, names: list[str], upstream: dict, trunks: Path | None) -> None:
    """Every stage of every run that is not there yet."""
    for stage in STAGES:
        import_module(f"stages.{stage}")
    paths = {"EXCLUSIONS": ROOT / "data" / "exclusions.csv", "WAVEFORMS": folder / "waveforms"}
    if not (folder / "waveforms").exists():
        write_params(folder, upstream)
        for stage in PREPARING:
            run_stage(stage, folder, paths)
    for name in names:
        changes = {**upstream, **SETTINGS[name]}
        if "train.trunk" in changes:
            changes["train.trunk"] = str(trunks / changes["train.trunk"])
        heard = {key: value for key, value in changes.items() if key.startswith("spectrogram.")}
        pictures = folder / "-".join(["of", *map(str, heard.values())])
        paths["SPECTROGRAMS"] = pictures / "spectrograms"
        if not paths["SPECTROGRAMS"].exists():
            pictures.mkdir()
            write_params(pictures, changes)
            run_stage("spectrogram", pictures, paths)
        for fold in tqdm(range(FOLDS), desc=name, unit="fold"):
            place = place_of(folder, name, fold)
            if (place / "predictions.parquet").exists():
                continue
            (place / "none").mkdir(parents=True, exist_ok=True)
            write_params(place, {**changes, "split.fold": fold})
            for stage in OF_A_FOLD:
                run_stage(stage, place, paths)


def read(folder: Path, name: str) -> dict[str, pd.DataFrame]:
    """The predictions of a setting's runs, by split, with the fold of each row."""
    runs = [pd.read_parquet(place_of(folder, name, fold) / "predictions.parquet") for fold in range(FOLDS)]
    clips = pd.concat([rows.assign(fold=fold) for fold, rows in enumerate(runs)], ignore_index=True)
    return {split: rows.drop(columns="split").reset_index(drop=True) for split, rows in clips.groupby("split")}


class Folds:
    """The clips of all folds, and the mean over the folds of the ROC AUC of log-odds for them."""

    def __init__(self, clips: pd.DataFrame, classes: list[str]):
        self.clips, self.fold = clips, clips["fold"].to_numpy()
        self.targets = clips["label"].map(classes.index).to_numpy()

    def mean_auc(self, odds: np.ndarray, rows: np.ndarray) -> float:
        """NaN where a fold lacks a class."""
        folds, targets, odds = self.fold[rows], self.targets[rows], odds[rows]
        return float(np.mean([roc_auc(odds[folds == fold], targets[folds == fold]) for fold in range(FOLDS)]))

    def beside(self, odds: np.ndarray, base: np.ndarray | None) -> list[str]:
        """The mean AUC with its interval; and less the base's, with its own and `accent.compare`'s verdict."""

        def metric(rows: np.ndarray) -> dict[str, float]:
            mean = self.mean_auc(odds, rows)
            return {"auc": mean} if base is None else {"auc": mean, "difference": mean - self.mean_auc(base, rows)}

        speakers, labels = self.clips["client_id"], self.clips["label"]
        intervals = speaker_intervals(metric, speakers, labels, RESAMPLES, SEED, ["difference"])
        found = metric(np.arange(len(self.clips)))
        cells = ["{:.3f} ({:.2f} to {:.2f})".format(found["auc"], *(intervals["auc"] or [np.nan] * 2))]
        if base is None:
            return [*cells, ""]
        difference, interval = found["difference"], intervals["difference"]
        said = verdict(difference, interval, higher_is_better=True)
        bounds = " ({:+.2f} to {:+.2f})".format(*interval) if interval else ""
        return [*cells, f"{difference:+.3f}{bounds}: {said}"]


def calibration(rows: pd.DataFrame, targets: np.ndarray) -> str:
    """The ECE of the folds' clips taken together, and what a calibrated model would show by chance (90%)."""
    probabilities = probabilities_of(rows).to_numpy()
    chance = "{mean:.3f} ({low:.2f} to {high:.2f})".format(**ece_by_chance(probabilities, SEED))
    return f"{calibration_error(probabilities, targets):.3f}; {chance}"


def confound_odds(folder: Path, name: str, test: pd.DataFrame, classes: list[str]) -> np.ndarray:
    """The log-odds for the test clips of the confound baseline, which learns from the other clips of a run's folds."""
    index = read_index(folder / "waveforms")
    table = confound_table(index, Parts(folder / "waveforms", index))
    table.index = index["clip_id"]
    found = np.empty((len(test), len(classes)))
    for fold in range(FOLDS):
        splits = pd.read_parquet(place_of(folder, name, fold) / "splits.parquet")
        learnt = splits[splits["split"].isin(["train", "valid"])]
        rows = (test["fold"] == fold).to_numpy()
        classifier = fit_classifier(table.loc[learnt["clip_id"]], learnt["label"], SEED)
        found[rows] = log_odds(classifier, classes, table.loc[test["clip_id"][rows]])
    return found


def print_genders(folder: Path, test: pd.DataFrame, target: str) -> None:
    """Whether the score tells women from men within each class, and the classes apart within each gender."""
    genders = read_index(folder / "waveforms").set_index("clip_id")["gender"].map(gender_of)
    test = test.assign(gender=genders.loc[test["clip_id"]].to_numpy())
    questions = [("gender", FEMALE, "label", label) for label in sorted(test["label"].unique())]
    questions += [("label", target, "gender", gender) for gender in (FEMALE, MALE)]
    for what, positive, within, value in questions:
        rows = test[(test[within] == value) & test["gender"].isin([FEMALE, MALE])]
        score = rows[f"probability_{target}"].to_numpy()
        strata = (rows[what] == positive).to_numpy()
        interval = speaker_intervals(
            lambda drawn, of=strata, by=score: {"auc": auc(of[drawn], by[drawn])},
            rows["client_id"],
            strata,
            RESAMPLES,
            SEED,
        )["auc"]
        print(
            f"{value}: AUC of {positive} against the others {auc(strata, score):.3f} {say_interval(interval)}, "
            f"{strata.sum()} clips against {(~strata).sum()}"
        )


def print_table(folder: Path, names: list[str], base_name: str) -> None:
    """A row a setting, as Markdown, then a row of the confound baseline; runs that are not all there are left out."""
    base = read(folder, base_name)
    params = yaml.safe_load((place_of(folder, base_name, 0) / "params.yaml").read_text())
    target, classes = params["score"]["target"], sorted(params["ingest"]["classes"])
    folds = {split: Folds(base[split], classes) for split in ("valid", "test")}
    odds_of_base = {split: log_odds_of(probabilities_of(base[split]).to_numpy()) for split in folds}
    test = base["test"]
    voices = test.groupby("label")["client_id"].agg(["size", "nunique"])
    counts = ", ".join(f"{clips} {label} of {speakers}" for label, clips, speakers in voices.itertuples())
    print(f"{len(test)} test clips over {FOLDS} folds: {counts} speakers")
    metrics = ", ".join(HIGHER_IS_BETTER)
    print(
        f"| setting | valid AUC | less {base_name} | test AUC | less {base_name} | test balanced accuracy "
        f"| ECE; by chance | refused; of {target} | error of answered; of all | compare: {metrics} |",
        f"|{'---|' * 10}",
        sep="\n",
    )
    for name in names:
        try:
            runs = read(folder, name)
        except FileNotFoundError as error:
            print(f"{name}: {error.filename} is missing", file=sys.stderr)
            continue
        cells = []
        for split, of_split in folds.items():
            rows = runs[split]
            if not rows["clip_id"].equals(base[split]["clip_id"]):
                sys.exit(f"{name}: other {split} clips than {base_name}")
            odds = log_odds_of(probabilities_of(rows).to_numpy())
            cells += of_split.beside(odds, None if name == base_name else odds_of_base[split])
        rows = runs["test"]
        found = compare(test, rows, RESAMPLES, SEED)["metrics"]
        refused = evaluate_abstention(Predictions.of_table(rows), target)
        error = refused["error_of_answered"]
        cells += [
            f"{found['balanced_accuracy']['b']:.3f}",
            calibration(rows, folds["test"].targets),
            f"{refused['refused']:.0%}; {refused['natives_refused']:.0%}",
            f"{'-' if error is None else format(error, '.1%')}; {refused['error_of_all']:.1%}",
            "" if name == base_name else ", ".join(row["verdict"] for row in found.values()),
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    alone = folds["test"].beside(confound_odds(folder, base_name, test, classes), odds_of_base["test"])
    print(f"| confound baseline | | | {' | '.join(alone)} | | | | | |")
    print_genders(folder, test, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", type=Path)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=[], metavar="NAME")
    parser.add_argument("--base", choices=SETTINGS, default=DEFAULT, metavar="NAME")
    parser.add_argument("--classes", nargs="+", default=["french=fr", "english=en"], metavar="NAME=LOCALE")
    parser.add_argument("--folder", type=Path, help="where the runs are kept (default: a temporary folder)")
    parser.add_argument("--trunks", type=Path, help="what benchmarks.trunks has made")
    parser.add_argument("--table", action="store_true", help="print what there is, and run nothing")
    args = parser.parse_args()
    classes = {name: {"locale": locale} for name, _, locale in (pair.partition("=") for pair in args.classes)}
    upstream = {"ingest.releases": str(args.releases.resolve()), "ingest.classes": classes}
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        names = args.only or [name for name in SETTINGS if name not in APART]
        names = [args.base, *(name for name in names if name != args.base)]
        if args.trunks is None and (lacking := [name for name in names if name in OF_SMALL_TRUNKS]):
            parser.error(f"{lacking[0]} needs --trunks")
        if not args.table:
            run_all(folder, names, upstream, args.trunks and args.trunks.resolve())
        print_table(folder, names, args.base)


if __name__ == "__main__":
    run(main)
