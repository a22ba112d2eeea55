"""The grade: its speed for a warm take of 5 s on one core, and English accents by folds of speakers.

    python -m benchmarks.grade speed [MODEL]
    python -m benchmarks.grade accents WAVEFORMS

The second takes the waveforms of the pre-training (`pretraining/data/waveforms`) and grades every English clip that
states its speaker and accent: natives by banks without the speakers of their fold, the others by the bank of all folds
in turn. Banks of other languages are the shipped ones.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from accent.audio.waveform import SAMPLE_RATE, read_recording
from accent.core.parts import read_index
from accent.evaluation.intervals import say_interval, speaker_intervals
from accent.evaluation.metrics import auc
from accent.grading.build import hear_clips
from accent.grading.grade import Bank, thinned
from accent.grading.grader import Grader
from accent.grading.store import load_ear, load_shipped
from accent.pretraining.banks import UNKNOWN, NativesFilter, is_native, other_side

ENCODER = Path("models/encoder")
FOLDS, FRAMES_OF_CLIP, REPEATS, SECONDS = 4, 40, 20, 5
NATIVE = NativesFilter(
    accents=(
        *("United States English", "England English", "Canadian English", "Australian English"),
        *("Irish English", "Scottish English", "New Zealand English"),
    )
)


def speed(model: Path) -> None:
    torch.set_num_threads(1)
    grader = Grader.load(model)
    clips = sorted(Path("data/sample/fr/clips").iterdir())[:4]
    speech = np.concatenate([read_recording(clip, 30).waveform for clip in clips])[: SECONDS * SAMPLE_RATE]
    take = (speech * 32767).astype(np.int16)
    target = next(iter(grader.card.targets))
    grader.hear(take, target)
    wall, cpu = [], []
    for _ in range(REPEATS):
        begin, used = time.perf_counter(), time.process_time()
        grader.hear(take, target)
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - used)
    print(f"grade of a warm take of {SECONDS} s: {1e3 * np.median(wall):.0f} ms, {1e3 * np.median(cpu):.0f} ms of CPU")


def accents(waveforms: Path) -> None:
    torch.set_num_threads(1)
    index = read_index(waveforms)
    english = index[(index["label"] == "en") & (index["accents"] != "")]
    english = english[~english["client_id"].str.startswith(UNKNOWN)].reset_index(drop=True)
    native = is_native(english, "en", NATIVE)
    ear, _ = load_ear(ENCODER)
    others = other_side(load_shipped(ENCODER), "en")
    heard = hear_clips(waveforms, ear, english)
    grades = grade_by_folds(heard, native, english["client_id"].to_numpy(), others)

    def metric(rows: np.ndarray) -> dict[str, float]:
        return {"auc": auc(native[rows], grades[rows])}

    bounds = speaker_intervals(metric, english["client_id"], native, 500, 1)["auc"]
    print(f"natives against others, by clip: {metric(np.arange(len(native)))['auc']:.3f} {say_interval(bounds)}")
    table = english.assign(native=native, grade=grades)
    speakers = table.groupby("client_id").agg(native=("native", "first"), grade=("grade", "mean"))
    area = auc(speakers["native"].to_numpy(), speakers["grade"].to_numpy())
    print(f"by speaker: {area:.3f}, {speakers['native'].sum()} natives, {(~speakers['native']).sum()} others")
    spread = table.loc[native, "grade"].std()
    table["z"] = (table["grade"] - table.loc[native, "grade"].mean()) / spread
    for accent, rows in sorted(table.groupby("accents"), key=lambda pair: -len(pair[1])):
        by_speaker = rows.groupby("client_id")["z"].mean()
        error = 1.96 * by_speaker.std(ddof=1) / np.sqrt(len(by_speaker)) if len(by_speaker) > 2 else np.nan
        kind = "native" if rows["native"].iloc[0] else "other"
        print(f"| {accent} | {kind} | {len(rows)} | {len(by_speaker)} | {by_speaker.mean():+.2f} ± {error:.2f} |")


def grade_by_folds(heard: list[Tensor], native: np.ndarray, speakers: np.ndarray, others: Bank) -> np.ndarray:
    """Every clip's grade by natives' banks without its speaker."""
    names = sorted(set(speakers[native]))
    fold = pd.Series(speakers).map({name: number % FOLDS for number, name in enumerate(names)}).to_numpy()
    far = [others.nearness(clip) for clip in heard]
    sums, counts = np.zeros(len(heard)), np.zeros(len(heard))
    for number in range(FOLDS):
        bank = Bank(
            torch.cat([thinned(heard[row], FRAMES_OF_CLIP) for row in np.flatnonzero(native & (fold != number))])
        )
        for row in np.flatnonzero(~native | (fold == number)):
            sums[row] += float((bank.nearness(heard[row]) - far[row]).mean())
            counts[row] += 1
    return sums / counts


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "speed":
        speed(Path(arguments[0] if arguments else "models"))
    else:
        accents(Path(arguments[0]))
