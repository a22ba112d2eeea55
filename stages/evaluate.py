"""Compute metrics with intervals, predictions and plots from the logits, and the reference for the scores of takes."""

import numpy as np

from accent.core.arguments import parse_paths
from accent.core.errors import run
from accent.core.outputs import output_file, output_folder, write_json
from accent.core.params import load_params
from accent.core.tables import read_frame, write_table
from accent.corpus.second_source import SECOND_SOURCE
from accent.corpus.selection import EvaluateParams
from accent.evaluation.curves import write_curves
from accent.evaluation.groups import say_probe, write_subgroups
from accent.evaluation.headline import evaluate_model, say_headlines, sizes
from accent.evaluation.predictions import Predictions, judge
from accent.network.model import load_card
from accent.network.typicality import fit_typicality
from accent.scoring.reference import Reference, percentiles, save_reference
from accent.scoring.refusal import ScoreParams


def main() -> None:
    args = parse_paths(__doc__, "model", "measures", "logits", "metrics", "predictions", "plots")

    score, params = load_params("score", ScoreParams), load_params("evaluate", EvaluateParams)
    card, clips = load_card(args.model), read_frame(args.logits)
    score.check_target(card.classes, "params.yaml")
    features = (np.stack(clips.loc[clips["split"] == split, "typicality"].to_list()) for split in ("train", "valid"))
    typicality = fit_typicality(*features, score.typical_quantile)
    judged = judge(clips, read_frame(args.measures), card, typicality, score)
    second = clips[clips["split"] == SECOND_SOURCE]
    second_source = Predictions.of_windows(second, card) if len(second) else None
    trained_on = sizes(clips[clips["split"].isin(["train", "valid"])], list(card.classes))["speakers_of"]
    metrics, fitness = evaluate_model(judged, second_source, trained_on, score.target, params)

    with output_folder(args.plots) as folder:
        write_curves(folder, judged, score.target)
        write_subgroups(folder, judged.of_split("test"), score.target, params.resamples, params.seed)
    reference = Reference(
        weights_sha256=card.weights_sha256,
        fitness=fitness,
        score=score,
        native_log_odds=percentiles(judged.natives(score.target).of_class(score.target)[1]),
        typicality=typicality,
    )
    save_reference(args.model, reference)
    with output_file(args.predictions) as partial:
        write_table(judged.table(), partial)
    write_json(args.metrics, metrics)
    print(f"{args.metrics}: {say_headlines(metrics)}\n{fitness.sentence}")
    for name, probe in metrics["probes"].items():
        print(say_probe(name, probe, score.target))


if __name__ == "__main__":
    run(main)
