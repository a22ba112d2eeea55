"""The real pipeline and the real DVC, in projects of their own, with settings that take half a minute a run."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.helpers import ROOT, TINY, copy_project, run, set_params, write_release

pytestmark = pytest.mark.slow

FIRST_STAGES = ("ingest", "decode", "spectrogram", "split")


def reran(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)'", output)


@pytest.fixture(scope="module")
def project(trained, tmp_path_factory) -> Path:
    """A copy of the trained project, to try things on."""
    folder = tmp_path_factory.mktemp("project") / "project"
    shutil.copytree(trained, folder)
    return folder


def test_the_first_run_runs_every_stage_in_order(trained):
    assert reran(trained.with_name("repro.txt").read_text()) == [
        *FIRST_STAGES,
        "train",
        "bank",
        "predict",
        "evaluate",
        "explain",
        "grade",
        "practice",
        "audit",
        "report",
    ]


def read_metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics" / "evaluation.json").read_text())


def test_the_results_are_whole(project):
    metrics = read_metrics(project)
    predictions = pd.read_parquet(project / "data" / "predictions.parquet")
    splits = pd.read_parquet(project / "data" / "splits.parquet")
    assert sorted(predictions["clip_id"]) == sorted(splits.loc[splits["split"].isin(["valid", "test"]), "clip_id"])
    predictions = predictions[predictions["split"] == "test"]
    assert metrics["clips"] == len(predictions) == sum(metrics["clips_of"].values())
    assert metrics["clip"]["accuracy"] == pytest.approx((predictions["label"] == predictions["predicted"]).mean())
    assert (predictions["probability_english"] + predictions["probability_french"]).to_numpy() == pytest.approx(1)
    card = json.loads((project / "models" / "accent.json").read_text())
    training = json.loads((project / "metrics" / "training.json").read_text())
    assert card["temperature"] == training["temperature"]
    assert training["epochs"] == 2


def test_a_second_run_has_nothing_to_do(project):
    done = run("dvc", "repro", cwd=project)
    assert reran(done.stdout) == []
    assert "Data and pipelines are up to date." in done.stdout
    assert "up to date" in run("dvc", "status", cwd=project).stdout
    assert run("git", "status", "--porcelain", cwd=project).stdout == ""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("train.epochs=1", ["train"]),
        ("spectrogram.n_mels=32", ["spectrogram"]),
        ("split.fold=1", ["split"]),
        ("decode.min_seconds=1.0", ["decode", "grade"]),
        ("score.min_snr_db=10", ["evaluate", "grade"]),
        ("evaluate.seed=2", ["evaluate", "grade", "audit"]),
        ("explain.draws=3", ["explain"]),
        ("practice.resamples=50", ["practice"]),
        ("audit.permutations=3", ["audit"]),
    ],
)
def test_a_parameter_makes_only_its_own_stages_out_of_date(project, change, expected):
    name, value = change.split("=")
    section, key = name.split(".")
    before = (project / "params.yaml").read_text()
    set_params(project, {section: {key: yaml.safe_load(value)}})
    try:
        status = json.loads(run("dvc", "status", "--json", cwd=project).stdout)
        direct = [stage for stage, why in status.items() if any("changed deps" in reason for reason in why)]
        # train reads the sections that the model's card repeats
        assert [stage for stage in direct if stage != "train" or section == "train"] == expected
    finally:
        (project / "params.yaml").write_text(before)


def test_the_readme_s_experiment_commands_work(project):
    done = run("dvc", "exp", "run", "-n", "epochs-3", "-S", "train.epochs=3", cwd=project)
    assert reran(done.stdout) == ["train", "predict", "evaluate", "explain", "practice", "audit", "report"]
    back_to_head(project)  # the experiment is kept by its name

    run("dvc", "exp", "run", "--queue", "-S", "train.epochs=1,2", "train", cwd=project)
    run("dvc", "queue", "start", "-j", "1", cwd=project)
    run("dvc", "queue", "logs", "-f", re.search(r"^(\w{7})", queue(project), re.M)[1], cwd=project)
    wait_for_queue(project)
    assert queue(project).count("Success") == 2
    shown = json.loads(run("dvc", "exp", "show", "--json", cwd=project).stdout)
    experiments = [entry for baseline in shown for entry in baseline.get("experiments") or []]
    epochs = [entry["revs"][0]["data"]["params"]["params.yaml"]["data"]["train"]["epochs"] for entry in experiments]
    assert sorted(epochs) == [1, 2, 3]
    assert "roc_auc" in run("dvc", "exp", "show", "--md", cwd=project).stdout
    assert "roc_auc" in run("dvc", "exp", "show", "--only-changed", cwd=project).stdout

    difference = json.loads(run("dvc", "metrics", "diff", "--json", "HEAD", "epochs-3", cwd=project).stdout)
    assert difference["metrics/training.json"]["epochs"] == {"old": 2, "new": 3, "diff": 1}
    assert "clip.log_loss" in difference["metrics/evaluation.json"]
    assert "mean_probability.good" in difference["metrics/practice.json"]  # the grade's order is not the network's
    assert "deletion.log_odds_fall_most" in difference["metrics/explanation.json"]
    assert "confounds.model_roc_auc" in difference["metrics/audit.json"]
    assert "clip.log_loss" in run("dvc", "metrics", "diff", "HEAD", "epochs-3", cwd=project).stdout
    assert re.search(r"train\.epochs\s+2\s+3", run("dvc", "params", "diff", "HEAD", "epochs-3", cwd=project).stdout)
    run("dvc", "plots", "diff", "HEAD", "epochs-3", "-o", "dvc_plots", cwd=project)
    page = (project / "dvc_plots" / "index.html").read_text()
    for title in ("Loss by epoch", "Confusion matrix", "ROC", "Reliability", "Scores by true class"):
        assert title in page
    assert page.count('"rev": "epochs-3"') > 50

    run("dvc", "exp", "apply", "epochs-3", cwd=project)
    assert yaml.safe_load((project / "params.yaml").read_text())["train"]["epochs"] == 3
    assert "up to date" in run("dvc", "status", cwd=project).stdout
    back_to_head(project)


def back_to_head(project: Path) -> None:
    run("git", "restore", ".", cwd=project)
    run("dvc", "checkout", cwd=project)
    assert "up to date" in run("dvc", "status", cwd=project).stdout


def queue(project: Path) -> str:
    return run("dvc", "queue", "status", cwd=project).stdout


def wait_for_queue(project: Path) -> None:
    import time

    for _ in range(300):
        if not re.search("Running|Queued", queue(project)):
            return
        time.sleep(1)
    raise AssertionError(queue(project))


def test_a_push_and_a_pull_bring_everything_into_a_second_clone(project, tmp_path):
    run("dvc", "remote", "add", "-d", "storage", str(tmp_path / "storage"), cwd=project)
    run("git", "commit", "-qam", "Results, and where they are stored", cwd=project)
    run("dvc", "push", "-q", cwd=project)
    run("git", "clone", "-q", str(project), str(tmp_path / "clone"), cwd=tmp_path)
    clone = tmp_path / "clone"
    run("dvc", "pull", "-q", cwd=clone)
    assert "up to date" in run("dvc", "status", cwd=clone).stdout
    assert reran(run("dvc", "repro", cwd=clone).stdout) == []
    assert read_metrics(clone) == read_metrics(project)


def test_two_clones_give_the_same_lock_file_whatever_the_number_of_workers(project, tmp_path):
    """The first had one process a core; this one has one in all."""
    other = copy_project(tmp_path / "other")
    run("dvc", "repro", cwd=other, LOKY_MAX_CPU_COUNT="1")
    assert (other / "dvc.lock").read_bytes() == (project / "dvc.lock").read_bytes()


def three_locales(sample: Path, target: Path) -> Path:
    """A release of three locales: the sample's French, and its English voices shared out to two."""
    shutil.copytree(sample, target, ignore=shutil.ignore_patterns("*.csv"))
    shutil.copytree(target / "en", target / "xx")
    lines = (target / "en" / "validated.tsv").read_text().splitlines(keepends=True)
    voices = sorted({line.split("\t")[0] for line in lines[1:]})
    for locale, kept in (("en", voices[::2]), ("xx", voices[1::2])):
        rows = [line for line in lines[1:] if line.split("\t")[0] in kept]
        text = "".join([lines[0], *rows]).replace("\ten\t", f"\t{locale}\t")
        (target / locale / "validated.tsv").write_text(text)
    return target


