"""What the tests of the learner's page share: its packages, its build, and its signal path on the command line."""

import base64
import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from accent.audio.spectrogram import SpectrogramParams
from accent.scoring.refusal import ScoreParams
from tests.helpers import ROOT, run

WEB = ROOT / "web"
SPECTROGRAM = SpectrogramParams(n_fft=512, hop_length=160, n_mels=64, fmin_hz=60.0, fmax_hz=4000.0, range_db=80.0)
LIMITS = ScoreParams(
    target="french",
    min_speech_seconds=1.0,
    min_snr_db=15.0,
    max_clipped_fraction=0.03,
    min_bandwidth_hz=4500.0,
    typical_quantile=0.99,
    min_confidence=0.6,
)


def node(*command: str | Path, cwd: Path = WEB, **options) -> subprocess.CompletedProcess:
    """Run a program of Node's world; a machine without it fails the test, and does not skip it."""
    if shutil.which(str(command[0])) is None:
        pytest.fail(f"no {command[0]} on this machine, which the page is built with: install Node.js 18 or newer")
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def packages() -> None:
    """Install what package-lock.json names, unless it is there; one test process at a time."""
    lock, stamp = WEB / "package-lock.json", WEB / "node_modules" / ".package-lock.json"
    with open(lock) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
            node("npm", "ci", "--no-audit", "--no-fund")


def build_page(model: Path, metrics: Path, folder: Path) -> Path:
    """The page with a trained model, built into `folder`."""
    packages()
    run(sys.executable, "-m", "accent.page.export", str(model), str(metrics), str(folder / "model"), cwd=ROOT)
    node("node", "build.mjs", "--model", folder / "model", "--out", folder / "dist")
    return folder / "dist"


class Signal:
    """Calls into the TypeScript of the signal path, see web/testing/signal.ts."""

    def __init__(self, folder: Path) -> None:
        packages()
        self.bundle = folder / "signal.mjs"
        node(
            "npx",
            "esbuild",
            "testing/signal.ts",
            "--bundle",
            "--platform=node",
            "--format=esm",
            f"--outfile={self.bundle}",
        )

    def __call__(self, *calls: list) -> list:
        return json.loads(node("node", self.bundle, input=json.dumps(calls)).stdout)


def as_text(samples: np.ndarray) -> str:
    return base64.b64encode(samples.astype(np.float32).tobytes()).decode()


def as_floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.float32)
