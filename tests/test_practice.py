import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from accent.core.errors import InputError
from accent.evaluation.practice import PracticeParams, find_recordings, ordered_rightly, summarise
from accent.scoring.scorer import Scorer
from tests.helpers import ROOT, run, stage

PARAMS = PracticeParams(levels=("good", "ok", "bad"), resamples=500, seed=1)


def test_pairs_of_different_levels_are_counted():
    assert ordered_rightly([3, 3, 2, 1], [3.0, 4.0, 1.0, 0.0]) == 1
    assert ordered_rightly([3, 2, 1], [0.0, 1.0, 2.0]) == 0
    assert ordered_rightly([2, 1], [1.0, 1.0]) == 0.5
    assert ordered_rightly([2, 2, 1], [1.0, 0.0, 0.0]) == 0.75  # of two pairs, one is tied
    assert ordered_rightly([3, 3, 2, 1], [3.0, 0.0, 1.0, 2.0]) == pytest.approx(2 / 5)


def test_a_summary_of_perfect_order_of_none_and_its_interval():
    perfect = summarise({"good": [5, 6, 7, 6], "ok": [2, 3, 4, 3], "bad": [-1, 0, 1, 0]}, PARAMS)
    assert perfect["pairs_ordered_rightly"] == 1
    assert perfect["interval"]["pairs_ordered_rightly"] == pytest.approx([0.473, 1], abs=1e-3)  # 0.05 to the 1/4
    assert perfect["mean"] == {"good": 6, "ok": 3, "bad": 0}
    generator = np.random.default_rng(0)
    samples = {level: generator.standard_normal(30) for level in PARAMS.levels}
    none = summarise(samples, PARAMS)
    low, high = none["interval"]["pairs_ordered_rightly"]
    assert low < none["pairs_ordered_rightly"] < high
    assert low < 0.5 < high
    assert none["too_few"] == ""
    ranks = np.repeat([3, 2, 1], 30)
    assert none["kendall_tau"] == pytest.approx(kendalltau(ranks, np.concatenate(list(samples.values()))).statistic)
    assert summarise(samples, PARAMS) == none


def test_recordings_are_found_by_level_and_what_is_amiss_is_said(tmp_path):
    for level in ("good", "ok"):
        (tmp_path / level).mkdir()
        for name in ("b.wav", "a.mp3", ".DS_Store"):
            (tmp_path / level / name).touch()
    with pytest.raises(InputError, match=r"bad: no recording. Every one of practice.levels needs"):
        find_recordings(tmp_path, PARAMS.levels)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "c.ogg").touch()
    found = [(level, path.name) for level, path in find_recordings(tmp_path, PARAMS.levels)]
    assert found == [("good", "a.mp3"), ("good", "b.wav"), ("ok", "a.mp3"), ("ok", "b.wav"), ("bad", "c.ogg")]
    (tmp_path / "great").mkdir()
    with pytest.raises(InputError, match=r"great: not in practice.levels \(good, ok, bad\)"):
        find_recordings(tmp_path, PARAMS.levels)


def test_the_stage_has_every_recording_and_the_scorer_s_numbers(trained):
    table = pd.read_csv(trained / "metrics" / "practice" / "recordings.csv")
    metrics = json.loads((trained / "metrics" / "practice.json").read_text())
    assert table.groupby("level").size().to_dict() == {"good": 12, "ok": 12, "bad": 12}
    assert metrics["recordings"] == {"good": 12, "ok": 12, "bad": 12}
    assert metrics["unsure"] == (table["verdict"] == "unsure").sum()
    scorer = Scorer.load(trained / "models")
    for row in table.iloc[::9].itertuples():
        score = scorer.score(trained / "data" / "practice" / row.level / row.recording)
        assert score.probability == pytest.approx(row.probability, abs=1e-6)
    for level, mean in metrics["mean_probability"].items():
        assert mean == pytest.approx(table.loc[table["level"] == level, "probability"].mean())
    assert (trained / "metrics" / "practice" / "levels.png").read_bytes().startswith(b"\x89PNG")


def test_a_bad_recording_is_listed_and_the_others_are_scored(trained, workdir: Path):
    practice = workdir / "practice"
    shutil.copytree(
        ROOT / "data" / "practice",
        practice,
        ignore=lambda _, names: [n for n in names if "sentence1" not in n and "." in n],
    )
    (practice / "ok" / "broken.mp3").write_bytes(b"")
    done = stage("practice", trained / "models", practice, "practice.json", "pictures", cwd=workdir)
    table = pd.read_csv(workdir / "pictures" / "recordings.csv", keep_default_na=False)
    assert table.loc[table["recording"] == "broken.mp3", "error"].item() == "empty: 0 bytes"
    assert "1 not scored" in done.stdout
    assert json.loads((workdir / "practice.json").read_text())["not_scored"] == 1


def test_make_practice_runs_this_stage_alone():
    listed = run("make", "-n", "practice", cwd=ROOT).stdout
    assert "dvc repro --single-item practice" in listed


def test_one_recording_in_a_level_is_enough_but_gives_no_interval():
    summary = summarise({"good": [1.0], "ok": [0.5, 0.6], "bad": [0.0]}, PARAMS)
    assert summary["pairs_ordered_rightly"] == 1
    assert summary["interval"] == {"pairs_ordered_rightly": None}
    assert summary["too_few"] == "too few recordings: 1 of bad, 1 of good, 2 of ok; at least 4 of each are needed"
    assert summarise({level: [0.0] for level in PARAMS.levels}, PARAMS)["kendall_tau"] is None
