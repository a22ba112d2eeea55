"""Grade test clips and probes for the target: natives against all others, reliability, and stability over channels."""

import torch

from accent.audio.waveform import DecodeParams
from accent.core.arguments import parse_paths
from accent.core.errors import run
from accent.core.outputs import output_folder, write_json
from accent.core.params import load_params, read_json
from accent.corpus.recordings import draw_audio
from accent.corpus.selection import EvaluateParams
from accent.corpus.splits import clips_by_voice
from accent.evaluation.grades import (
    GradeParams,
    channel_shifts,
    draw_clips,
    grade_clips,
    grade_metrics,
    grade_table,
    say_grades,
)
from accent.grading.grader import EAR, Grader
from accent.grading.store import CARD, SOURCE, EarCard
from accent.scoring.picture import draw_grades
from accent.scoring.refusal import ScoreParams


def main() -> None:
    args = parse_paths(__doc__, "model", "clips", "waveforms", "splits", "metrics", "pictures")

    torch.set_num_threads(1)  # clips of some seconds are too short to be shared among cores
    params, intervals = load_params("grade", GradeParams), load_params("evaluate", EvaluateParams)
    target, decode = load_params("score", ScoreParams).target, load_params("decode", DecodeParams)
    grader = Grader.load(args.model)
    reference = grader.reference(target)
    clips = draw_clips(clips_by_voice(args.splits, args.waveforms), params)
    heard = grade_clips(args.waveforms, grader, target, clips)
    table = grade_table(clips, heard, target, reference)
    untouched = draw_audio(args.clips, clips[clips["label"] == target], params.channel_clips, params.seed)

    metrics = grade_metrics(table, clips["label"], heard, target, intervals) | {
        "channels": channel_shifts(untouched, grader, target, decode, params.seed),
        "agreement_with_teacher": read_json(args.model / EAR / CARD, EarCard, SOURCE).agreement,
    }
    with output_folder(args.pictures) as folder:
        table.to_csv(folder / "grades.csv", index=False)
        picture = draw_grades(table, target, reference.bounds(table["speech_s"].median()))
        picture.savefig(folder / "grades.png", facecolor="white")
    write_json(args.metrics, metrics)
    for line in say_grades(metrics):
        print(f"{args.metrics}: {line}")


if __name__ == "__main__":
    run(main)
