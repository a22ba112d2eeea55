"""Intervals over the speakers of each class: their coverage, and where there are none."""

import numpy as np
import pytest
from scipy.stats import norm

from accent.evaluation.compare import SAME, UNKNOWN, compare
from accent.evaluation.intervals import MIN_SPEAKERS, say_interval, speaker_intervals, too_few_speakers
from accent.evaluation.metrics import auc
from tests.test_compare import two_runs

pytestmark = pytest.mark.slow

CLIPS, BETWEEN, WITHIN, APART = 6, 1.0, 1.0, 2.5  # of a speaker; spread of speakers and of clips; of the classes
SPREAD = np.hypot(BETWEEN, WITHIN)
TRUTH = {"roc_auc": norm.cdf(APART / np.sqrt(2) / SPREAD), "balanced_accuracy": norm.cdf(APART / 2 / SPREAD)}


def simulate(seed: int, speakers: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Speaker, class and score of the clips of so many speakers a class."""
    rng = np.random.default_rng([seed, speakers])
    speaker = np.repeat(np.arange(2 * speakers), CLIPS)
    positive = speaker < speakers
    own = np.repeat(BETWEEN * rng.normal(size=2 * speakers), CLIPS)
    return speaker, positive, np.where(positive, APART / 2, -APART / 2) + own + WITHIN * rng.normal(size=len(own))


def mean_of(values):
    return lambda rows: {"mean": float(values[rows].mean())}


@pytest.mark.parametrize("speakers", [10, 30])
def test_an_interval_covers_the_truth_as_often_as_it_says(speakers):
    """Of ROC AUC and balanced accuracy, in 150 simulated tests: 95%, give or take what 150 tosses may."""
    covered = []
    for seed in range(150):
        speaker, positive, scores = simulate(seed, speakers)
        right = (scores > 0) == positive

        def metric(rows, positive=positive, scores=scores, right=right):
            classes = positive[rows]
            accuracies = [right[rows][classes == side].mean() for side in (True, False)]
            return {"roc_auc": auc(classes, scores[rows]), "balanced_accuracy": np.mean(accuracies)}

        found = speaker_intervals(metric, speaker, positive, 400, seed)
        covered.append([found[name][0] <= truth <= found[name][1] for name, truth in TRUTH.items()])
    share = np.mean(covered)  # of 300 intervals
    assert 0.90 <= share <= 0.98


def test_clips_taken_for_speakers_would_cover_far_less():
    """What the whole module is for: the same data, each clip a speaker of its own."""
    covered = []
    for seed in range(60):
        speaker, positive, scores = simulate(seed, 10)
        found = speaker_intervals(
            lambda rows, positive=positive, scores=scores: {"roc_auc": auc(positive[rows], scores[rows])},
            np.arange(len(speaker)),
            positive,
            200,
            seed,
        )
        covered.append(found["roc_auc"][0] <= TRUTH["roc_auc"] <= found["roc_auc"][1])
    assert np.mean(covered) < 0.8


@pytest.mark.parametrize("speakers", [(MIN_SPEAKERS, 6), (10, 10)])
def test_equally_good_models_are_rarely_called_better_or_worse(speakers):
    """One in twenty says so by chance; when speakers were not kept within their class, 10 to 24 of 40 did."""
    verdicts = [compare(*two_runs(seed, *speakers), 200, seed)["metrics"]["roc_auc"]["verdict"] for seed in range(80)]
    assert sum(verdict != SAME for verdict in verdicts) <= 9  # of 80; 4 on average, 9 or fewer with 98.5%


@pytest.mark.parametrize("speakers", [(1, 8), (2, 8), (MIN_SPEAKERS - 1, 8)])
def test_with_few_speakers_of_a_class_there_is_no_verdict(speakers):
    found = compare(*two_runs(1, *speakers), 50, 1)
    assert {row["verdict"] for row in found["metrics"].values()} == {UNKNOWN}
    assert found["too_few"] == f"too few speakers: 8 of english, {speakers[0]} of french; at least 4 of each are needed"


def test_the_variance_between_the_voices_of_a_small_class_is_part_of_the_interval():
    """Four voices of one class say much less than forty, however many the other has."""
    rng = np.random.default_rng(3)
    width = {}
    for count in (4, 40):
        speakers = np.arange(count + 40)
        values = rng.normal(size=len(speakers))
        of_class = speakers < count

        def metric(rows, values=values, of_class=of_class):
            return {"difference": values[rows][of_class[rows]].mean() - values[rows][~of_class[rows]].mean()}

        low, high = speaker_intervals(metric, speakers, of_class, 300, 1)["difference"]
        width[count] = high - low
    assert width[4] > 2 * width[40]


def test_the_same_seed_gives_the_same_interval_and_names_do_not_matter():
    values, one_class = np.random.default_rng(2).normal(size=40), ["all"] * 40
    first = speaker_intervals(mean_of(values), [f"a{n // 4:02d}" for n in range(40)], one_class, 100, 3)
    again = speaker_intervals(mean_of(values), [f"b{n // 4:02d}" for n in range(40)], one_class, 100, 3)
    assert first == again
    assert first != speaker_intervals(mean_of(values), [f"a{n // 4:02d}" for n in range(40)], one_class, 100, 4)


def test_groups_of_many_speakers_are_left_out_at_once():
    """The jackknife of 1,000 speakers takes 50 calls and gives about the interval of the normal distribution."""
    values = np.random.default_rng(4).normal(size=1000)
    calls = []

    def metric(rows):
        calls.append(len(rows))
        return {"mean": values[rows].mean()}

    low, high = speaker_intervals(metric, np.arange(1000), np.zeros(1000), 400, 1)["mean"]
    assert len(calls) < 400 + 50 + 10
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(1000), rel=0.15)


def test_no_interval_where_there_are_too_few_speakers_or_hardly_ever_a_number():
    values = np.arange(6.0)
    assert speaker_intervals(mean_of(values), ["one"] * 6, ["a"] * 6, 50, 1) == {"mean": None}
    assert speaker_intervals(mean_of(values), list("abcxyz"), list("pppqqq"), 50, 1) == {"mean": None}

    def seldom(rows):
        return {"mean": float(values[rows].mean()), "seldom": 1.0 if len(set(rows)) == 6 else float("nan")}

    found = speaker_intervals(seldom, list("abcdef"), ["all"] * 6, 200, 1)
    assert found["seldom"] is None
    assert found["mean"][0] < values.mean() < found["mean"][1]


def test_where_all_voices_agree_the_interval_says_how_much_chance_may_hide():
    """Had a share p of all voices been right, 8 of 8 would have been in p**8 of the tests: in one of 20 at p = 0.69."""
    voices, one_class = list("abcdefgh"), ["all"] * 8
    assert speaker_intervals(mean_of(np.ones(8)), voices, one_class, 50, 1)["mean"] == pytest.approx(
        [0.6877, 1], abs=1e-4
    )
    assert speaker_intervals(mean_of(np.zeros(8)), voices, one_class, 50, 1)["mean"] == pytest.approx(
        [0, 0.3123], abs=1e-4
    )
    assert speaker_intervals(mean_of(np.zeros(8)), voices, one_class, 50, 1, ["mean"]) == {"mean": None}
    assert speaker_intervals(mean_of(np.full(8, 0.3)), voices, one_class, 50, 1) == {"mean": None}


def test_why_there_is_no_interval_is_a_sentence():
    assert too_few_speakers(list("abcd"), ["french"] * 4) == ""
    assert too_few_speakers(list("aabcdef"), ["fr"] * 3 + ["en"] * 4) == (
        "too few speakers: 4 of en, 2 of fr; at least 4 of each are needed"
    )
    assert too_few_speakers([], []) == "too few speakers: none; at least 4 of each are needed"
    assert say_interval(None) == "(95%: not known)"
    assert say_interval([0.5, 0.75]) == "(95%: 0.500 to 0.750)"
