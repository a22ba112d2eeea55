"""What is proposed for exclusion: of made-up scores, and of faults planted in real recordings, by DVC's own queue."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from accent.core.errors import InputError
from accent.core.params import load_params
from accent.corpus.exclusions import read_exclusions
from accent.corpus.splits import SplitParams, make_splits
from accent.evaluation.label_errors import KINDS, join_folds, label_candidates, rank, recording_candidates
from accent.scoring.refusal import ScoreParams
from tests.helpers import ROOT, commit, copy_project, read_rejects, run, stage
from tests.planted import plant

pytestmark = pytest.mark.slow

# The last layer alone, upon the shipped trunk. Without groups, a speaker's other clips say what he or she is.
SMALL = {
    "split": {"folds": 2, "fold": 0, "group_by": "none"},
    "evaluate": {"resamples": 20},
    "train": {"epochs": 4, "batch_size": 32, "windows_per_clip": 2, "window_hop_seconds": 1.0},
}
PLANTED = 8


def made_scores(clips: int = 200) -> tuple[pd.DataFrame, list[str]]:
    """Test rows of a good model over two classes, and the clips whose given label is wrong."""
    generator = np.random.default_rng(1)
    true = np.arange(clips) % 2
    french = 1 / (1 + np.exp(-(np.where(true, 2.5, -2.5) + generator.normal(size=clips))))
    swapped = generator.choice(clips, 12, replace=False)
    given = true.copy()
    given[swapped] = 1 - given[swapped]
    names = np.array([f"clip-{number:03d}" for number in range(clips)])
    rows = {"clip_id": names, "client_id": "one", "label": np.where(given, "french", "english")}
    scores = pd.DataFrame({**rows, "probability_english": 1 - french, "probability_french": french})
    return scores, sorted(names[swapped])


def test_labels_that_the_scores_contradict_are_found_whatever_the_order():
    scores, wrong = made_scores()
    found = label_candidates(scores)
    assert len(set(found["clip_id"]) & set(wrong)) >= 10
    assert len(set(found["clip_id"]) - set(wrong)) <= 1
    clip = found.sort_values("severity").iloc[0]
    score = scores.set_index("clip_id").loc[clip["clip_id"]]
    assert clip["severity"] == score[f"probability_{score['label']}"] < 0.05
    sounds = {"french": "english", "english": "french"}[score["label"]]
    assert clip["reason"] == f"label: given {score['label']}, sounds {sounds} ({1 - clip['severity']:.2f}), out of fold"
    shuffled = label_candidates(scores.sample(frac=1, random_state=0))
    assert rank(shuffled).equals(rank(found))


def test_folds_are_joined_and_what_are_no_folds_is_told():
    scores, _ = made_scores()
    even, odd = scores.iloc[1::3], scores.drop(index=scores.index[1::3])
    joined = join_folds({"one": odd, "two": even})
    assert joined.drop(columns="revision").equals(scores)
    with pytest.raises(InputError, match=r"one and two both tested clip-001 \(67 clips were tested twice\)"):
        join_folds({"one": scores, "two": even})
    with pytest.raises(InputError, match="two: its classes are english, breton, those of one english, french"):
        join_folds({"one": odd, "two": even.rename(columns={"probability_french": "probability_breton"})})


def test_bad_recordings_are_found_by_their_measures():
    good = {"speech_s": 0.5, "snr_db": 30, "clipped_fraction": 0, "bandwidth_hz": 7500, "loudness_dbfs": -25}
    faults = {
        "a": {},
        "b": {"snr_db": 9},
        "c": {"snr_db": 4, "bandwidth_hz": 3000},
        "d": {"bandwidth_hz": 2000},
        "e": {"clipped_fraction": 0.05},
        "f": {"clipped_fraction": 0.2},
        "g": {"loudness_dbfs": -60, "bandwidth_hz": 2500},
    }
    measures = pd.DataFrame([{"clip_id": clip, **good, **fault} for clip, fault in faults.items()])
    params = load_params("score", ScoreParams, ROOT / "params.yaml")
    found = rank(recording_candidates(measures, params, -50))
    assert dict(found[["clip_id", "kind"]].to_numpy()) == {
        **{"g": "near-silent", "f": "clipped", "e": "clipped"},
        **{"c": "too noisy", "b": "too noisy", "d": "muffled"},
    }
    assert found["clip_id"].tolist() == list("gfecbd")  # kind by kind, the worst first
    reasons = dict(found[["clip_id", "reason"]].to_numpy())
    assert reasons["b"] == "too noisy: the speech is 9 dB above the noise, 15 are needed"
    assert reasons["g"] == (
        "near-silent: the speech is at -60 dBFS, -50 are needed; muffled: nothing above 2,500 Hz, 4,500 are needed"
    )
    assert recording_candidates(measures, replace(params, min_snr_db=0, min_bandwidth_hz=0), -70)["kind"].tolist() == [
        "clipped",
        "clipped",
    ]


def cull_in(folder, *arguments: str, ok: bool = True):
    return run("python", "-m", "accent.cull", *arguments, cwd=folder, ok=ok, COLUMNS="100")


def test_planted_faults_are_found_over_folds_of_the_queue(tmp_path):
    planted = plant(tmp_path / "release", PLANTED)
    project = copy_project(tmp_path / "project", {**SMALL, "ingest": {"releases": str(tmp_path / "release")}})
    shutil.copytree(ROOT / "models" / "trunk", project / "models" / "trunk", dirs_exist_ok=True)
    run("dvc", "repro", "-q", "split", cwd=project)
    commit(project, "begin")
    run("dvc", "exp", "run", "--queue", "-S", "split.fold=range(0,2)", "evaluate", cwd=project)
    run("dvc", "exp", "run", "--run-all", cwd=project)
    folds = run("dvc", "exp", "list", "--name-only", cwd=project).stdout.split()
    assert len(folds) == 2

    before = run("git", "status", "--porcelain", cwd=project).stdout
    done = cull_in(project, *folds)
    assert run("git", "status", "--porcelain", cwd=project).stdout == before  # nothing that Git tracks was changed
    assert "have no score out of fold" in done.stdout
    listed = read_exclusions(project / "data" / "cull.csv")
    kinds = {kind: {clip for clip, reason in listed.items() if f"{kind}:" in reason} for kind in KINDS}
    for kind, clips in planted.items():
        others = len(kinds[kind] - clips)
        print(f"{kind}: {len(kinds[kind] & clips)} of {len(clips)} planted found, {others} others accused")
    assert kinds["near-silent"] == planted["near-silent"]
    assert planted["muffled"] <= kinds["muffled"]
    measures = pd.read_parquet(project / "data" / "waveforms" / "index.parquet")
    assert set(measures.loc[measures["bandwidth_hz"] >= 4500, "clip_id"]).isdisjoint(kinds["muffled"])
    # All 8 were found, and one other accused, when this was written.
    assert len(kinds["label"] & planted["label"]) >= 7
    assert len(kinds["label"]) <= 20

    half = cull_in(project, folds[0], "--output", "data/half.csv")
    params = load_params("split", SplitParams, project / "params.yaml")
    tested = [make_splits(measures, replace(params, fold=fold))["split"].eq("test").sum() for fold in (0, 1)]
    unscored = int(re.search(r"of those (\d+) have no score out of fold", half.stdout)[1])
    assert unscored in [len(measures) - count for count in tested]
    commits = run("dvc", "exp", "list", "--sha-only", cwd=project).stdout.split()
    again = cull_in(project, folds[0], commits[0], ok=False)
    assert again.stderr.startswith(f"error: {folds[0]} and {commits[0]} both tested ")
    assert again.stderr.count("\n") == 1
    stage("ingest", tmp_path / "release", "data/cull.csv", "clips", cwd=project)
    assert set(read_rejects(project / "clips")) >= set(listed)
