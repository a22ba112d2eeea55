"""How much could be had without listening: nuisance measures and metadata against the model, and other channels."""

import argparse
import json
from pathlib import Path

import pandas as pd

from accent.audit import AuditParams, Heard, audit_metadata, compare
from accent.channels import draw_audio, score_changes, stability
from accent.errors import InputError, run
from accent.nuisance import fit_classifier, log_odds, log_odds_of, nuisance_table, permutation_importance
from accent.outputs import output_file, output_folder
from accent.params import load_params
from accent.parts import Parts, read_index
from accent.picture import draw_audit
from accent.probes import EvaluateParams
from accent.score import Scorer


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
    index, splits, predictions = read_index(args.waveforms), pd.read_parquet(args.splits), pd.read_parquet(args.predictions)
    learnt = splits[splits["split"].isin(["train", "valid"])]
    tested = predictions[predictions["split"] == "test"]
    train, test = (index.merge(rows["clip_id"], on="clip_id", validate="one_to_one") for rows in (learnt, tested))
    if len(test) < len(tested):
        raise InputError(f"{args.predictions}: of other clips than {args.waveforms}. Run 'dvc repro'")
    tested = tested.set_index("clip_id").loc[test["clip_id"]]
    heard = Heard(test, log_odds_of(tested[[f"probability_{name}" for name in classes]].to_numpy()), classes)

    rows = pd.concat([train, test], ignore_index=True)
    table = nuisance_table(rows, Parts(args.waveforms, rows))
    measures, train_measures = table[len(train) :], table[: len(train)]
    classifier = fit_classifier(train_measures, train["label"], params.seed)

    def guess(values: pd.DataFrame):
        return log_odds(classifier, values, classes)

    scores = score_changes(draw_audio(args.clips, test, params.max_clips, params.seed), args.model, params.seed)
    nuisance = compare(guess(measures), heard, "the nuisance measures", intervals)
    metrics = {
        "verdict": nuisance["verdict"],
        "nuisance": nuisance,
        "importance": permutation_importance(measures, guess, heard.targets, params.permutations, params.seed),
        "gender_and_age": audit_metadata(train, heard, target, intervals, params.seed),
        "channels": stability(scores),
    }
    with output_folder(args.pictures) as partial:
        scores.to_csv(partial / "channels.csv", index=False)
        draw_audit(metrics).savefig(partial / "audit.png", facecolor="white")
    with output_file(args.metrics) as partial:
        partial.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    found = metrics["nuisance"]
    print(
        f"{args.metrics}: ROC AUC of the nuisance measures alone {found['roc_auc']:.3f}, "
        f"of the model {found['model_roc_auc']:.3f}: {found['verdict']}"
    )


if __name__ == "__main__":
    run(main)
