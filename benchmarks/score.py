"""Scoring a take: warm and cold, seconds and memory, beside the bare network and the bare imports.

    python -m benchmarks.score

On one core, with the trained model of models/ and a take of 5 s made of the sample's speech. The peers: the network
alone over the same windows, and a Python that only imports torch, or fastai's vision module as the weekend way does.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from accent.audio.waveform import SAMPLE_RATE, read_recording
from accent.audio.windows import even_windows
from accent.core.errors import run
from accent.scoring.scorer import Scorer

SECONDS, REPEATS = 5, 30
FASTAI = "from fastai.vision.all import load_learner"


def make_take(folder: Path) -> Path:
    """A WAV file of 5 s of speech at 48 kHz, as a browser records it."""
    import soxr

    clips = sorted(Path("data/sample/fr/clips").iterdir())[:4]
    speech = np.concatenate([read_recording(clip, 30).waveform for clip in clips])[: SECONDS * SAMPLE_RATE]
    path = folder / "take.wav"
    sf.write(path, soxr.resample(speech, SAMPLE_RATE, 48000), 48000, subtype="PCM_16")
    return path


def milliseconds(function: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """The median time of a call, after one that warms up; CPU time, which other work on the machine changes little."""
    function()
    times = []
    for _ in range(REPEATS):
        began = clock()
        function()
        times.append(clock() - began)
    return 1000 * float(np.median(times))


def cold(*command: str) -> float:
    """Seconds that a command takes, the median of five runs."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def resident_mb(code: str) -> float:
    """The largest resident memory of a Python that runs this code (what torch adds while it exits is not in it)."""
    # Not ru_maxrss, which a new process takes over from the one that started it.
    code = f"{code}\nprint(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-2]) / 1024


def main() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        take = make_take(Path(folder))
        scorer = Scorer.load("models")
        spectrogram = next(scorer.pieces(take)).spectrogram
        card = scorer.card
        _, windows = even_windows(spectrogram, card.window, card.window_hop)
        windows = torch.from_numpy(windows).float() / 255

        def network() -> None:
            with torch.inference_mode():
                scorer.model(windows)

        bare = milliseconds(network)
        for what, judge in (("without the grade", Scorer.load("models", grades=False)), ("with the grade", scorer)):
            warm = milliseconds(lambda judge=judge: judge.score(take))
            wall = milliseconds(lambda judge=judge: judge.score(take), time.perf_counter)
            print(
                f"a warm take of {SECONDS} s, one core, {what}: {warm:.0f} ms of CPU time ({wall:.0f} ms in all); the "
                f"network alone {bare:.0f} ms: {warm / bare:.2f}"
            )
        rows = {
            "python -m accent.score TAKE": (
                cold("-m", "accent.score", str(take)),
                resident_mb(f"import sys, accent.score; sys.argv[1:] = [{str(take)!r}]; accent.score.main()"),
            ),
            **{code: (cold("-c", code), resident_mb(code)) for code in ("import torch", FASTAI)},
        }
        ours, _ = rows["python -m accent.score TAKE"]
        for name, (seconds, megabytes) in rows.items():
            print(f"{name:44} {seconds:5.2f} s ({ours / seconds:.2f}), {megabytes:,.0f} MB resident")


if __name__ == "__main__":
    run(main)
