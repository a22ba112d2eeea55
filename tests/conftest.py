"""Fixtures that several tests use."""

import os

# One thread a process: two processes run the tests on two cores, and threads that wait for each other spin. Set before
# the imports, since torch reads it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from tests.helpers import ROOT, commit, copy_project, run, run_first_stages


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs one of these fixtures is slow, since they run stages or build the package."""
    for item in items:
        if {"trained", "prepared_data", "wheel"} & set(getattr(item, "fixturenames", [])):
            item.add_marker(pytest.mark.slow)


def made_once(tmp_path_factory, worker_id: str, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that one of several processes makes for all. No test changes it."""
    place = tmp_path_factory.getbasetemp()
    folder = (place if worker_id == "master" else place.parent) / name
    with FileLock(f"{folder}.lock"):
        done = Path(f"{folder}.done")
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory, worker_id: str) -> Path:
    """A project after its first `dvc repro`, for what needs a model but not a good one: two epochs of training.

    `repro.txt` beside it is what DVC printed.
    """

    def make(folder: Path) -> None:
        shown = run("dvc", "repro", cwd=copy_project(folder)).stdout
        commit(folder, "first run")
        folder.with_name("repro.txt").write_text(shown)

    return made_once(tmp_path_factory, worker_id, "trained", make)


@pytest.fixture(scope="session")
def prepared_data(tmp_path_factory, worker_id: str) -> Path:
    """Spectrograms and splits of two clips a voice of the sample: about 60."""
    settings = {"ingest": {"max_clips_per_speaker": 2}, "split": {"folds": 3, "fold": 0, "valid_folds": 3}}
    return made_once(tmp_path_factory, worker_id, "prepared", partial(run_first_stages, settings=settings))


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """An empty folder with the project's own params.yaml, in which stages can be run one by one."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def tone() -> Callable[..., np.ndarray]:
    """A function that makes a sine at 16 kHz, of so many seconds, as float32 with a peak of 0.5."""

    def make(hz: float, seconds: float = 1.0, rate: int = 16000) -> np.ndarray:
        time = np.arange(round(seconds * rate)) / rate
        return (0.5 * np.sin(2 * np.pi * hz * time)).astype(np.float32)

    return make
