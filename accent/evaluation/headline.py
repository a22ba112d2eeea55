"""Headline metrics: the test split by clip and by speaker, a second source, and abstention."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from accent.corpus.selection import EvaluateParams
from accent.evaluation.fitness import HEADLINES, judge_fitness
from accent.evaluation.groups import evaluate_probes
from accent.evaluation.intervals import say_interval, speaker_intervals, too_few_speakers
from accent.evaluation.metrics import ece_by_chance, evaluate_scores, headline_scores
from accent.evaluation.predictions import Predictions
from accent.scoring.reference import Fitness

RATES = ("refused", "natives_refused", "error_of_all", "error_of_answered")


def evaluate_model(
    judged: Predictions,
    second_source: Predictions | None,
    trained_on: Mapping[str, int],
    target: str,
    params: EvaluateParams,
) -> tuple[dict, Fitness]:
    """What `metrics/evaluation.json` has: the test split, the probes and the second source; and the model's fitness.

    `judged` is of `accent.evaluation.predictions.judge`. `trained_on` counts the speakers of each class in the training
    and validation splits.
    """
    resampling = params.resamples, params.seed
    metrics = evaluate_test(judged.of_split("test"), target, *resampling)
    metrics["probes"] = evaluate_probes(judged, judged.natives(target), *resampling)
    tested = metrics["clip"] | {"interval": metrics["interval"]["clip"], "speakers_of": metrics["speakers_of"]}
    second = None if second_source is None else evaluate_second_source(second_source, *resampling)
    fitness = judge_fitness(tested, second, trained_on, params.bar)
    return metrics | {"second_source": second, "fitness": {"verdicts": fitness.verdicts}}, fitness


def evaluate_test(test: Predictions, target: str, resamples: int, seed: int) -> dict:
    """Metrics of clips, of speakers (the mean of their clips' logits) and of abstention; sizes; and intervals.

    `test.clips` has `refused` too. The intervals are of 95% and over the speakers of each class, under the names of
    what they belong to: [low, high], or None, for which `too_few` may have a reason.
    """
    speakers = test.of_speakers()

    def intervals(metric: Callable[[Predictions], dict], of: Predictions) -> dict:
        return speaker_intervals(lambda rows: metric(of.of(rows)), of.speakers, of.targets, resamples, seed)

    def scores(of: Predictions) -> dict:
        return evaluate_scores(of.logits, of.targets, of.classes, of.temperature) | {
            "ece_by_chance": ece_by_chance(of.probabilities, seed)
        }

    def rates(of: Predictions) -> dict[str, float]:
        found = evaluate_abstention(of, target)
        return {name: np.nan if found[name] is None else found[name] for name in RATES}

    return {
        "clip": scores(test),
        "speaker": scores(speakers),
        "refusal": evaluate_abstention(test, target),
        "interval": {
            "clip": intervals(headlines, test),
            "speaker": intervals(headlines, speakers),
            "refusal": intervals(rates, test),
        },
        "too_few": too_few_speakers(test.speakers, test.clips["label"]),
        **sizes(test.clips, test.classes),
    }


def evaluate_second_source(clips: Predictions, resamples: int, seed: int) -> dict:
    """ROC AUC and balanced accuracy of clips of another source, with intervals."""
    labels = clips.clips["label"]

    def metric(rows: np.ndarray) -> dict[str, float]:
        found = headlines(clips.of(rows))
        return {name: found[name] for name in HEADLINES}

    return {
        **metric(np.arange(len(clips))),
        "interval": speaker_intervals(metric, clips.speakers, labels, resamples, seed),
        "too_few": too_few_speakers(clips.speakers, labels),
        **sizes(clips.clips, clips.classes),
    }


def headlines(clips: Predictions) -> dict[str, float]:
    """`headline_scores` of these clips."""
    return headline_scores(clips.logits, clips.targets, clips.temperature)


def sizes(clips: pd.DataFrame, classes: list[str]) -> dict:
    """How many clips and speakers there are, of all and of each class."""
    by_label = clips.groupby("label")
    of_class = {"clips_of": by_label.size(), "speakers_of": by_label["client_id"].nunique()}
    counts = {name: count.reindex(classes, fill_value=0).to_dict() for name, count in of_class.items()}
    return {"clips": len(clips), "speakers": clips["client_id"].nunique(), **counts}


def evaluate_abstention(clips: Predictions, target: str) -> dict:
    """Abstention: how often the scorer says "unsure", and the error of the clips that it answers.

    Of all, of native speakers (the class `target`) and by kind of reason; the error with and without those clips.
    """
    reasons = clips.clips["refused"].to_numpy()
    refused, wrong = reasons != "", _wrong(clips, target)
    natives = refused[(clips.clips["label"] == target).to_numpy()]
    kinds = pd.Series(reasons[refused], dtype=str).value_counts()
    return {
        "refused": float(refused.mean()),
        "natives_refused": float(natives.mean()) if len(natives) else np.nan,
        "error_of_all": float(wrong.mean()),
        "error_of_answered": float(wrong[~refused].mean()) if not refused.all() else None,
        "clips_refused": {kind: int(count) for kind, count in sorted(kinds.items())},
    }


def risk_coverage(clips: Predictions, target: str) -> pd.DataFrame:
    """Share of wrong answers against the share answered, the surest clips first (arXiv 1705.08500).

    Once over all clips, once over those that are not refused for the recording's sake; a curve ends where all of its
    clips are answered.
    """
    probability, _ = clips.of_class(target)
    confidence, wrong = np.maximum(probability, 1 - probability), _wrong(clips, target)
    good = clips.clips["refused"].isin(["", "too close to call"]).to_numpy()
    curves = []
    for name, rows in (("all clips", np.ones(len(clips), bool)), ("without bad recordings", good)):
        order = np.argsort(-confidence[rows], kind="stable")
        answered = np.arange(1, len(order) + 1)
        risk = wrong[rows][order].cumsum() / answered
        curves.append(pd.DataFrame({"coverage": answered / len(clips), "risk": risk, "label": name}))
    return pd.concat(curves, ignore_index=True)


def _wrong(clips: Predictions, target: str) -> np.ndarray:
    """Where the scorer's answer, the target class or not, is not the truth."""
    return (clips.of_class(target)[0] >= 0.5) != (clips.clips["label"] == target).to_numpy()


def say_headlines(metrics: dict) -> str:
    """A line that says what `evaluate_test` found."""
    clip, interval, chance = metrics["clip"], metrics["interval"]["clip"], metrics["clip"]["ece_by_chance"]
    return (
        f"{metrics['clips']:,} test clips of {metrics['speakers']:,} speakers: "
        f"ROC AUC {clip['roc_auc']:.3f} {say_interval(interval['roc_auc'])}, "
        f"balanced accuracy {clip['balanced_accuracy']:.3f} {say_interval(interval['balanced_accuracy'])}, "
        f"ECE {clip['ece']:.3f} ({clip['ece_uncalibrated']:.3f} before temperature scaling; by chance, of a calibrated "
        f"model, {chance['mean']:.3f}, 90%: {chance['low']:.3f} to {chance['high']:.3f})"
    )
