import numpy as np
import pandas as pd
import pytest

from accent.core.params import load_params
from accent.evaluation.headline import evaluate_abstention, risk_coverage
from accent.evaluation.predictions import Predictions
from accent.scoring.refusal import REASONS, Refusal, ScoreParams, refusal
from tests.helpers import ROOT

PARAMS = load_params("score", ScoreParams, ROOT / "params.yaml")
GOOD = {"speech_s": 4.0, "snr_db": 40.0, "clipped_fraction": 0.0, "bandwidth_hz": 7500.0}


def test_a_good_take_is_judged():
    assert refusal(GOOD, 0.8, 0.9, PARAMS) is None
    assert refusal(GOOD, 0.8, 0.1, PARAMS) is None


@pytest.mark.parametrize(
    ("change", "unlikeness", "probability", "kind", "says"),
    [
        ({"speech_s": 0.0}, 0.8, None, "silent", "no speech found"),
        ({"speech_s": 0.4}, 0.8, 0.9, "too little speech", "only 0.4 s of speech: record at least 2 s"),
        ({"speech_s": 3.0}, 0.8, None, "too many pauses", "without long pauses"),
        ({"clipped_fraction": 0.2, "snr_db": 5.0}, 0.8, 0.9, "clipped", "20.0% of the samples"),
        ({"snr_db": 5.0}, 0.8, 0.9, "too noisy", "5 dB above the noise, 15 are needed"),
        ({"bandwidth_hz": 3400.0}, 0.8, 0.9, "muffled", "nothing above 3,400 Hz, 4,500 are needed"),
        ({}, 1.3, 0.9, "unlike speech", "by 1.30 where 1 is allowed: record without music"),
        ({}, 0.8, 0.55, "too close to call", "record more"),
        ({}, 0.8, 0.45, "too close to call", "record more"),
    ],
)
def test_every_reason_has_its_limit_and_says_what_to_do(change, unlikeness, probability, kind, says):
    found = refusal(GOOD | change, unlikeness, probability, PARAMS)
    assert found.kind == kind
    assert says in found.say()
    assert ": " in found.say()


def test_no_reason_is_without_words():
    assert {kind for kind in REASONS if not Refusal(kind, 1.0, 2.0).say()} == set()


def test_what_refusing_costs_and_gains_is_counted():
    table = pd.DataFrame(
        {
            "label": ["a", "a", "b", "b"],
            "predicted": ["a", "b", "b", "a"],
            "refused": ["", "too noisy", "", "too close to call"],
            "probability_a": [0.9, 0.3, 0.2, 0.55],
            "probability_b": [0.1, 0.7, 0.8, 0.45],
        }
    )
    predictions = Predictions.of_table(table)
    assert evaluate_abstention(predictions, "a") == {
        "refused": 0.5,
        "natives_refused": 0.5,
        "error_of_all": 0.5,
        "error_of_answered": 0.0,
        "clips_refused": {"too close to call": 1, "too noisy": 1},
    }
    curves = risk_coverage(predictions, "a")
    every = curves[curves["label"] == "all clips"]
    np.testing.assert_allclose(every["coverage"], [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(every["risk"], [0, 0, 1 / 3, 0.5])  # surest first: 0.9, 0.8, 0.7 (wrong), 0.55 (wrong)
    good = curves[curves["label"] == "without bad recordings"]
    np.testing.assert_allclose(good["risk"], [0, 0, 1 / 3])
    assert evaluate_abstention(Predictions.of_table(table.assign(refused="silent")), "a")["error_of_answered"] is None
