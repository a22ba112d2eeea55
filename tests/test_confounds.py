"""What can be had without listening: the noise floor, the tables, and the classifier's importances."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax
from sklearn.metrics import roc_auc_score

from accent.core.parts import Parts, read_index
from accent.evaluation.confounds import (
    confound_table,
    fit_classifier,
    gender_of,
    log_odds,
    metadata_table,
    noise_floor,
    permutation_importance,
)
from accent.evaluation.metrics import auc, evaluate_scores, roc_auc
from accent.network.calibration import log_odds_of


def noise_between(low: float, high: float, seconds: float = 2) -> np.ndarray:
    """Noise of 16 kHz with a standard deviation of 1 and nothing outside of a band."""
    size = round(seconds * 16000)
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(size))
    hz = np.fft.rfftfreq(size, 1 / 16000)
    waveform = np.fft.irfft(np.where((hz >= low) & (hz < high), spectrum, 0), size)
    return waveform / waveform.std()


def test_the_noise_floor_is_that_of_the_quiet_frames_whatever_the_level():
    loud, hum = noise_between(0, 8000), noise_between(3000, 4000)
    loud[: len(loud) // 4] = 0  # a quarter has the hum alone
    waveform = 0.1 * loud + 0.001 * hum
    floor = noise_floor((waveform * 32767).astype(np.int16))
    assert floor.shape == (8,)
    assert floor.argmax() == 3
    assert np.delete(floor, 3).max() < floor[3] - 10
    # The hum is 40 dB below what fills three quarters, in one band of the eight; the quietest of it is looked at.
    assert floor[3] == pytest.approx(-40 - 10 * np.log10(0.75) + 10 * np.log10(8), abs=2)
    np.testing.assert_allclose(noise_floor((2 * waveform * 32767).astype(np.int16))[3], floor[3], atol=0.1)


@pytest.mark.parametrize("samples", [0, 100, 16000])
def test_silence_and_scraps_have_a_floor_too(samples):
    assert (noise_floor(np.zeros(samples, np.int16)) == -120).all()


def test_the_words_of_all_releases_for_a_gender_are_read_as_the_same():
    assert {gender_of(word) for word in ("female", "female_feminine", "Female")} == {"female"}
    assert {gender_of(word) for word in ("male", "male_masculine")} == {"male"}
    assert {gender_of(word) for word in ("other", "non-binary", "intersex", "transgender")} == {"other"}
    assert {gender_of(word) for word in ("", "do_not_wish_to_say")} == {""}


def test_tables_are_numbers_a_row_a_clip(trained):
    folder = trained / "data" / "waveforms"
    rows = read_index(folder)[:6].assign(source_codec=["MP3", "MP3", "OPUS", "MP3", "OPUS", "MP3"])
    table = confound_table(rows, Parts(folder, rows))
    assert len(table) == 6
    assert list(table["source_codec:OPUS"]) == [0, 0, 1, 0, 1, 0]
    assert sum(table.columns.str.startswith("noise_floor:")) == 8
    assert table["snr_db"].to_list() == rows["snr_db"].to_list()
    assert np.isfinite(table.to_numpy()).all()
    people = metadata_table(rows.assign(gender=["male", "male_masculine", "", "female", "", ""], age="teens"))
    assert list(people["gender:male"]) == [1, 1, 0, 0, 0, 0]
    assert list(people["gender:"]) == [0, 0, 1, 0, 1, 1]


def test_the_auc_is_scikit_learn_s_and_that_of_the_metrics():
    rng = np.random.default_rng(1)
    scores, positive = rng.integers(0, 8, 200), rng.random(200) < 0.3
    assert auc(positive, scores) == pytest.approx(roc_auc_score(positive, scores))
    assert np.isnan(auc(np.ones(5, bool), np.arange(5)))
    logits, targets = rng.normal(size=(90, 3)), np.repeat([0, 1, 2], 30)
    logits[np.arange(90), targets] += 1
    ours = roc_auc(log_odds_of(np.exp(log_softmax(logits, axis=1))), targets)
    assert ours == pytest.approx(evaluate_scores(logits, targets, ["a", "b", "c"], 1.0)["roc_auc"])
    assert np.isnan(roc_auc(logits, np.repeat([0, 1], 45)))


def test_log_odds_of_certain_answers_keep_their_order():
    found = log_odds_of(np.array([[1e-20, 1 - 1e-20], [1e-18, 1 - 1e-18], [0.0, 1.0]]))
    assert np.isfinite(found).all()
    assert found[0, 1] > found[1, 1]
    assert found[2, 1] > found[0, 1]


@pytest.fixture(scope="module")
def told_by_the_floor() -> tuple[pd.DataFrame, np.ndarray]:
    """Clips of three classes, which each of two columns of the noise floor tells as well, and nothing else."""
    rng = np.random.default_rng(1)
    numbers = np.repeat([0, 1, 2], 80)
    columns = {"duration_s": rng.random(240), "loudness_dbfs": rng.normal(size=240)}
    columns |= {f"noise_floor:{band}": numbers + 0.1 * rng.normal(size=240) for band in range(2)}
    return pd.DataFrame(columns), numbers


def test_the_measure_that_tells_the_classes_is_named(told_by_the_floor):
    """Neither of its columns would be, dealt out alone: the other tells as much."""
    table, numbers = told_by_the_floor
    labels = np.array(["b", "c", "a"])[numbers]
    learnt = np.arange(240) % 2 == 0
    classifier = fit_classifier(table[learnt], labels[learnt], seed=1)
    guess, test, targets = partial(log_odds, classifier, ["b", "c", "a"]), table[~learnt], numbers[~learnt]
    assert roc_auc(guess(test), targets) > 0.99
    found = permutation_importance(test, guess, targets, repeats=5, seed=1)
    assert next(iter(found)) == "noise_floor"
    assert found["noise_floor"]["mean"] == pytest.approx(0.5, abs=0.1)
    assert abs(found["duration_s"]["mean"]) < 0.02
    assert set(found) == {"noise_floor", "duration_s", "loudness_dbfs"}
    assert found == permutation_importance(test, guess, targets, repeats=5, seed=1)


def test_columns_that_never_vary_do_no_harm(told_by_the_floor):
    table, numbers = told_by_the_floor
    labels = np.array(["a", "b", "c"])[numbers]
    constant = table.assign(**{"source_codec:MP3": 1.0})
    first, second = (fit_classifier(rows, labels, seed=1) for rows in (table, constant))
    np.testing.assert_allclose(log_odds(first, "abc", table), log_odds(second, "abc", constant))
