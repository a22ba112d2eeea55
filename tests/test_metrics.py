import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from accent.log_odds import one_against_rest
from accent.metrics import calibration_error, equal_error_rate, evaluate_scores, fit_temperature, headline_scores
from accent.plot_data import confusion, reliability, roc, score_histogram


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


def test_ece_by_hand():
    probabilities = np.array([[0.8, 0.2]] * 10)
    targets = np.array([0] * 6 + [1] * 4)
    assert calibration_error(probabilities, targets) == pytest.approx(0.2, abs=1e-6)


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
    assert table.groupby("temperature_scaling")["clips"].sum().to_dict() == {"after": 200, "before": 200}
    labels = pd.Series(np.array([*names, "probe"])[np.where(np.arange(200) % 10, targets, classes)])
    shares = score_histogram(logits * 10, labels, names, 1.0).groupby(["score_for", "label"])["share"].sum()
    np.testing.assert_allclose(shares, 1)
    assert set(shares.index.get_level_values("label")) == {*names, "probe"}
    assert len(confusion(targets, targets)) == 200