def test_three_classes(tmp_path):
    settings = {section: dict(values) for section, values in TINY.items()}
    settings["ingest"] |= {"releases": str(three_locales(ROOT / "data" / "sample", tmp_path / "three locales"))}
    settings["ingest"]["classes"] = {name: {"locale": code} for name, code in (("a", "fr"), ("b", "en"), ("c", "xx"))}
    settings["train"]["epochs"] = 1
    settings["score"] = {"target": "a"}
    settings["evaluate"] = {"resamples": 20, "probes": {"british": {"locale": "en", "accents": "England English"}}}
    folder = copy_project(tmp_path / "three", settings)
    done = run("dvc", "repro", "audit", cwd=folder)
    assert "in more than one split: 0 speakers, 0 sentences, 0 recordings" in done.stdout
    metrics = read_metrics(folder)
    assert set(metrics["clip"]["recall"]) == set(metrics["clip"]["roc_auc_by_class"]) == {"a", "b", "c"}
    assert metrics["clip"]["roc_auc"] == pytest.approx(sum(metrics["clip"]["roc_auc_by_class"].values()) / 3)
    assert metrics["probes"]["british"]["natives"] == metrics["clips_of"]["a"]
    assert metrics["probes"]["british"]["clips"] > 3
    predictions = pd.read_parquet(folder / "data" / "predictions.parquet")
    assert set(predictions.loc[predictions["split"] == "probe", "label"]) == {"british"}
    audit = json.loads((folder / "metrics" / "audit.json").read_text())
    assert audit["confounds"]["model_roc_auc"] == pytest.approx(metrics["clip"]["roc_auc"])
    assert set(audit["gender_and_age"]["women_from_men_within"]) == {"a", "b", "c"}
    run("dvc", "plots", "show", cwd=folder)


