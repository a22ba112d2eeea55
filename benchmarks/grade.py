"""The grade: its speed for a warm take of 5 s on one core, and English accents by folds of speakers.

    python -m benchmarks.grade speed [MODEL]
    python -m benchmarks.grade accents WAVEFORMS [MODEL [TEACHER]]

The second takes the waveforms of the pre-training (`pretraining/data/waveforms`) and grades every English clip that
states its speaker and accent: natives by banks without the speakers of their fold, the others by the bank of all folds
in turn. Banks of other languages are the shipped ones. Beside it the classifier's probability of English, and, with a
folder of the teacher's weights, the grade by its 4th layer in float and 30 s of context, whose bank of other languages
has three clips of every other locale of WAVEFORMS.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from accent.audio.waveform import FULL_SCALE, SAMPLE_RATE, read_recording
from accent.core.errors import run
from accent.core.parts import Parts, read_index
from accent.evaluation.intervals import say_interval, speaker_intervals
from accent.evaluation.metrics import auc
from accent.grading.build import STEP, hear_clips, unit_projection
from accent.grading.grade import Bank, thinned
from accent.grading.grader import Grader
from accent.grading.store import load_ear, load_shipped
from accent.pretraining.banks import UNKNOWN, NativesFilter, is_native, other_side, said_by
from accent.pretraining.teacher import TeachParams, load_teacher
from accent.scoring.scorer import Scorer

ENCODER = Path("models/encoder")
FOLDS, FRAMES_OF_CLIP, REPEATS, SECONDS = 4, 40, 20, 5
TEACH = {"layers": (4,), "context_seconds": 30, "batch_size": 1}
TEACHER_CLIPS, TEACHER_FRAMES = 3, 60  # of every other locale; of each clip
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


def accents(waveforms: Path, model: Path, teacher: str) -> None:
    torch.set_num_threads(1)
    index = read_index(waveforms)
    english = index[(index["label"] == "en") & (index["accents"] != "")]
    english = english[~english["client_id"].str.startswith(UNKNOWN)].reset_index(drop=True)
    native, speakers = is_native(english, "en", NATIVE), english["client_id"].to_numpy()
    ear, _ = load_ear(ENCODER)
    others = other_side(load_shipped(ENCODER), "en")
    grades = grade_by_folds(hear_clips(waveforms, ear, english), native, speakers, others)
    clips, scorer = Parts(waveforms, english), Scorer.load(model, grades=False)
    scored = [scorer.score(clips[row] / np.float32(FULL_SCALE)) for row in range(len(english))]
    found = {"grade": grades, "classifier": np.array([score.probabilities["english"] for score in scored])}
    if teacher:
        found["teacher"] = grade_by_teacher(teacher, waveforms, index, english, native)
    neither = native | ~english["accents"].str.contains("|".join(NATIVE.accents)).to_numpy()
    for name, values in found.items():
        say_areas(name, values, native, speakers)
        say_areas(
            f"{name}, without others who state one of the natives' accents too",
            *(of[neither] for of in (values, native, speakers)),
        )
    spread = grades[native].std(ddof=1)
    table = english.assign(native=native, z=(grades - grades[native].mean()) / spread)
    for accent, rows in sorted(table.groupby("accents"), key=lambda pair: -len(pair[1])):
        by_speaker = rows.groupby("client_id")["z"].mean()
        error = 1.96 * by_speaker.std(ddof=1) / np.sqrt(len(by_speaker)) if len(by_speaker) > 2 else np.nan
        kind = "native" if rows["native"].iloc[0] else "other"
        print(f"| {accent} | {kind} | {len(rows)} | {len(by_speaker)} | {by_speaker.mean():+.2f} ± {error:.2f} |")


def say_areas(name: str, values: np.ndarray, native: np.ndarray, speakers: np.ndarray) -> None:
    """Print the ROC AUC of natives against others, by clip and by speaker."""

    def metric(rows: np.ndarray) -> dict[str, float]:
        return {"auc": auc(native[rows], values[rows])}

    bounds = speaker_intervals(metric, pd.Series(speakers), native, 500, 1)["auc"]
    whole = metric(np.arange(len(native)))["auc"]
    means = pd.DataFrame({"native": native, "value": values}).groupby(speakers).mean()
    area = auc(means["native"].to_numpy() > 0.5, means["value"].to_numpy())
    print(f"{name}: by clip {whole:.3f} {say_interval(bounds)}; by speaker {area:.3f}; {len(native)} clips")


def grade_by_teacher(
    weights: str, waveforms: Path, index: pd.DataFrame, english: pd.DataFrame, native: np.ndarray
) -> np.ndarray:
    """The same by all dimensions of the teacher's 4th layer."""
    teacher = load_teacher(TeachParams(teacher=weights, **TEACH), "cpu")
    foreign = index[index["label"] != "en"].groupby("label").head(TEACHER_CLIPS)

    def hear_all(rows: pd.DataFrame) -> list[Tensor]:
        parts = Parts(waveforms, rows)
        return [said_by(teacher, parts[row])[::STEP].float() for row in range(len(rows))]

    heard, others = hear_all(english), torch.cat([thinned(clip, TEACHER_FRAMES) for clip in hear_all(foreign)])
    of_natives = [thinned(clip, FRAMES_OF_CLIP) for clip, known in zip(heard, native, strict=True) if known]
    weight, bias = unit_projection(torch.cat([*of_natives, others]), others.shape[1])
    heard = [torch.nn.functional.normalize(clip @ weight.T + bias, dim=1) for clip in heard]
    bank = Bank(torch.nn.functional.normalize(others @ weight.T + bias, dim=1))
    return grade_by_folds(heard, native, english["client_id"].to_numpy(), bank)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    of_speed, of_accents = commands.add_parser("speed"), commands.add_parser("accents")
    of_accents.add_argument("waveforms", type=Path)
    for command in (of_speed, of_accents):
        command.add_argument("model", type=Path, nargs="?", default=Path("models"))
    of_accents.add_argument("teacher", nargs="?", default="")
    args = parser.parse_args()
    if args.what == "speed":
        speed(args.model)
    else:
        accents(args.waveforms, args.model, args.teacher)


if __name__ == "__main__":
    run(main)
