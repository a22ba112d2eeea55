"""Fixtures that several tests use."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import ROOT, copy_project, run


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A project whose model was trained for two epochs and evaluated, for what needs a model but not a good one."""
    folder = copy_project(tmp_path_factory.mktemp("trained"))
    run("dvc", "repro", "explain", "practice", "audit", cwd=folder)
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
