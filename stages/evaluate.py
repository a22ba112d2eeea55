"""Compute metrics with intervals, predictions and plots from the logits, and the reference for the scores of takes."""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np

from accent.core.errors import run
from accent.core.outputs import output_file, output_folder, write_json
from accent.core.params import load_params
from accent.core.tables import read_frame, write_table
from accent.corpus.second_source import SECOND_SOURCE
from accent.corpus.selection import EvaluateParams
from accent.evaluation.curves import write_curves
from accent.evaluation.fitness import judge_fitness
from accent.evaluation.groups import evaluate_probes, say_probe, write_subgroups
from accent.evaluation.headline import evaluate_second_source, evaluate_test, say_headlines, sizes
from accent.evaluation.predictions import Predictions, judge
from accent.network.model import load_card
from accent.network.typicality import fit_typicality
from accent.scoring.reference import PERCENTS, Reference, save_reference
from accent.scoring.refusal import ScoreParams


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="the model's folder: its card is read, its reference is written")
    parser.add_argument("measures", type=Path, help="index of the waveforms")
    parser.add_argument("logits", type=Path)
    parser.add_argument("metrics", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("plots", type=Path)
    args = parser.parse_args()

    score, params = load_params("score", ScoreParams), load_params("evaluate", EvaluateParams)
    card, heard = load_card(args.model), read_frame(args.logits)
    score.check_target(card.classes, "params.yaml")
    of = {split: heard[heard["split"] == split] for split in ("train", "valid", SECOND_SOURCE)}
    features = (np.stack(of[split]["typicality"].to_list()) for split in ("train", "valid"))
    typicality = fit_typicality(*features, score.typical_quantile)
    judged = judge(heard, read_frame(args.measures), card, typicality, score)
    test, natives = judged.of_split("test"), judged.natives(score.target)
    resampling = params.resamples, params.seed
    metrics = evaluate_test(test, score.target, *resampling)
    metrics["probes"] = evaluate_probes(judged, natives, *resampling)
    second = None
    if len(of[SECOND_SOURCE]):
        second = evaluate_second_source(Predictions.of_windows(of[SECOND_SOURCE], card), *resampling)
    learnt = sizes(heard[heard["split"].isin(["train", "valid"])], test.classes)["speakers_of"]
    tested = metrics["clip"] | {"interval": metrics["interval"]["clip"], "speakers_of": metrics["speakers_of"]}
    fitness = judge_fitness(tested, second, learnt, params.bar)
    metrics |= {"second_source": second, "fitness": asdict(fitness)}

    with output_folder(args.plots) as partial:
        write_curves(partial, judged, score.target)
        write_subgroups(partial, test, score.target, *resampling)
    percentiles = np.percentile(natives.of_class(score.target)[1], PERCENTS)
    save_reference(
        args.model,
        Reference(
            weights_sha256=card.weights_sha256,
            fitness=fitness,
            score=score,
            native_log_odds=tuple(percentiles.tolist()),
            typicality=typicality,
        ),
    )
    with output_file(args.predictions) as partial:
        write_table(judged.table(), partial)
    write_json(args.metrics, metrics)
    print(f"{args.metrics}: {say_headlines(metrics)}\n{fitness.sentence}")
    for name, probe in metrics["probes"].items():
        print(say_probe(name, probe, score.target))


if __name__ == "__main__":
    run(main)
