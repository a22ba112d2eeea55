import json

import numpy as np
import pandas as pd
import pytest
import torch

from accent.audio.windows import cut, even_starts
from accent.core.parts import Parts, read_index
from accent.network.calibration import one_against_rest
from accent.network.model import clip_logits, load_model, window_logits
from accent.scoring.explain import Cells, LogOdds, attributions, cells_of, deletion_check, without
from tests.helpers import TINY


@pytest.fixture(scope="module")
def model_and_clips(trained):
    model, card = load_model(trained / "models")
    splits = pd.read_parquet(trained / "data" / "splits.parquet")
    rows = splits[splits["split"] == "test"].merge(read_index(trained / "data" / "spectrograms"), on="clip_id").head(4)
    return model, card, [np.array(clip) for clip in Parts(trained / "data" / "spectrograms", rows)]


def log_odds(model, card, spectrogram: np.ndarray, target: int = 1) -> float:
    _, logits = window_logits(model, [spectrogram], card.window, card.window_hop)
    return one_against_rest(clip_logits(logits) / card.temperature, target)[0]


def test_the_log_odds_in_torch_are_those_in_numpy():
    logits = torch.randn(5, 3)
    card = type("Card", (), {"temperature": 2.0})
    ours = LogOdds(torch.nn.Identity(), card, 1)(logits)
    np.testing.assert_allclose(ours.numpy(), one_against_rest(logits.numpy() / 2, 1), rtol=1e-5)


def test_the_parts_add_up_to_the_whole(model_and_clips):
    """Completeness: the sum is the log-odds less those of windows without change in time (arXiv 1703.01365)."""
    model, card, clips = model_and_clips
    for clip in clips:
        added = attributions(model, card, 1, clip)
        assert added.shape == clip.shape
        starts = even_starts(len(clip), card.window, card.window_hop)
        windows = torch.from_numpy(np.stack([cut(clip, start, card.window) for start in starts])).float() / 255
        with torch.inference_mode():
            flat = LogOdds(model, card, 1)(windows.mean(dim=3, keepdim=True).expand_as(windows).contiguous()).mean()
            whole = LogOdds(model, card, 1)(windows).mean()
        assert added.sum() == pytest.approx(float(whole - flat), abs=0.2 * abs(float(whole - flat)) + 0.1)


def test_the_two_classes_are_explained_by_opposite_signs(model_and_clips):
    model, card, clips = model_and_clips
    np.testing.assert_allclose(
        attributions(model, card, 0, clips[0]), -attributions(model, card, 1, clips[0]), atol=1e-4
    )


def test_cells_cover_a_spectrogram_whatever_its_length():
    cells = Cells(10, 8)
    values = np.random.default_rng(0).random((137, 64))
    totals = cells.total(values)
    assert totals.shape == (14, 8)
    assert totals.sum() == pytest.approx(values.sum())
    assert totals[0, 0] == pytest.approx(values[:10, :8].sum())
    assert totals[-1, -1] == pytest.approx(values[130:, 56:].sum())
    assert cells.spread(totals, values.shape).shape == values.shape


def test_without_takes_away_just_the_cells_named():
    clip = np.random.default_rng(0).integers(0, 256, (100, 64)).astype(np.uint8)
    taken = np.zeros((10, 8), bool)
    taken[3, 2] = True
    changed = without(clip, Cells(10, 8), taken)
    assert changed.dtype == np.uint8
    expected = np.zeros(clip.shape, bool)
    expected[30:40, 16:24] = True
    assert not (changed != clip)[~expected].any()
    assert (changed[30:40, 16:24] == clip.mean(axis=0).round().astype(np.uint8)[16:24]).all()


def test_an_explanation_that_is_right_passes_the_check_and_a_random_one_does_not(model_and_clips):
    model, card, clips = model_and_clips
    rng = np.random.default_rng(0)
    right, wrong = [], []
    for clip in clips:
        for found, explanation in (
            (right, attributions(model, card, 1, clip)),
            (wrong, rng.standard_normal(clip.shape)),
        ):
            check = deletion_check(model, card, 1, clip, explanation, 0.1, 3, np.random.default_rng(1))
            found.append((check.most - check.least, check.random_size))
    assert np.mean([gap for gap, _ in right]) > 5 * abs(np.mean([gap for gap, _ in wrong]))


def test_the_stage_s_figures_are_of_the_test_split(trained):
    metrics = json.loads((trained / "metrics" / "explanation.json").read_text())
    assert metrics["clips"] == TINY["explain"]["max_clips"]
    fall = metrics["deletion"]
    assert fall["log_odds_fall_most"] > 2 * fall["log_odds_fall_random_size"]
    assert fall["log_odds_fall_least"] < 0
    bands = pd.read_csv(trained / "metrics" / "explanation" / "bands.csv")
    assert bands.groupby("label")["share"].sum().to_numpy() == pytest.approx(1, abs=0.01)
    assert bands["hz"].between(60, 4000).all()
    assert (trained / "metrics" / "explanation" / "bands.png").read_bytes().startswith(b"\x89PNG")


def test_cells_follow_the_model_s_frames(model_and_clips):
    _, card, _ = model_and_clips
    assert cells_of(card) == (10, 8)
