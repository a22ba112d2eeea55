"""The headline numbers of a test split, however small or one-sided it is: what cannot be known is null in JSON."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from accent.core.outputs import write_json
from accent.evaluation.curves import confusion
from accent.evaluation.headline import evaluate_second_source, evaluate_test, risk_coverage
from accent.evaluation.predictions import Predictions

CLASSES = ["english", "french"]


def predictions(labels: list[str], odds: list[float]) -> Predictions:
    """A clip a speaker, with these log-odds of French."""
    rows = pd.DataFrame(
        {
            "clip_id": [f"clip-{number}" for number in range(len(labels))],
            "client_id": [f"speaker-{number}" for number in range(len(labels))],
            "label": labels,
            "refused": "",
        }
    )
    return Predictions(rows, np.stack([np.zeros(len(odds)), np.array(odds)], axis=1), CLASSES)


def written(tmp_path, clips: Predictions) -> dict:
    """What the stage writes of them, as strict JSON; nothing may warn on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = evaluate_test(clips, "french", 100, 1)
        risk_coverage(clips, "french")
        confusion(clips.clips["label"], clips.clips["label"])
    write_json(tmp_path / "metrics.json", metrics)
    return json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize(("labels", "odds"), [(["french"] * 5, [2.0, 1.0, -1.0, 0.5, 3.0]), (["french"], [2.0])])
def test_without_clips_of_a_class_its_numbers_are_null(tmp_path, labels, odds):
    metrics = written(tmp_path, predictions(labels, odds))
    for counted in ("clip", "speaker"):
        headlines = ("accuracy", "balanced_accuracy", "roc_auc", "eer", "log_loss", "brier")
        assert {metrics[counted][name] for name in headlines} == {None}
        assert metrics[counted]["recall"] == {"english": None, "french": np.mean(np.array(odds) > 0)}
        assert set(metrics["interval"][counted].values()) == {None}
    assert metrics["clips_of"] == {"english": 0, "french": len(labels)}
    assert metrics["refusal"]["natives_refused"] == 0


def test_without_native_speakers_how_many_are_refused_is_null(tmp_path):
    metrics = written(tmp_path, predictions(["english"] * 4, [-1.0] * 4))
    assert metrics["refusal"]["natives_refused"] is None
    assert metrics["clip"]["recall"] == {"english": 1, "french": None}


def test_tied_scores_are_a_coin_s_and_have_no_interval(tmp_path):
    metrics = written(tmp_path, predictions(CLASSES * 5, [0.0] * 10))
    assert metrics["clip"]["roc_auc"] == metrics["clip"]["balanced_accuracy"] == metrics["clip"]["eer"] == 0.5
    assert metrics["interval"]["clip"]["roc_auc"] is None


def test_no_interval_of_ece_but_what_chance_would_show(tmp_path):
    rng = np.random.default_rng(1)
    odds = rng.normal(size=60) * 2
    labels = np.where(rng.random(60) < 1 / (1 + np.exp(-odds)), "french", "english")
    metrics = written(tmp_path, predictions(list(labels), list(odds)))
    assert not any("ece" in names for names in metrics["interval"].values())
    chance = metrics["clip"]["ece_by_chance"]
    assert 0 < chance["low"] < chance["mean"] < chance["high"]
    assert chance["low"] < metrics["clip"]["ece"] < chance["high"]  # since it is calibrated
    low, high = metrics["interval"]["clip"]["roc_auc"]
    assert low < metrics["clip"]["roc_auc"] < high


def test_few_speakers_are_said_to_be_too_few(tmp_path):
    metrics = written(tmp_path, predictions(["english"] * 3 + ["french"] * 6, [-1.0, 0.2, 1, 1, 2, 3, -1, 2, 0.3]))
    assert metrics["too_few"] == "too few speakers: 3 of english, 6 of french; at least 4 of each are needed"
    assert metrics["interval"]["clip"]["roc_auc"] is None
    assert metrics["clip"]["roc_auc"] is not None


def test_another_source_has_the_numbers_of_the_bar():
    clips = predictions(["english"] * 6 + ["french"] * 6, [-1, -2, -1, 0.5, -3, -2, 1, 2, 1, -0.5, 3, 0.2])
    found = evaluate_second_source(clips, 200, 1)
    assert found["roc_auc"] == pytest.approx(34 / 36)
    assert found["balanced_accuracy"] == pytest.approx(10 / 12)
    assert found["interval"]["roc_auc"][0] < found["roc_auc"] < found["interval"]["roc_auc"][1] <= 1
    assert found["speakers_of"] == {"english": 6, "french": 6}
