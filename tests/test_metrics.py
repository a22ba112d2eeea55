import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from accent.evaluation.curves import confusion, reliability, roc, score_histogram
from accent.evaluation.metrics import (
    calibration_error,
    ece_by_chance,
    equal_error_rate,
    evaluate_scores,
    headline_scores,
)
from accent.network.calibration import fit_temperature, one_against_rest


def make_scores(count: int, classes: int, separation: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Perfectly calibrated logits: the targets are drawn from their own softmax."""
    generator = np.random.default_rng(seed)
    logits = separation * generator.standard_normal((count, classes))
    draws = generator.random(count)
    targets = (softmax(logits, axis=1).cumsum(axis=1) < draws[:, None]).sum(axis=1)
    return logits, np.minimum(targets, classes - 1)


@pytest.mark.parametrize("distortion", [0.25, 1.0, 4.0])
def test_the_temperature_undoes_a_distortion(distortion):
    logits, targets = make_scores(20_000, 2, 2.0)
    assert fit_temperature(logits * distortion, targets) == pytest.approx(distortion, rel=0.05)


def test_a_few_clips_that_are_all_told_apart_do_not_make_the_model_certain():
    targets = np.arange(40) % 2
    logits = np.where(np.eye(2)[targets] > 0, 4.0, 0.0)
    temperature = fit_temperature(logits, targets)
    assert softmax(logits / temperature, axis=1).max() == pytest.approx(21 / 22, abs=1e-3)


def test_temperature_scaling_lowers_log_loss_and_ece_of_an_overconfident_model():
    logits, targets = make_scores(5_000, 3, 2.0)
    logits = logits * 3
    metrics = evaluate_scores(logits, targets, ["a", "b", "c"], fit_temperature(logits, targets))
    assert metrics["log_loss"] < metrics["log_loss_uncalibrated"]
    assert metrics["ece"] < 0.02 < metrics["ece_uncalibrated"]


def test_one_against_rest_is_the_log_odds_of_softmax():
    logits, _ = make_scores(50, 3)
    for target in range(3):
        probability = softmax(logits, axis=1)[:, target]
        np.testing.assert_allclose(one_against_rest(logits, target), np.log(probability / (1 - probability)))
    two = make_scores(50, 2)[0]
    np.testing.assert_allclose(one_against_rest(two, 1), two[:, 1] - two[:, 0])


@pytest.mark.parametrize(
    ("positive", "scores", "expected"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], 0.0),
        ([0, 1, 0, 1], [1, 2, 3, 4], 0.5),
        ([1, 1, 0, 0], [1, 2, 3, 4], 1.0),
        ([0] * 100 + [1] * 100, [*range(100), *range(80, 180)], 0.1),
    ],
)
def test_equal_error_rate(positive, scores, expected):
    assert equal_error_rate(np.array(positive), np.array(scores)) == pytest.approx(expected, abs=0.011)


def test_metrics_of_a_small_case_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    targets = np.array([0, 0, 1, 1])
    metrics = evaluate_scores(np.log(probabilities), targets, ["no", "yes"], 1.0)
    assert metrics["accuracy"] == metrics["balanced_accuracy"] == 0.75
    assert metrics["recall"] == {"no": 1.0, "yes": 0.5}
    assert metrics["roc_auc"] == 0.75  # of four pairs, (0.4, 0.3) is the wrong way round
    assert metrics["log_loss"] == pytest.approx(-np.log([0.9, 0.6, 0.3, 0.8]).mean())
    assert metrics["brier"] == pytest.approx(np.mean([0.1**2, 0.4**2, 0.7**2, 0.2**2]))
    assert metrics["ece"] == pytest.approx((0.1 + 0.4 + 0.7 + 0.2) / 4)


def test_without_a_class_there_are_no_numbers():
    logits, targets = make_scores(50, 3)
    assert np.isfinite(list(headline_scores(logits, targets, 1.0).values())).all()
    assert np.isnan(list(headline_scores(logits, np.minimum(targets, 1), 1.0).values())).all()
    metrics = evaluate_scores(logits, np.minimum(targets, 1), ["a", "b", "c"], 1.0)
    assert [metrics[name]["c"] for name in ("recall", "roc_auc_by_class", "eer_by_class")] == [None] * 3
    assert metrics["recall"]["a"] >= 0
    assert 0 < metrics["roc_auc_by_class"]["a"] < 1


def test_tied_scores_are_a_coin_s():
    found = headline_scores(np.zeros((10, 2)), np.arange(10) % 2, 1.0)
    assert (found["roc_auc"], found["eer"], found["balanced_accuracy"]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("targets", [[1], [1, 1, 1]])
def test_one_clip_or_class_gives_rows_to_plot_without_warnings(targets):
    logits = np.eye(2)[targets] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert roc(logits, np.array(targets), ["a", "b"]).empty
        shares = score_histogram(logits, pd.Series(["b"] * len(targets)), ["a", "b"], 1.0)
        assert set(shares["label"]) == {"b"}
        assert len(reliability(logits, np.array(targets), 2.0)) == 2


def test_ece_by_hand():
    probabilities = np.array([[0.8, 0.2]] * 10)
    targets = np.array([0] * 6 + [1] * 4)
    assert calibration_error(probabilities, targets) == pytest.approx(0.2, abs=1e-6)


def test_reliability_by_hand():
    """Two bins: 10 clips at 0.8, of which 6 are right, and 5 at 0.97, of which all are."""
    probabilities = np.array([[0.8, 0.2]] * 10 + [[0.03, 0.97]] * 5)
    table = reliability(np.log(probabilities), np.array([0] * 6 + [1] * 4 + [1] * 5), 1.0)
    before = table[table["temperature_scaling"] == "before"]
    assert before["confidence"].tolist() == pytest.approx([0.8, 0.97])
    assert before["accuracy"].tolist() == pytest.approx([0.6, 1.0])


@pytest.mark.parametrize(("clips", "classes"), [(93, 2), (350, 2), (350, 3)])
def test_what_a_calibrated_model_shows_by_chance(clips, classes):
    """The mean and range of 200 models whose clips' classes are drawn from their own probabilities, bin by bin."""
    logits, _ = make_scores(clips, classes, 1.5)
    probabilities = softmax(logits, axis=1)
    rng = np.random.default_rng(5)
    drawn = (probabilities.cumsum(axis=1) < rng.random((200, clips, 1))).sum(axis=2)
    shown = [calibration_error(probabilities, targets) for targets in drawn]
    chance = ece_by_chance(probabilities, 1)
    assert chance["mean"] == pytest.approx(np.mean(shown), abs=0.004)
    assert [chance["low"], chance["high"]] == pytest.approx(np.percentile(shown, [5, 95]), abs=0.01)
    assert chance == ece_by_chance(probabilities, 1)


def test_ece_has_no_interval():
    """Its bootstrap covered the truth in 13% of the cases: it is what chance would show that stands beside it."""
    logits, targets = make_scores(50, 2)
    assert "ece" not in headline_scores(logits, targets, 1.0)


def test_three_classes_have_values_by_class_and_their_mean():
    logits, targets = make_scores(500, 3, 2.0)
    metrics = evaluate_scores(logits, targets, ["a", "b", "c"], 1.0)
    assert metrics["roc_auc"] == pytest.approx(np.mean(list(metrics["roc_auc_by_class"].values())))
    assert metrics["eer"] == pytest.approx(np.mean(list(metrics["eer_by_class"].values())))
    assert set(metrics["recall"]) == {"a", "b", "c"}


@pytest.mark.parametrize("classes", [2, 3])
def test_plot_rows_hold_every_clip(classes):
    logits, targets = make_scores(200, classes)
    names = list("abc")[:classes]
    curves = roc(logits, targets, names)
    assert set(curves["label"]) == (set(names) if classes == 3 else {"b"})
    assert curves[["false_positive_rate", "true_positive_rate"]].min().min() == 0
    assert curves[["false_positive_rate", "true_positive_rate"]].max().max() == 1
    table = reliability(logits, targets, 2.0)
    assert set(table["temperature_scaling"]) == {"after", "before"}
    assert table["accuracy"].between(0, 1).all()
    assert (table.groupby("temperature_scaling").size() > 3).all()
    labels = pd.Series(np.array([*names, "probe"])[np.where(np.arange(200) % 10, targets, classes)])
    shares = score_histogram(logits * 10, labels, names, 1.0).groupby(["score_for", "label"])["share"].sum()
    np.testing.assert_allclose(shares, 1)
    assert set(shares.index.get_level_values("label")) == {*names, "probe"}
    assert len(confusion(targets, targets)) == 200
