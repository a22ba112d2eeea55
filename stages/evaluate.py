"""Score the test clips: metrics, predictions, the rows behind the plots, and what the scorer compares a take with."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.special import expit, softmax

from accent.audio import SAMPLE_RATE
from accent.errors import InputError, run
from accent.log_odds import one_against_rest
from accent.metrics import evaluate_scores
from accent.model import clip_logits, load_model, window_logits
from accent.outputs import output_file, output_folder
from accent.params import load_params
from accent.parts import Parts, read_index
from accent.plot_data import confusion, reliability, roc, score_histogram
from accent.reference import PERCENTS, Reference, save_reference
from accent.refusal import MEASURES, ScoreParams, refusal
from accent.selective import evaluate_refusal, risk_coverage
from accent.splits import SPLITS
from accent.typicality import clip_features, fit_typicality


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("measures", type=Path, help="index of the waveforms")
    parser.add_argument("spectrograms", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("metrics", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("plots", type=Path)
    args = parser.parse_args()

    params = load_params("score", ScoreParams)
    model, card = load_model(args.model, "cuda" if torch.cuda.is_available() else "cpu")
    classes = list(card.classes)
    if params.target not in classes:
        raise InputError(f"params.yaml: score.target: no class {params.target!r}. The model's: {', '.join(classes)}")
    splits = pd.read_parquet(args.splits).merge(read_index(args.spectrograms), on="clip_id", validate="one_to_one")
    test = splits[splits["split"] == "test"].reset_index(drop=True)
    if strangers := set(test["label"]) - set(classes):
        raise InputError(f"{args.splits}: classes {sorted(strangers)} are not the model's {classes}. Run 'dvc repro'")

    starts, windows = window_logits(model, Parts(args.spectrograms, test), card.window, card.window_hop)
    logits = clip_logits(windows)
    targets = test["label"].map(classes.index).to_numpy()
    probabilities = softmax(logits / card.temperature, axis=1)
    log_odds = one_against_rest(logits / card.temperature, classes.index(params.target))
    features = {
        split: np.stack([clip_features(clip, card).mean(axis=0) for clip in Parts(args.spectrograms, rows)])
        for split, rows in splits.groupby("split")
        if split in SPLITS
    }
    reference = Reference(
        weights_sha256=card.weights_sha256,
        score=params,
        native_log_odds=tuple(np.percentile(log_odds[test["label"] == params.target], PERCENTS).tolist()),
        typicality=fit_typicality(features["train"], features["valid"], params.typical_quantile),
    )
    measures = test[["clip_id"]].merge(pd.read_parquet(args.measures), on="clip_id", validate="one_to_one")
    reasons = [
        refusal(measured, reference.typicality.unlikeness(clip), probability, params)
        for measured, clip, probability in zip(
            measures[list(MEASURES)].to_dict("records"), features["test"], expit(log_odds), strict=True
        )
    ]
    predictions = test[["clip_id", "client_id", "label"]].assign(
        predicted=np.array(classes)[logits.argmax(axis=1)],
        **{f"probability_{name}": probabilities[:, number] for number, name in enumerate(classes)},
        refused=[reason.kind if reason else "" for reason in reasons],
        window_start_s=[first * card.spectrogram.hop_length / SAMPLE_RATE for first in starts],
        window_logits=[clip.tolist() for clip in windows],
    )
    speakers = pd.DataFrame(logits).groupby([test["client_id"], targets]).mean()
    by_label = test.groupby("label")
    metrics = {
        "clip": evaluate_scores(logits, targets, classes, card.temperature),
        "speaker": evaluate_scores(
            speakers.to_numpy(), speakers.index.get_level_values(1).to_numpy(), classes, card.temperature
        ),
        "refusal": evaluate_refusal(predictions, params.target),
        "clips": len(test),
        "clips_of": by_label.size().to_dict(),
        "speakers": test["client_id"].nunique(),
        "speakers_of": by_label["client_id"].nunique().to_dict(),
    }

    with output_folder(args.plots) as partial:
        for name, rows in {
            "confusion": confusion(predictions["label"], predictions["predicted"]),
            "roc": roc(logits, targets, classes),
            "reliability": reliability(logits, targets, card.temperature),
            "scores": score_histogram(logits, targets, classes, card.temperature),
            "risk_coverage": risk_coverage(predictions, params.target),
        }.items():
            rows.to_csv(partial / f"{name}.csv", index=False)
    save_reference(args.model, reference)
    with output_file(args.predictions) as partial:
        predictions.to_parquet(partial, index=False)
    with output_file(args.metrics) as partial:
        partial.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    clip = metrics["clip"]
    print(
        f"{args.metrics}: {len(test):,} test clips of {metrics['speakers']:,} speakers: "
        f"ROC AUC {clip['roc_auc']:.3f}, balanced accuracy {clip['balanced_accuracy']:.3f}, "
        f"ECE {clip['ece']:.3f} ({clip['ece_uncalibrated']:.3f} before temperature scaling)"
    )


if __name__ == "__main__":
    run(main)
