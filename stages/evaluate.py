"""Score the test clips and the probes: metrics, predictions, plots, and what the scorer compares a take with."""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit, softmax

from accent.audio.waveform import SAMPLE_RATE
from accent.core.errors import InputError, run
from accent.core.outputs import output_file, output_folder, write_json
from accent.core.params import load_params
from accent.core.parts import Parts, read_index
from accent.core.tables import read_frame, write_table
from accent.corpus.probes import EvaluateParams
from accent.corpus.second_source import is_given, read_second_source
from accent.corpus.selection import IngestParams
from accent.corpus.splits import PROBE, SPLITS
from accent.evaluation.fitness import judge_fitness
from accent.evaluation.group_picture import draw_subgroups
from accent.evaluation.groups import probe_result, subgroups
from accent.evaluation.headline import evaluate_second_source, evaluate_test, sizes
from accent.evaluation.intervals import say_interval
from accent.evaluation.plot_data import confusion, reliability, roc, score_histogram
from accent.evaluation.selective import risk_coverage
from accent.network.log_odds import one_against_rest
from accent.network.model import clip_logits, load_model, window_logits
from accent.scoring.reference import PERCENTS, Reference, save_reference
from accent.scoring.refusal import MEASURES, ScoreParams, refusal
from accent.scoring.typicality import clip_features, fit_typicality


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("waveforms", type=Path, help="of which the index is read, for the measures")
    parser.add_argument("spectrograms", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("metrics", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("plots", type=Path)
    args = parser.parse_args()

    score, params = load_params("score", ScoreParams), load_params("evaluate", EvaluateParams)
    model, card = load_model(args.model, "cuda" if torch.cuda.is_available() else "cpu")
    classes, target = list(card.classes), score.target
    if target not in classes:
        raise InputError(f"params.yaml: score.target: no class {target!r}. The model's: {', '.join(classes)}")
    clips = read_frame(args.splits, ["clip_id", "client_id", "label", "split"])
    clips = clips.merge(read_index(args.spectrograms), on="clip_id", validate="one_to_one")
    clips = clips[clips["split"].isin([*SPLITS, PROBE])].reset_index(drop=True)
    if not ((clips["split"] == "test") & (clips["label"] == target)).any():
        raise InputError(
            f"{args.splits}: no test clip of {target} (score.target), with which takes are compared. Change split.fold"
        )
    if strangers := set(clips.loc[clips["split"] != PROBE, "label"]) - set(classes):
        raise InputError(f"{args.splits}: classes {sorted(strangers)} are not the model's {classes}. Run 'dvc repro'")

    is_train = clips["split"] == "train"
    parts = Parts(args.spectrograms, clips)
    features = np.stack([clip_features(spectrogram, card).mean(axis=0) for spectrogram in parts])
    judged, judged_features = clips[~is_train].reset_index(drop=True), features[~is_train]
    starts, windows = window_logits(model, Parts(args.spectrograms, judged), card.window, card.window_hop)
    logits = clip_logits(windows)
    probabilities = softmax(logits / card.temperature, axis=1)
    log_odds = one_against_rest(logits / card.temperature, classes.index(target))

    in_test = judged["split"] == "test"
    natives = in_test & (judged["label"] == target)
    typicality = fit_typicality(features[is_train], judged_features[judged["split"] == "valid"], score.typical_quantile)
    measured = judged[["clip_id", "split"]].merge(read_index(args.waveforms), on="clip_id", validate="one_to_one")
    reasons = [
        refusal(measures, typicality.unlikeness(clip), probability, score)
        for measures, clip, probability in zip(
            measured[list(MEASURES)].to_dict("records"), judged_features, expit(log_odds), strict=True
        )
    ]
    verdicts = {
        "predicted": np.array(classes)[logits.argmax(axis=1)],
        "refused": [reason.kind if reason else "" for reason in reasons],
    }
    predictions = judged[["clip_id", "client_id", "split", "label"]].assign(
        **verdicts,
        **{f"probability_{name}": probabilities[:, number] for number, name in enumerate(classes)},
        window_start_s=[first * card.spectrogram.hop_length / SAMPLE_RATE for first in starts],
        window_logits=[clip.tolist() for clip in windows],
    )
    measured = measured.assign(**verdicts, log_odds=log_odds)
    resampling = params.resamples, params.seed
    test = predictions[in_test].reset_index(drop=True)
    metrics = evaluate_test(test, logits[in_test], classes, card.temperature, target, *resampling)
    metrics["probes"] = {
        name: probe_result(measured[natives], probe, classes, *resampling)
        for name, probe in measured[measured["split"] == PROBE].groupby("label")
    }
    learnt = clips[clips["split"].isin(["train", "valid"])]
    second = None
    if is_given(params.second_source):
        elsewhere = read_second_source(
            params.second_source,
            load_params("ingest", IngestParams),
            params.second_source_clips,
            set(learnt["client_id"]),
            card.audio,
            card.spectrogram,
        )
        _, heard = window_logits(model, list(elsewhere.pop("spectrogram")), card.window, card.window_hop)
        second = evaluate_second_source(elsewhere, clip_logits(heard), classes, card.temperature, *resampling)
    tested = metrics["clip"] | {"interval": metrics["interval"]["clip"], "speakers_of": metrics["speakers_of"]}
    fitness = judge_fitness(tested, second, sizes(learnt, classes)["speakers_of"], params.bar)
    metrics |= {"second_source": second, "fitness": asdict(fitness)}
    reference = Reference(
        weights_sha256=card.weights_sha256,
        fitness=fitness,
        score=score,
        native_log_odds=tuple(np.percentile(log_odds[natives], PERCENTS).tolist()),
        typicality=typicality,
    )
    groups = subgroups(measured[in_test], target, *resampling)
    shown = in_test | (judged["split"] == PROBE)
    targets = test["label"].map(classes.index).to_numpy()

    with output_folder(args.plots) as partial:
        for name, rows in {
            "confusion": confusion(test["label"], test["predicted"]),
            "roc": roc(logits[in_test] / card.temperature, targets, classes),
            "reliability": reliability(logits[in_test], targets, card.temperature),
            "scores": score_histogram(logits[shown], judged["label"][shown], classes, card.temperature),
            "risk_coverage": risk_coverage(test, target),
            "subgroups": groups,
        }.items():
            rows.to_csv(partial / f"{name}.csv", index=False)
        picture = draw_subgroups(groups, 1 - metrics["clip"]["accuracy"])
        picture.savefig(partial / "subgroups.png", facecolor="white")
    save_reference(args.model, reference)
    with output_file(args.predictions) as partial:
        write_table(predictions, partial)
    write_json(args.metrics, metrics)
    clip, interval = metrics["clip"], metrics["interval"]["clip"]
    chance = clip["ece_by_chance"]
    print(
        f"{args.metrics}: {len(test):,} test clips of {metrics['speakers']:,} speakers: "
        f"ROC AUC {clip['roc_auc']:.3f} {say_interval(interval['roc_auc'])}, "
        f"balanced accuracy {clip['balanced_accuracy']:.3f} {say_interval(interval['balanced_accuracy'])}, "
        f"ECE {clip['ece']:.3f} ({clip['ece_uncalibrated']:.3f} before temperature scaling; by chance, of a calibrated "
        f"model, {chance['mean']:.3f}, 90%: {chance['low']:.3f} to {chance['high']:.3f})"
    )
    print(fitness.sentence)
    for name, probe in metrics["probes"].items():
        auc = probe["auc_natives_against"]
        print(
            f"probe {name}: {probe['clips']:,} clips of {probe['speakers']:,} speakers: mean probability of {target} "
            f"{probe['mean_probability']:.2f}, ROC AUC of natives against them {auc:.3f} "
            f"{say_interval(probe['interval']['auc_natives_against'])}"
        )


if __name__ == "__main__":
    run(main)
