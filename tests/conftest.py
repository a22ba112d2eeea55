"""Fixtures that several tests use."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from tests.helpers import ROOT, commit, copy_project, run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a trained project is slow."""
    for item in items:
        if {"trained", "wheel"} & set(getattr(item, "fixturenames", [])):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, worker_id: str) -> Path:
    """A project after its first `dvc repro`, for what needs a model but not a good one: two epochs of training.

    No test changes it, and of several processes one makes it for all. `repro.txt` beside it is what DVC printed.
    """
    place = tmp_path_factory.getbasetemp()
    folder = (place if worker_id == "master" else place.parent) / "trained"
    with FileLock(f"{folder}.lock"):
        done = Path(f"{folder}.done")
        if not done.exists():
            folder.mkdir()
            copy_project(folder)
            shown = run("dvc", "repro", cwd=folder).stdout
            commit(folder, "first run")
            folder.with_name("repro.txt").write_text(shown)
            done.touch()
    return folder


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
