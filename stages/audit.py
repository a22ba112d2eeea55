"""Audit the model: compare it with classifiers that hear no speech, and re-encode clips and see if scores move."""

import argparse
import functools
from pathlib import Path

import pandas as pd

from accent.core.errors import InputError, run
from accent.core.outputs import output_folder, write_json
from accent.core.params import load_params
from accent.core.parts import Parts, join_index
from accent.core.tables import read_frame
from accent.corpus.recordings import draw_audio
from accent.corpus.selection import EvaluateParams
from accent.evaluation.confounds import (
    AuditParams,
    against_model,
    audit_metadata,
    confound_table,
    fit_classifier,
    log_odds,
    permutation_importance,
)
from accent.evaluation.predictions import Predictions
from accent.evaluation.robustness import score_changes, stability
from accent.scoring.picture import draw_audit
from accent.scoring.scorer import Scorer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("waveforms", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("metrics", type=Path)
    parser.add_argument("pictures", type=Path, help="folder for the tables and the picture")
    args = parser.parse_args()

    params, intervals = load_params("audit", AuditParams), load_params("evaluate", EvaluateParams)
    scorer = Scorer.load(args.model, grades=False)
    classes, target = list(scorer.card.classes), scorer.reference.score.target
    splits, predictions = read_frame(args.splits), read_frame(args.predictions)
    train = join_index(splits.loc[splits["split"].isin(["train", "valid"]), ["clip_id"]], args.waveforms)
    tested = predictions[predictions["split"] == "test"].sort_values("clip_id", ignore_index=True)
    test = join_index(tested[["clip_id"]], args.waveforms)
    if strangers := set(test["label"]) ^ set(classes):
        raise InputError(
            f"{args.predictions}: class {min(strangers)!r} is not both in the test split and the model's "
            f"({', '.join(classes)}). Change split.fold, or run 'dvc repro'"
        )
    heard = Predictions.of_table(tested, test)

    rows = pd.concat([train, test], ignore_index=True)
    table = confound_table(rows, Parts(args.waveforms, rows))
    classifier = fit_classifier(table[: len(train)], train["label"], params.seed)
    table = table[len(train) :]
    guess = functools.partial(log_odds, classifier, classes)
    scores = score_changes(draw_audio(args.clips, test, params.max_clips, params.seed), args.model, params.seed)
    metrics = {
        "confounds": against_model(guess(table), heard, "the confounds", intervals),
        "importance": permutation_importance(table, guess, heard.targets, params.permutations, params.seed),
        "gender_and_age": audit_metadata(train, heard, target, intervals, params.seed),
        "channels": stability(scores),
    }
    with output_folder(args.pictures) as folder:
        scores.to_csv(folder / "channels.csv", index=False)
        draw_audit(metrics).savefig(folder / "audit.png", facecolor="white")
    write_json(args.metrics, metrics)
    found = metrics["confounds"]
    print(
        f"{args.metrics}: ROC AUC of the confounds alone {say(found, 'roc_auc')}, of the model "
        f"{say(found, 'model_roc_auc')}, difference {say(found, 'difference')}: {found['verdict']}"
    )


def say(found: dict, name: str) -> str:
    """A number with its 95% interval, where it has one."""
    interval = found[f"{name}_95"]
    return f"{found[name]:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


if __name__ == "__main__":
    run(main)
