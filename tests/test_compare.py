"""Whether one run is better than another: the numbers, the signs, what cannot be compared, and real experiments."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, softmax

from accent.compare import main
from accent.core.errors import InputError
from accent.evaluation.compare import HIGHER_IS_BETTER, SAME, UNKNOWN, Scores, compare, verdict
from accent.evaluation.metrics import evaluate_scores
from accent.evaluation.revisions import read_predictions
from tests.helpers import ROOT, commit, run

PROJECT_STAGE = """
import sys, numpy as np, pandas as pd, yaml
skill = yaml.safe_load(open("params.yaml"))["skill"]
rng = np.random.default_rng(1)
label = np.array(["english", "french"] * 60)
logit = skill * np.where(label == "french", 1, -1) + rng.normal(size=120)
p = 1 / (1 + np.exp(-logit))
pd.DataFrame({
    "clip_id": [f"c{n:03d}" for n in range(120)], "client_id": [f"s{n // 6}" for n in range(120)], "label": label,
    "split": ["valid"] * 20 + ["test"] * 80 + ["probe"] * 20, "probability_english": 1 - p, "probability_french": p,
}).to_parquet("data/predictions.parquet")
"""


def two_runs(seed: int, french: int, english: int) -> list[pd.DataFrame]:
    """Test rows of two runs that are equally good, over clips of so many speakers of each class.

    How well a speaker is heard is partly his or hers, partly the run's.
    """
    rng = np.random.default_rng([seed, french, english])
    voices, clips = french + english, 6
    speaker = np.repeat(np.arange(voices), clips)
    label = np.where(speaker < french, "french", "english")
    side = np.where(label == "french", 1, -1)
    shared = np.repeat(rng.normal(size=voices), clips) + rng.normal(size=len(speaker))
    runs = []
    for _ in range(2):
        own = np.repeat(0.7 * rng.normal(size=voices), clips) + rng.normal(size=len(speaker))
        probability = expit(side + shared + own)
        rows = {"clip_id": np.arange(len(speaker)).astype(str), "client_id": speaker.astype(str), "label": label}
        runs.append(pd.DataFrame({**rows, "probability_english": 1 - probability, "probability_french": probability}))
    return runs


def predictions(skill: float, classes: tuple[str, ...] = ("english", "french"), seed: int = 1) -> pd.DataFrame:
    """Test rows of a run: of 20 speakers, with more of the truth in them the more `skill`."""
    clips = 120
    generator = np.random.default_rng(seed)
    targets = np.arange(clips) % len(classes)
    logits = skill * np.eye(len(classes))[targets] + generator.normal(size=(clips, len(classes)))
    probabilities = softmax(logits, axis=1)
    return pd.DataFrame(
        {
            "clip_id": [f"clip-{number:03d}" for number in range(clips)],
            "client_id": [f"speaker-{number * 20 // clips}" for number in range(clips)],
            "label": np.array(classes)[targets],
            **{f"probability_{name}": probabilities[:, number] for number, name in enumerate(classes)},
        }
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_the_numbers_are_those_of_the_evaluation(classes):
    generator = np.random.default_rng(classes)
    targets = generator.integers(0, classes, 300)
    logits = generator.normal(size=(300, classes)) + np.eye(classes)[targets]
    logits[::3] *= 60  # probabilities that are 1 but for less than a float can hold
    logits[1::9] = 0  # and ties
    expected = evaluate_scores(logits, targets, [f"class {n}" for n in range(classes)], 1.0)
    found = Scores(softmax(logits, axis=1), targets).metrics(np.arange(300))
    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-6)
    assert list(found) == list(HIGHER_IS_BETTER)
    assert "ece" not in found  # it has no interval, so it can tell neither run to be better


def test_a_run_is_no_better_than_itself():
    found = compare(predictions(1), predictions(1).sample(frac=1, random_state=0), 100, 1)
    assert found["clips"] == 120
    assert found["speakers"] == 20
    for row in found["metrics"].values():
        assert row["a"] == row["b"]
        assert (row["difference"], row["low"], row["high"], row["verdict"]) == (0, None, None, SAME)


def test_a_better_run_is_better_and_the_other_way_round_worse():
    for classes in (("english", "french"), ("a", "b", "c")):
        weak, strong = predictions(0.5, classes), predictions(3, classes)
        for name in ("roc_auc", "balanced_accuracy", "log_loss"):
            row = compare(weak, strong, 80, 1)["metrics"][name]
            assert row["verdict"] == "better"
            assert row["low"] < row["difference"] < row["high"]
            assert row["difference"] == pytest.approx(row["b"] - row["a"])
            assert (row["difference"] > 0) == HIGHER_IS_BETTER[name]
            assert compare(strong, weak, 80, 1)["metrics"][name]["verdict"] == "worse"


def test_overconfidence_is_worse_in_calibration_alone():
    calm = predictions(1)
    names = ["probability_english", "probability_french"]
    sharp = calm.assign(**pd.DataFrame(softmax(8 * np.log(calm[names].to_numpy()), axis=1), columns=names))
    found = {name: row["verdict"] for name, row in compare(calm, sharp, 200, 1)["metrics"].items()}
    assert found == {"roc_auc": SAME, "balanced_accuracy": SAME, "log_loss": "worse"}


def test_the_verdict_minds_the_sign():
    assert verdict(0.1, [0.1, 0.2], True) == "better" == verdict(-0.1, [-0.2, -0.1], False)
    assert verdict(0.1, [0.1, 0.2], False) == "worse" == verdict(-0.1, [-0.2, -0.1], True)
    assert verdict(0.1, [-0.1, 0.2], True) == SAME == verdict(0.1, [0.0, 0.2], True)
    assert verdict(0.1, None, True) == UNKNOWN
    assert verdict(0.0, None, True) == SAME
    assert verdict(0.0, None, True, "too few speakers") == UNKNOWN


def test_only_shared_clips_count_and_one_speaker_is_too_few():
    found = compare(predictions(1).head(70), predictions(3).tail(80), 50, 1)
    assert (found["clips"], found["speakers"], found["left_out"]) == (30, 6, {"a": 40, "b": 50})
    found = compare(predictions(1).head(6), predictions(3), 50, 1)
    assert {row["verdict"] for row in found["metrics"].values()} == {UNKNOWN}
    assert found["metrics"]["log_loss"]["low"] is None
    assert found["too_few"] == "too few speakers: 1 of english, 1 of french; at least 4 of each are needed"


def test_what_cannot_be_compared_is_told():
    whole = predictions(1)
    with pytest.raises(InputError, match="none of the 50 and 60 test clips is in both runs"):
        compare(whole.head(50), whole.tail(60), 50, 1)
    with pytest.raises(InputError, match="B: its classes are a, b, c, those of A english, french"):
        compare(whole, predictions(1, ("a", "b", "c")), 50, 1)
    with pytest.raises(InputError, match="1 of 120 shared clips have another label in the other run"):
        compare(whole, whole.assign(label=["french", *whole["label"][1:]]), 50, 1)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A DVC project whose single stage draws predictions, with an experiment of more skill."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "data").mkdir()
    (folder / "draw.py").write_text(PROJECT_STAGE)
    (folder / "params.yaml").write_text("skill: 0.2\n")
    stage = "{cmd: python draw.py, deps: [draw.py], params: [skill], outs: [data/predictions.parquet]}"
    (folder / "dvc.yaml").write_text(f"stages:\n  draw: {stage}\n")
    run("git", "init", "-q", "-b", "main", cwd=folder)
    run("git", "config", "user.email", "test@example.org", cwd=folder)
    run("git", "config", "user.name", "test", cwd=folder)
    run("dvc", "init", "-q", cwd=folder)
    commit(folder, "begin")
    run("dvc", "repro", "-q", cwd=folder)
    commit(folder, "weak")
    run("dvc", "exp", "run", "-q", "-n", "strong", "-S", "skill=3", cwd=folder)
    return folder


@pytest.mark.slow
def test_an_experiment_is_compared_with_a_commit_and_the_workspace(project, monkeypatch, capsys):
    monkeypatch.chdir(project)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.argv", ["compare", "main", "strong", "--json", "--resamples", "200"])
    main()
    found = json.loads(capsys.readouterr().out)
    assert (found["a"], found["b"], found["clips"]) == ("main", "strong", 80)  # neither valid nor probe
    assert found["metrics"]["log_loss"]["verdict"] == "better"
    monkeypatch.setattr("sys.argv", ["compare", "strong", "workspace", "--resamples", "50"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["metric", "A", "B", "B", "-", "A", "95%", "interval", "B", "is"]
    assert lines[1].split()[-5:] == ["+0.000", "-", "no", "difference", "seen"]
    assert lines[4].startswith("A strong, B workspace: 80 clips of 14 speakers that both tested; left out: 0 ")


@pytest.mark.slow
def test_a_project_in_a_folder_of_a_larger_repository_finds_its_runs(project, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    inner = whole / "team" / "inner"
    shutil.copytree(project, inner, ignore=shutil.ignore_patterns(".git"))
    run("git", "init", "-q", "-b", "main", cwd=whole)
    run("git", "config", "user.email", "test@example.org", cwd=whole)
    run("git", "config", "user.name", "test", cwd=whole)
    run("dvc", "init", "-q", "-f", "--subdir", cwd=inner)
    (inner / "params.yaml").write_text("skill: 0.2\n")
    run("dvc", "repro", "-q", cwd=inner)
    commit(whole, "all of it")
    (inner / "params.yaml").write_text("skill: 3\n")
    run("dvc", "repro", "-q", cwd=inner)
    monkeypatch.chdir(inner)
    committed, here = read_predictions("HEAD"), read_predictions("workspace")
    assert list(committed["clip_id"]) == list(here["clip_id"])
    french = here["label"] == "french"
    assert (here.loc[french, "probability_french"] > committed.loc[french, "probability_french"]).all()


@pytest.mark.slow
def test_a_revision_that_is_none_or_has_no_predictions_is_one_line(project, monkeypatch):
    done = run("python", "-m", "accent.compare", "main", "absent", cwd=project, ok=False, PYTHONPATH=str(ROOT))
    start = "absent: data/predictions.parquet: cannot be read (unknown Git revision 'absent'). 'dvc exp list"
    assert done.stderr.startswith(f"error: {start}")
    assert done.stderr.count("\n") == 1
    monkeypatch.chdir(project)
    with pytest.raises(InputError, match="main~1: data/predictions.parquet: cannot be read"):
        read_predictions("main~1")
    (project / "data" / "predictions.parquet").rename(project / "kept")
    try:
        predictions(1).to_parquet(project / "data" / "predictions.parquet")
        with pytest.raises(InputError, match="workspace: data/predictions.parquet: has no column split"):
            read_predictions("workspace")
        (project / "data" / "predictions.parquet").write_bytes(b"PAR1")
        with pytest.raises(InputError, match="workspace: data/predictions.parquet: damaged"):
            read_predictions("workspace")
    finally:
        (project / "kept").replace(project / "data" / "predictions.parquet")
