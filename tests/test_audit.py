"""The audit: it catches a planted shortcut, says so in words, and leaves alone what has none."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from accent.core.errors import InputError
from accent.core.params import load_params
from accent.core.parts import Parts, write_part
from accent.corpus.selection import EvaluateParams
from accent.evaluation.confounds import against_model, audit_metadata, confound_table, fit_classifier, log_odds
from accent.evaluation.predictions import Predictions
from accent.scoring.picture import draw_audit
from stages.audit import main
from tests.helpers import ROOT, TINY

INTERVALS = replace(load_params("evaluate", EvaluateParams, ROOT / "params.yaml"), resamples=100, seed=1)
SPEAKERS, EACH = 12, 6  # of a class, and clips of each


def corpus(classes: str, seed: int = 1) -> pd.DataFrame:
    """Rows of an index with measures that say nothing of the class; the last third of its speakers is for the test."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(list(classes), SPEAKERS * EACH)
    rows = pd.DataFrame({"clip_id": [f"clip-{number:04d}" for number in range(len(labels))], "label": labels})
    rows["client_id"] = [f"voice-{number // EACH:03d}" for number in range(len(rows))]
    rows["split"] = np.where(np.arange(len(rows)) // EACH % SPEAKERS < 8, "train", "test")
    for name in ("duration_s", "speech_s", "leading_silence_s", "trailing_silence_s", "loudness_dbfs", "snr_db"):
        rows[name] = rng.normal(size=len(rows))
    return rows.assign(
        clipped_fraction=0.0, bandwidth_hz=8000.0, source_rate_hz=32000, source_codec="MP3", gender="", age=""
    )


def heard(rows: pd.DataFrame, classes: str, strength: float, seed: int = 2) -> Predictions:
    """Clips and a model that tells the classes the better, the greater `strength`."""
    found = np.random.default_rng(seed).normal(size=(len(rows), len(classes)))
    found[np.arange(len(rows)), rows["label"].map(classes.index)] += strength
    return Predictions(rows, found, list(classes))


def audited(rows: pd.DataFrame, folder, classes: str, strength: float) -> dict:
    """What the confounds of a corpus are worth beside such a model."""
    noise = np.random.default_rng(3).integers(-200, 200, (len(rows), 4000)).astype(np.int16)
    places = write_part(folder / "part-00000.npy", list(noise), np.empty(0, np.int16))
    table = confound_table(rows, Parts(folder, places))
    train, test = ((rows["split"] == split).to_numpy() for split in ("train", "test"))
    classifier = fit_classifier(table[train], rows.loc[train, "label"], seed=1)
    guessed = log_odds(classifier, list(classes), table[test])
    return against_model(guessed, heard(rows[test], classes, strength), "the confounds", INTERVALS)


def give_away_by_codec(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(source_codec="codec " + rows["label"])


def give_away_by_silence(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(leading_silence_s=rows["label"].map("abc".index) + 0.1 * rows["leading_silence_s"])


@pytest.mark.parametrize("classes", ["ab", "abc"])
@pytest.mark.parametrize("give_away", [give_away_by_codec, give_away_by_silence])
def test_a_planted_shortcut_is_caught(tmp_path, classes, give_away: Callable):
    found = audited(give_away(corpus(classes)), tmp_path, classes, strength=3)
    assert found["roc_auc"] > 0.99
    assert found["model_roc_auc"] > 0.95
    assert (found["difference_95"] or [found["difference"]])[0] <= 0
    assert found["verdict"] == ("the confounds alone do as well as the model: its accuracy need not be speech")


@pytest.mark.parametrize("classes", ["ab", "abc"])
def test_without_a_shortcut_the_measures_are_worth_nothing(tmp_path, classes):
    found = audited(corpus(classes), tmp_path, classes, strength=3)
    assert found["roc_auc"] == pytest.approx(0.5, abs=0.1)
    assert found["roc_auc_95"][0] < found["roc_auc"] < found["roc_auc_95"][1]
    assert found["difference"] == pytest.approx(found["model_roc_auc"] - found["roc_auc"])
    assert 0 < found["difference_95"][0] < found["difference"]
    assert found["verdict"].startswith("the model does better than the confounds alone, which need be no")
    assert (found["clips"], found["speakers"]) == (len(classes) * 4 * EACH, len(classes) * 4)


def test_a_difference_within_the_error_is_warned_of_as_that(tmp_path):
    found = audited(corpus("ab"), tmp_path, "ab", strength=0.2)
    assert found["difference_95"][0] <= 0 < found["difference"]
    assert "may do as well as the model, within the error: its accuracy need not be speech" in found["verdict"]


def test_measures_that_tell_a_part_are_said_to(tmp_path):
    rows = corpus("ab")
    rows["snr_db"] += 1.5 * (rows["label"] == "a")
    found = audited(rows, tmp_path, "ab", strength=6)
    assert 0.5 < found["roc_auc_95"][0] < found["roc_auc_95"][1] < 1
    assert "which do better than chance: some of it need not be speech" in found["verdict"]


def test_the_difference_is_paired():
    """Two ways to guess that are wrong of the same speakers differ far less than either's interval is wide."""
    rows = corpus("ab")
    model = heard(rows, "ab", strength=0.5)
    shift = rows["client_id"].map(lambda name: np.random.default_rng(int(name[-3:])).normal()).to_numpy()
    model.logits[:, 0] += 2 * shift
    found = against_model(model.log_odds + 0.01, model, "a copy", INTERVALS)
    assert (found["difference"], found["difference_95"]) == (0, None)
    assert found["roc_auc_95"][1] - found["roc_auc_95"][0] > 0.1


def test_one_speaker_allows_no_verdict():
    rows = corpus("ab").assign(client_id="the same")
    found = against_model(heard(rows, "ab", 0).log_odds, heard(rows, "ab", 3), "nothing", INTERVALS)
    assert found["difference_95"] is None
    assert found["verdict"] == (
        "no comparison with nothing: too few speakers: 1 of a, 1 of b; at least 4 of each are needed"
    )


def with_genders(rows: pd.DataFrame, share_of_women: dict[str, float]) -> pd.DataFrame:
    """Every speaker's gender stated, in the words of one release or another, at these shares of each class's voices."""
    voice = np.arange(len(rows)) // EACH
    women = (voice % 4) < 4 * rows["label"].map(share_of_women)
    words = np.where(
        women, np.array(["female", "female_feminine"])[voice % 2], np.array(["male", "male_masculine"])[voice % 2]
    )
    return rows.assign(gender=words)


def metadata_of(rows: pd.DataFrame, model: Predictions | None = None, classes: str = "ab") -> dict:
    train, test = (rows[rows["split"] == split] for split in ("train", "test"))
    return audit_metadata(train, model or heard(test, classes, 3), classes[0], INTERVALS, seed=1)


def test_genders_that_give_the_class_away_are_caught():
    found = metadata_of(with_genders(corpus("ab"), {"a": 1, "b": 0}))
    assert found["alone"]["roc_auc"] == 1
    assert found["alone"]["verdict"].startswith("gender and age alone do as well as the model")
    parts = (found["women_from_men_within"]["a"], found["model_within"]["female"])
    for part, reason in zip(parts, ("no speaker of male states it", "no speaker of b states it"), strict=True):
        assert part["roc_auc"] is None
        assert part["reason"] == reason
        assert (part["clips"], part["speakers"]) == (4 * EACH, 4)
    assert found["model_within"]["other"]["clips"] == 0
    json.dumps(found, allow_nan=False)


def big_corpus() -> pd.DataFrame:
    """Twice the speakers, half of each class women."""
    second = corpus("ab", seed=5)
    second["client_id"] += " of the second"
    return with_genders(pd.concat([corpus("ab"), second], ignore_index=True), {"a": 0.5, "b": 0.5})


def test_a_model_that_tells_women_from_men_is_shown():
    rows = big_corpus()
    test = rows[rows["split"] == "test"]
    model = heard(test, "ab", 0.5)
    of_women = test["gender"].str.startswith("female").to_numpy()
    model.logits[:, 0] += 4 * of_women
    found = metadata_of(rows, model)
    assert found["alone"]["roc_auc"] == pytest.approx(0.5, abs=0.05)
    for label in "ab":
        part = found["women_from_men_within"][label]
        assert part["roc_auc"] > 0.95
        assert part["roc_auc_95"][0] > (0.9 if part["roc_auc"] < 1 else 0.47)
        assert (part["clips"], part["speakers"]) == (8 * EACH, 8)
    fair = metadata_of(rows)
    for label in "ab":
        low, high = fair["women_from_men_within"][label]["roc_auc_95"]
        assert low < 0.5 < high
    for gender in ("female", "male"):
        assert fair["model_within"][gender]["roc_auc"] > 0.95
        assert found["model_within"][gender]["roc_auc"] < 0.8


def test_only_rows_that_state_gender_or_age_count():
    rows = big_corpus()
    silent = rows["client_id"].str.endswith("second")
    rows.loc[silent, ["gender", "age"]] = ["do_not_wish_to_say", ""]
    found = metadata_of(rows)
    assert found["alone"]["speakers"] == 8
    ages = metadata_of(
        rows.assign(gender="", age=np.where(silent, "", np.where(rows["label"] == "a", "teens", "sixties")))
    )
    assert ages["alone"]["roc_auc"] == 1
    assert ages["alone"]["speakers"] == 8
    nobody = metadata_of(rows.assign(gender=""))["alone"]
    assert nobody == {
        "roc_auc": None,
        "reason": "to learn from, no speaker of a and b states it",
        "clips": 0,
        "speakers": 0,
    }


def test_three_classes_by_metadata():
    rows = with_genders(corpus("abc"), {"a": 1, "b": 0.5, "c": 0})
    found = metadata_of(rows, classes="abc")
    assert 0.6 < found["alone"]["roc_auc"] < 1
    assert set(found["women_from_men_within"]) == set("abc")


def test_the_stage_s_figures(trained):
    metrics = json.loads((trained / "metrics" / "audit.json").read_text())
    predictions = pd.read_parquet(trained / "data" / "predictions.parquet")
    evaluation = json.loads((trained / "metrics" / "evaluation.json").read_text())
    assert metrics["confounds"]["clips"] == (predictions["split"] == "test").sum()
    assert metrics["confounds"]["model_roc_auc"] == pytest.approx(evaluation["clip"]["roc_auc"])
    assert set(metrics["importance"]) >= {"noise_floor", "source_codec", "snr_db"}
    scores = pd.read_csv(trained / "metrics" / "audit" / "channels.csv")
    assert scores["clip_id"].nunique() == TINY["audit"]["max_clips"]
    assert set(scores["change"]) == {"untouched", *metrics["channels"]}
    untouched = scores[scores["change"] == "untouched"].merge(predictions, on="clip_id")
    np.testing.assert_allclose(untouched["probability"], untouched["probability_french"], atol=1e-4)
    assert (trained / "metrics" / "audit" / "audit.png").read_bytes().startswith(b"\x89PNG")


def test_a_corpus_without_a_channel_to_speak_of_can_be_drawn(trained):
    """No interval, and no clip that could be heard after a change."""
    metrics = json.loads((trained / "metrics" / "audit.json").read_text())
    for name in ("roc_auc_95", "model_roc_auc_95"):
        metrics["confounds"][name] = None
    metrics["channels"] = {name: dict.fromkeys(found, 0.1) for name, found in metrics["channels"].items()}
    metrics["channels"]["opus"] = {"clips": 0} | dict.fromkeys(list(metrics["channels"]["opus"])[1:])
    figure = draw_audit(metrics)
    assert len(figure.axes) == 3
    assert [text.get_text() for text in figure.axes[2].texts].count("-") == 2


def test_predictions_of_other_classes_or_clips_are_named(trained, workdir, monkeypatch):
    def audit(predictions: pd.DataFrame) -> None:
        predictions.to_parquet(workdir / "predictions.parquet")
        data = trained / "data"
        paths = (trained / "models", data / "clips", data / "waveforms", data / "splits.parquet")
        monkeypatch.setattr(sys, "argv", ["audit", *map(str, paths), "predictions.parquet", "audit.json", "audit"])
        main()

    monkeypatch.chdir(workdir)
    predictions = pd.read_parquet(trained / "data" / "predictions.parquet")
    with pytest.raises(InputError, match=r"waveforms: \d+ of \d+ clips are not in its index"):
        audit(predictions.assign(clip_id="x" + predictions["clip_id"]))
    with pytest.raises(InputError, match="class 'english' is not both in the test split and the model's"):
        audit(predictions[predictions["label"] == "french"])
    assert not (workdir / "audit.json").exists()
