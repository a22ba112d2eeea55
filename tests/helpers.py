"""What several tests need: the embedded sample, small releases made from it, whole projects of their own."""

import csv
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml

from accent.network.resnet import ResNet
from accent.network.trunk import save_trunk

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"
EXCLUSIONS = ROOT / "data" / "exclusions.csv"
NEW = (
    "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant locale segment"
)
OLD = "client_id path sentence up_votes down_votes age gender accent locale segment"

# The stages before training, with the arguments for a folder of their own.
FIRST_STAGES = {
    "ingest": [str(SAMPLE), str(EXCLUSIONS), "clips"],
    "decode": ["clips", "waveforms"],
    "spectrogram": ["waveforms", "spectrograms"],
    "split": ["waveforms", "splits.parquet"],
}

# Settings with which the whole pipeline runs in half a minute.
TINY = {
    "ingest": {"max_clips_per_speaker": 4, "clips_per_part": 32},
    "split": {"folds": 3, "fold": 0, "valid_folds": 3, "max_clips_per_speaker": 0},
    "train": {"width": 8, "epochs": 2, "batch_size": 32, "windows_per_clip": 1, "keep": "last"},
    "evaluate": {"resamples": 50, "bar": {"min_speakers": 1, "min_roc_auc": 0, "min_balanced_accuracy": 0}},
    "bank": {"clips": 8, "takes": 6},
    "grade": {"clips": 4, "channel_clips": 1},
    "explain": {"max_clips": 6, "draws": 2},
    "practice": {"resamples": 100},
    "report": {"clips": 3},
    "audit": {"max_clips": 3, "permutations": 2},
}


def sample_clips(locale: str) -> list[Path]:
    return sorted((SAMPLE / locale / "clips").iterdir())


def write_locale(folder: Path, header: str, rows: list[dict], clips: dict[str, bytes]) -> Path:
    """A locale folder of a release: the rows' missing columns are empty, as in a real one."""
    (folder / "clips").mkdir(parents=True)
    names = header.split()
    lines = ["\t".join(names)] + ["\t".join(str(row.get(name, "")) for name in names) for row in rows]
    (folder / "validated.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, data in clips.items():
        (folder / "clips" / name).write_bytes(data)
    return folder


def write_release(folder: Path, header: str = NEW, locales: str = "fr en", speakers: int = 4, each: int = 2) -> Path:
    """A release with real clips: `speakers` voices of `each` clips a locale."""
    for locale in locales.split():
        recordings = sample_clips(locale)
        rows, clips = [], {}
        for number in range(speakers * each):
            name = f"common_voice_{locale}_{number:03d}.mp3"
            row = {"client_id": f"{locale}-{number // each}", "path": name, "sentence": f"{locale} text {number}"}
            rows.append({**row, "locale": locale, "up_votes": 2, "down_votes": 0})
            clips[name] = recordings[number].read_bytes()
        write_locale(folder / locale, header, rows, clips)
    return folder


def set_params(project: Path, settings: dict) -> None:
    """Change `params.yaml`, section by section."""
    path = project / "params.yaml"
    document = yaml.safe_load(path.read_text())
    for section, values in settings.items():
        document[section] |= values
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def run(*command: str, cwd: Path, ok: bool = True, **environment: str) -> subprocess.CompletedProcess:
    """Run a command with this Python's `bin` first, and check that it ends as expected."""
    bin_folder = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", **environment}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert (done.returncode == 0) == ok, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def stage(name: str, *arguments: str | Path, cwd: Path, ok: bool = True, **environment: str):
    """Run a stage's script as `dvc.yaml` does."""
    environment = {"PYTHONPATH": str(ROOT), **environment}
    return run(sys.executable, "-m", f"stages.{name}", *map(str, arguments), cwd=cwd, ok=ok, **environment)


def stage_here(name: str, *arguments: str | Path, cwd: Path) -> None:
    """Run a stage in this process, which has imported what the stage needs; its errors are raised."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setenv("LOKY_MAX_CPU_COUNT", "1")  # joblib's workers would keep the folder that they were started in
        patch.setattr("sys.argv", [name, *map(str, arguments)])
        import_module(f"stages.{name}").main()


def write_trunk(folder: Path, params: Path = ROOT / "params.yaml", **changes) -> dict:
    """A trunk of seeded random weights for the network of a `params.yaml`; returns its card without the hash."""
    document = yaml.safe_load(params.read_text())
    network = {name: document["train"][name] for name in ("arch", "width", "antialias")} | changes
    made_from = {"teacher": {}, "data": [], "pretraining": {}, "commit": "", "metrics": {}}
    card = {**network, "spectrogram": document["spectrogram"], **made_from}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_trunk(folder, ResNet(**network, channels=1), card)
    return card


def run_first_stages(folder: Path, settings: dict) -> Path:
    """Run the stages before training in an empty folder, on the sample."""
    shutil.copy(ROOT / "params.yaml", folder)
    set_params(folder, settings)
    (folder / "data" / "second_source").mkdir(parents=True)
    for name, arguments in FIRST_STAGES.items():
        stage(name, *arguments, cwd=folder)
    return folder


def prepare_training(folder: Path, data: Path, train: dict) -> Path:
    """What the train stage reads, in a folder: a copy of what `run_first_stages` made in `data`, and a small trunk."""
    shutil.copytree(data, folder, dirs_exist_ok=True)
    set_params(folder, {"train": train})
    write_trunk(folder / "models" / "trunk", folder / "params.yaml")
    return folder


def train_arguments(name: str) -> list[str]:
    """The arguments of the train stage in such a folder, with all that it writes below `name`."""
    inputs, state = ["spectrograms", "splits.parquet"], ["--state", f"{name}/state"]
    return [*inputs, name, f"{name}/live", f"{name}/training.json", *state]


def copy_project(folder: Path, settings: dict | None = None) -> Path:
    """This project as it stands, as a Git repository of its own without history, with `settings` and a small trunk."""
    listed = run("git", "ls-files", "-coz", "--exclude-standard", cwd=ROOT).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in ("dvc.lock", "models/accent.json", "models/bank.json", "metrics"):  # made by the pipeline
        path = folder / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    set_params(folder, settings or TINY)
    write_trunk(folder / "models" / "trunk", folder / "params.yaml")
    run("git", "init", "-q", "-b", "main", cwd=folder)
    run("git", "config", "user.email", "test@example.org", cwd=folder)
    run("git", "config", "user.name", "test", cwd=folder)
    commit(folder, "begin")
    return folder


def commit(project: Path, message: str) -> None:
    run("git", "add", "-A", cwd=project)
    run("git", "commit", "-qm", message, cwd=project)


def read_rejects(folder: Path) -> dict[str, str]:
    with open(folder / "rejects.csv", newline="", encoding="utf-8") as file:
        return {row["clip_id"]: row["reason"] for row in csv.DictReader(file)}
