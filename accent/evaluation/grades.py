"""Evaluation of the grade: natives against others, reliability, and stability over channels."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soxr
from pydantic import NonNegativeInt, PositiveInt
from tqdm import tqdm

from accent.audio.reencode import CHANGES, decoded, wav
from accent.audio.waveform import AudioParams, decode_clip
from accent.core.errors import Reject
from accent.core.params import Seed, params
from accent.core.parts import Parts
from accent.corpus.common_voice import gender_of
from accent.corpus.selection import EvaluateParams, seeded_hash
from accent.corpus.splits import PROBE
from accent.evaluation.intervals import say_interval, speaker_intervals, too_few_speakers
from accent.evaluation.metrics import auc
from accent.grading.build import draw_balanced
from accent.grading.encoder import FRAME_SECONDS
from accent.grading.grade import BELOW, NEAR, Reference, judge
from accent.grading.grader import Grader

HALVES_S = (0.5, 1.0, 2.0, 4.0)  # of speech in each of the two parts that are compared
MIN_PAIRS = 10
PIECE_SECONDS = 0.5


def in_another_order(waveform: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """The waveform's half seconds in a random order."""
    pieces = np.array_split(waveform, max(round(len(waveform) / rate / PIECE_SECONDS), 1))
    return np.concatenate([pieces[place] for place in rng.permutation(len(pieces))])


# No change of accent. The shifts of pitch are in the range of a voice's own day; by resampling, which changes the pace
# too, since a phase vocoder blurs: two semitones up and down again move a grade almost as far as one of the two.
SAME_ACCENT: dict[str, Callable] = {
    **{
        f"{name}_2_semitones": lambda waveform, rate, rng, factor=factor: wav(
            soxr.resample(waveform, rate * factor, rate), rate
        )
        for name, factor in (("up", 2 ** (2 / 12)), ("down", 2 ** (-2 / 12)))
    },
    "half_seconds_in_another_order": lambda waveform, rate, rng: wav(in_another_order(waveform, rate, rng), rate),
}


@params
class GradeParams:
    clips: PositiveInt
    channel_clips: NonNegativeInt
    seed: Seed


def draw_clips(clips: pd.DataFrame, params: GradeParams) -> pd.DataFrame:
    """At most `params.clips` clips of each class of the test split, and of each probe; `clips` has `split`, `label`."""
    tested = clips[clips["split"].isin(["test", PROBE])]
    groups = [rows for _, rows in tested.groupby(["split", "label"])]
    drawn = [rows.iloc[draw_balanced(rows, np.zeros(len(rows)), params.clips, params.seed)] for rows in groups]
    return pd.concat(drawn, ignore_index=True)


def grade_clips(waveforms: Path, grader: Grader, target: str, rows: pd.DataFrame) -> list[np.ndarray]:
    """The frames' grades of the clips that `rows` of the index of `waveforms` name."""
    parts = Parts(waveforms, rows)
    numbers = tqdm(range(len(rows)), unit="clip", desc="grade", mininterval=1)
    return [grader.hear(parts[row], target).values for row in numbers]


def grade_table(rows: pd.DataFrame, heard: list[np.ndarray], target: str, reference: Reference) -> pd.DataFrame:
    """A row a clip with speech: its grade, the interval, the verdict, and `z`, in natives' SDs from their mean."""
    found = []
    for row, values in zip(rows.to_dict("records"), heard, strict=True):
        if not len(values):
            continue
        grade = judge(values, target, reference)
        kept = {name: row[name] for name in ("clip_id", "client_id", "label", "gender")}
        kept |= {"grade": grade.grade, "low": grade.low, "high": grade.high, "percentile": grade.percentile}
        z = (grade.grade - reference.centre) / reference.sd(grade.speech_s)
        found.append(kept | {"z": z, "verdict": grade.verdict(), "speech_s": grade.speech_s})
    return pd.DataFrame(found)


def grade_metrics(
    table: pd.DataFrame, labels: Sequence[str], heard: list[np.ndarray], target: str, intervals: EvaluateParams
) -> dict:
    """What `metrics/grade.json` has of the clips as they are: verdicts, natives against all others, reliability.

    `table` is of `grade_table`; `heard` has the frames' grades of all clips, whose `labels` are beside it.
    """
    native = table[table["label"] == target]
    natives_heard = [values for values, label in zip(heard, labels, strict=True) if label == target]
    return {
        "target": target,
        "natives": say_verdicts(native),
        "against": natives_against(table, target, intervals.resamples, intervals.seed),
        "by_gender": by_gender(native),
        "split_half": {"natives": split_half(natives_heard), "all": split_half(heard)},
    }


