"""Grade test clips and probes for the target: natives against all others, reliability, and stability over channels."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from accent.audio.waveform import DecodeParams
from accent.core.errors import run
from accent.core.outputs import output_folder, write_json
from accent.core.params import load_params, read_json
from accent.core.parts import join_index
from accent.core.tables import read_frame
from accent.corpus.recordings import draw_audio
from accent.corpus.selection import EvaluateParams
from accent.corpus.splits import PROBE
from accent.evaluation.grades import (
    GradeParams,
    by_gender,
    channel_shifts,
    grade_clips,
    grade_table,
    natives_against,
    say_verdicts,
    split_half,
)
from accent.evaluation.intervals import say_interval
from accent.grading.build import draw_balanced
from accent.grading.grader import EAR, Grader
from accent.grading.store import CARD, SOURCE, EarCard
from accent.scoring.picture import draw_grades
from accent.scoring.refusal import ScoreParams


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("waveforms", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("metrics", type=Path)
    parser.add_argument("pictures", type=Path, help="folder for the table of grades and the picture")
    args = parser.parse_args()

    torch.set_num_threads(1)  # clips of some seconds are too short to be shared among cores
    params, intervals = load_params("grade", GradeParams), load_params("evaluate", EvaluateParams)
    target, decode = load_params("score", ScoreParams).target, load_params("decode", DecodeParams)
    grader = Grader.load(args.model)
    reference = grader.reference(target)
    index = join_index(read_frame(args.splits, ["clip_id", "split"]), args.waveforms)
    tested = index[index["split"].isin(["test", PROBE])]
    parts = [
        rows.iloc[draw_balanced(rows, np.zeros(len(rows)), params.clips, params.seed)]
        for _, rows in tested.groupby(["split", "label"])
    ]
    rows = pd.concat(parts, ignore_index=True)
    heard = grade_clips(args.waveforms, grader, target, rows)
    table = grade_table(rows, heard, target, reference)
    native = table["label"] == target
    natives = [values for values, label in zip(heard, rows["label"], strict=True) if label == target]
    untouched = draw_audio(args.clips, rows[rows["label"] == target], params.channel_clips, params.seed)
    metrics = {
        "target": target,
        "natives": say_verdicts(table[native]),
        "against": natives_against(table, target, intervals.resamples, intervals.seed),
        "by_gender": by_gender(table[native]),
        "split_half": {"natives": split_half(natives), "all": split_half(heard)},
        "channels": channel_shifts(untouched, grader, target, decode, params.seed),
        "agreement_with_teacher": read_json(args.model / EAR / CARD, EarCard, SOURCE).agreement,
    }
    with output_folder(args.pictures) as folder:
        table.to_csv(folder / "grades.csv", index=False)
        picture = draw_grades(table, target, reference.bounds(table["speech_s"].median()))
        picture.savefig(folder / "grades.png", facecolor="white")
    write_json(args.metrics, metrics)
    for name, found in metrics["against"].items():
        area = found["auc_natives_against"]
        print(
            f"{args.metrics}: natives of {target} against {name}: ROC AUC {area:.3f} "
            f"{say_interval(found['interval']['auc_natives_against'])}; {found['clips']} clips"
        )
    below = metrics["natives"]["verdicts"].get("below", 0.0) + metrics["natives"]["verdicts"].get("near", 0.0)
    print(f"{args.metrics}: {metrics['natives']['clips']} natives' clips, {below:.0%} of them below their range")


if __name__ == "__main__":
    run(main)
