"""Intervals over speakers: their coverage, and what happens where they cannot be had."""

import numpy as np

from accent.intervals import speaker_intervals


def mean_of(values):
    return lambda rows: {"mean": float(values[rows].mean())}


def test_an_interval_covers_the_truth_as_often_as_it_says():
    """The mean of 30 speakers of 5 clips each; independent clips would give far too narrow an interval."""
    rng = np.random.default_rng(1)
    covered, covered_by_clips = 0, 0
    for seed in range(100):
        speakers = np.repeat(np.arange(30), 5)
        values = np.repeat(rng.normal(size=30), 5) + 0.1 * rng.normal(size=150)
        low, high = speaker_intervals(mean_of(values), speakers, 200, seed)["mean"]
        covered += low <= 0 <= high
        low, high = speaker_intervals(mean_of(values), np.arange(150), 200, seed)["mean"]
        covered_by_clips += low <= 0 <= high
    assert 85 <= covered <= 99
    assert covered_by_clips < 75


def test_the_same_seed_gives_the_same_interval_and_names_do_not_matter():
    values = np.random.default_rng(2).normal(size=40)
    first = speaker_intervals(mean_of(values), [f"a{n // 4:02d}" for n in range(40)], 100, 3)
    again = speaker_intervals(mean_of(values), [f"b{n // 4:02d}" for n in range(40)], 100, 3)
    assert first == again
    assert first != speaker_intervals(mean_of(values), [f"a{n // 4:02d}" for n in range(40)], 100, 4)


def test_no_interval_where_there_is_one_speaker_or_hardly_ever_a_number():
    values = np.arange(6.0)
    assert speaker_intervals(mean_of(values), ["one"] * 6, 50, 1) == {"mean": None}

    def seldom(rows):
        return {"mean": float(values[rows].mean()), "seldom": 1.0 if len(set(rows)) == 6 else float("nan")}

    found = speaker_intervals(seldom, list("abcdef"), 200, 1)
    assert found["seldom"] is None
    assert found["mean"][0] < values.mean() < found["mean"][1]
