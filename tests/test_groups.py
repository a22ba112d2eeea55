"""Subgroups and probes: what they count, and that a weak group shows."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from accent.evaluation.groups import OTHERS, UNSTATED, draw_subgroups, probe_result, subgroups


@pytest.fixture
def clips() -> pd.DataFrame:
    """300 clips of 60 speakers; the model hears men well and tosses a coin for women, half of whom say it newly."""
    rng = np.random.default_rng(0)
    speaker = np.arange(300) // 5
    label = np.where(speaker % 2, "french", "english")
    woman = speaker % 3 == 0
    log_odds = np.where(woman, 0, np.where(label == "french", 3, -3)) + rng.normal(size=300)
    return pd.DataFrame(
        {
            "client_id": [f"speaker {number}" for number in speaker],
            "label": label,
            "predicted": np.where(log_odds > 0, "french", "english"),
            "log_odds": log_odds,
            "refused": "",
            "gender": np.where(woman, np.where(speaker % 2, "female", "female_feminine"), "male"),
            "age": np.where(speaker < 30, "", "twenties"),
            "accents": [f"accent {number % 25:02d}" for number in speaker],
            "source_rate_hz": np.where(speaker < 50, 48000, 44100),
            "duration_s": rng.uniform(1, 9, 300),
        }
    )


def test_a_weak_group_shows(clips):
    table = subgroups(clips, "french", 100, 1).set_index(["dimension", "value"])
    women, men = table.loc[("gender", "female")], table.loc[("gender", "male")]
    assert women["clips"] == 100
    assert women["speakers"] == 20
    assert women["error_low"] > men["error_high"]
    assert women["roc_auc"] == pytest.approx(0.5, abs=0.15)
    assert men["roc_auc"] == 1
    assert men["roc_auc_low"] == pytest.approx(0.05 ** (1 / 20))  # of 20 and 20 voices, all told apart
    assert np.isnan(table.loc[("label", "french"), "roc_auc"])
    few = table.loc[("accents", "accent 00")]
    assert np.isnan(few["error_low"])
    assert few["too_few"] == "too few speakers: 2 of english, 1 of french; at least 4 of each are needed"
    assert men["too_few"] == ""
    assert set(table.loc["length"].index) == {"0 to 3 s", "3 to 5 s", "5 to 8 s", "over 8 s"}
    assert set(table.loc["source rate"].index) == {"48,000 Hz", "44,100 Hz"}
    assert set(table.loc["age"].index) == {UNSTATED, "twenties"}
    assert len(table.loc["accents"]) == 21
    assert OTHERS in table.loc["accents"].index
    for _, rows in table.groupby(level=0):
        assert rows["clips"].sum() == 300


def test_the_picture_has_a_line_a_group(clips):
    table = subgroups(clips, "french", 20, 1)
    axes = draw_subgroups(table, 0.3).axes[0]
    assert len(axes.get_yticks()) == len(table)
    assert "gender: female" in axes.get_yticklabels()[2].get_text()
    alone = pd.concat([table, table.tail(1).assign(dimension="stated", value="(not stated)")])
    labels = [label.get_text() for label in draw_subgroups(alone, 0.3).axes[0].get_yticklabels()]
    assert len(labels) == len(table)  # a group alone says no more than the line of all
    assert not any(label.startswith("stated") for label in labels)


def test_a_probe_beside_the_natives(clips):
    natives = clips[(clips["label"] == "french") & (clips["gender"] == "male")]
    probe = natives.assign(label="learners", client_id="p" + natives["client_id"], log_odds=natives["log_odds"] - 2)
    probe["predicted"] = np.where(probe["log_odds"] > 0, "french", "english")
    found = probe_result(natives, probe, ["english", "french"], 100, 1)
    assert found["clips"] == found["natives"] == len(natives)
    expected = np.mean(natives["log_odds"].to_numpy()[:, None] > probe["log_odds"].to_numpy())
    assert found["auc_natives_against"] == pytest.approx(expected)
    low, high = found["interval"]["auc_natives_against"]
    assert 0.5 < low < expected < high < 1
    assert found["predicted_english"] + found["predicted_french"] == pytest.approx(1)
    assert found["mean_probability"] == pytest.approx(expit(probe["log_odds"]).mean())
    same = probe_result(natives, natives.assign(client_id="p" + natives["client_id"]), ["english", "french"], 100, 1)
    assert same["auc_natives_against"] == pytest.approx(0.5)
