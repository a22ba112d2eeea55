"""How much could be had without listening: nuisance measures and metadata against the model, and other channels."""

import argparse
from functools import partial
from pathlib import Path

import pandas as pd

from accent.core.errors import InputError, run
from accent.core.outputs import output_folder, write_json
from accent.core.params import load_params
from accent.core.parts import Parts, read_index
from accent.core.tables import read_frame
from accent.corpus.probes import EvaluateParams
from accent.corpus.recordings import draw_audio
from accent.evaluation.audit import AuditParams, Heard, audit_metadata, compare
from accent.evaluation.nuisance import fit_classifier, log_odds, nuisance_table, permutation_importance
from accent.evaluation.robustness import score_changes, stability
from accent.network.log_odds import log_odds_of
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
    scorer = Scorer.load(args.model)
    classes, target = list(scorer.card.classes), scorer.reference.score.target
    index, splits = read_index(args.waveforms), read_frame(args.splits)
    learnt = splits[splits["split"].isin(["train", "valid"])]
    tested = read_frame(args.predictions).query("split == 'test'")
    train, test = (index.merge(rows["clip_id"], on="clip_id", validate="one_to_one") for rows in (learnt, tested))
    if len(test) < len(tested):
        raise InputError(f"{args.predictions}: of other clips than {args.waveforms}. Run 'dvc repro'")
    if strangers := set(test["label"]) ^ set(classes):
        raise InputError(
            f"{args.predictions}: class {min(strangers)!r} is not both in the test split and the model's "
            f"({', '.join(classes)}). Change split.fold, or run 'dvc repro'"
        )
    probabilities = tested.set_index("clip_id").loc[test["clip_id"], [f"probability_{name}" for name in classes]]
    heard = Heard(test, log_odds_of(probabilities.to_numpy()), classes)

    rows = pd.concat([train, test], ignore_index=True)
    table = nuisance_table(rows, Parts(args.waveforms, rows))
    classifier = fit_classifier(table[: len(train)], train["label"], params.seed)
    table = table[len(train) :]
    guess = partial(log_odds, classifier, classes)
    scores = score_changes(draw_audio(args.clips, test, params.max_clips, params.seed), args.model, params.seed)
    metrics = {
        "nuisance": compare(guess(table), heard, "the nuisance measures", intervals),
        "importance": permutation_importance(table, guess, heard.targets, params.permutations, params.seed),
        "gender_and_age": audit_metadata(train, heard, target, intervals, params.seed),
        "channels": stability(scores),
    }
    with output_folder(args.pictures) as folder:
        scores.to_csv(folder / "channels.csv", index=False)
        draw_audit(metrics).savefig(folder / "audit.png", facecolor="white")
    write_json(args.metrics, metrics)
    found = metrics["nuisance"]
    print(
        f"{args.metrics}: ROC AUC of the nuisance measures alone {say(found, 'roc_auc')}, of the model "
        f"{say(found, 'model_roc_auc')}, difference {say(found, 'difference')}: {found['verdict']}"
    )


def say(found: dict, name: str) -> str:
    """A number with its 95% interval, where it has one."""
    interval = found[f"{name}_95"]
    return f"{found[name]:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


if __name__ == "__main__":
    run(main)