def say_grades(metrics: dict) -> list[str]:
    """Lines that say what `grade_metrics` found: one for each of the others, and one of the natives."""
    lines = []
    for name, found in metrics["against"].items():
        interval = say_interval(found["interval"]["auc_natives_against"])
        area = f"ROC AUC {found['auc_natives_against']:.3f} {interval}"
        lines.append(f"natives of {metrics['target']} against {name}: {area}; {found['clips']} clips")
    natives, verdicts = metrics["natives"], metrics["natives"]["verdicts"]
    below = verdicts.get(BELOW, 0.0) + verdicts.get(NEAR, 0.0)
    return [*lines, f"{natives['clips']} natives' clips, {below:.0%} of them below their range"]


def natives_against(table: pd.DataFrame, target: str, resamples: int, seed: int) -> dict[str, dict]:
    """For every other class and probe: AUC of natives against it, and the share of each verdict, with intervals."""
    found = {}
    native = table[table["label"] == target]
    for name, others in table[table["label"] != target].groupby("label"):
        both = pd.concat([native, others], ignore_index=True)
        positive, grades = (both["label"] == target).to_numpy(), both["grade"].to_numpy()

        def metric(rows, positive=positive, grades=grades):
            return {"auc_natives_against": auc(positive[rows], grades[rows])}

        found[name] = {
            **metric(np.arange(len(both))),
            "interval": speaker_intervals(metric, both["client_id"], positive, resamples, seed),
            "too_few": too_few_speakers(both["client_id"], both["label"]),
            **say_verdicts(others),
        }
    return found


def say_verdicts(table: pd.DataFrame) -> dict:
    """Summary of a table: numbers of clips and speakers, mean place among natives, and the share of each verdict."""
    shares = table["verdict"].value_counts(normalize=True)
    return {
        "clips": len(table),
        "speakers": table["client_id"].nunique(),
        "mean_z": float(table["z"].mean()),
        "verdicts": {name: float(share) for name, share in sorted(shares.items())},
    }


def by_gender(table: pd.DataFrame) -> dict[str, dict]:
    """The natives by the gender that they state."""
    genders = table["gender"].map(gender_of).replace("", "not stated")
    return {name: say_verdicts(rows) for name, rows in table.groupby(genders)}


def split_half(heard: list[np.ndarray]) -> dict[str, dict]:
    """Correlation over clips of the grades of two parts of so many seconds of speech, one after the other."""
    found = {}
    for seconds in HALVES_S:
        size = round(seconds / FRAME_SECONDS)
        pairs = np.array([(v[:size].mean(), v[size : 2 * size].mean()) for v in heard if len(v) >= 2 * size])
        enough = len(pairs) >= MIN_PAIRS
        found[f"{seconds:g}_s"] = {
            "correlation": float(np.corrcoef(pairs.T)[0, 1]) if enough else None,
            "clips": len(pairs),
        }
    return found


def channel_shifts(clips: pd.DataFrame, grader: Grader, target: str, audio: AudioParams, seed: int) -> dict[str, dict]:
    """The shift of clips' grades by each change of the recording, in natives' SDs (`clips`: `clip_id`, `audio`)."""
    reference = grader.reference(target)

    def grade(take: bytes) -> tuple[float, float]:
        try:
            values = grader.hear(decode_clip(take, audio)[0], target).values
        except Reject:
            values = np.zeros(0)
        return (float(values.mean()), len(values) * FRAME_SECONDS) if len(values) else (np.nan, 1.0)

    moved: dict[str, list[float]] = {name: [] for name in (*CHANGES, *SAME_ACCENT)}
    for clip_id, recording in tqdm(list(clips[["clip_id", "audio"]].itertuples(index=False)), desc="channels"):
        waveform, rate = decoded(recording)
        before, seconds = grade(recording)
        rng = np.random.default_rng(seeded_hash(seed, clip_id))
        for name, change in (CHANGES | SAME_ACCENT).items():
            after, _ = grade(change(waveform, rate, rng))
            moved[name].append((after - before) / reference.sd(seconds))
    found = {}
    for name, shifts in moved.items():
        known = np.array([shift for shift in shifts if not np.isnan(shift)])
        found[name] = {"clips": len(known), "mean_shift": None, "sd_of_shift": None}
        if len(known):
            found[name] |= {"mean_shift": float(known.mean()), "sd_of_shift": float(known.std())}
    return found