def test_a_folder_of_releases_may_have_any_name_and_none_of_it_is_run(project):
    before = (project / "params.yaml").read_text()
    folder = 'data/q"uote $HOME `touch ran` $(touch ran); touch ran'
    write_release(project / folder)
    set_params(project, {"ingest": {"releases": folder}})
    run("dvc", "repro", "-s", "ingest", cwd=project)
    assert len(pd.read_parquet(project / "data" / "clips" / "part-00000.parquet")) == 16
    assert not (project / "ran").exists()
    (project / "params.yaml").write_text(before)
    run("git", "checkout", "-q", ".", cwd=project)
    run("dvc", "checkout", "-q", cwd=project)


def test_a_bad_parameter_or_release_stops_the_run_with_one_line(project):
    before = (project / "params.yaml").read_text()
    set_params(project, {"train": {"epoch": 3}})
    done = run("dvc", "repro", cwd=project, ok=False)
    assert "error: params.yaml: train.epoch: no such parameter. Known here: arch, " in done.stderr
    (project / "params.yaml").write_text(before)
    set_params(project, {"ingest": {"releases": "data/absent"}})
    done = run("dvc", "repro", cwd=project, ok=False)
    assert "data/absent" in done.stderr
    assert "Traceback" not in done.stderr
    (project / "params.yaml").write_text(before)
    run("git", "checkout", "-q", ".", cwd=project)
