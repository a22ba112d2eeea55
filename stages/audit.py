"""Audit the model: compare it with classifiers that hear no speech, and re-encode clips and see if scores move."""

from accent.core.arguments import parse_paths
from accent.core.errors import run
from accent.core.outputs import output_folder, write_json
from accent.core.params import load_params
from accent.core.parts import join_index
from accent.core.tables import read_frame
from accent.corpus.recordings import draw_audio
from accent.corpus.selection import EvaluateParams
from accent.evaluation.confounds import AuditParams, audit_measures, audit_metadata, say_comparison
from accent.evaluation.predictions import read_test
from accent.evaluation.robustness import score_changes, stability
from accent.scoring.picture import draw_audit
from accent.scoring.scorer import Scorer


def main() -> None:
    args = parse_paths(__doc__, "model", "clips", "waveforms", "splits", "predictions", "metrics", "pictures")

    params, intervals = load_params("audit", AuditParams), load_params("evaluate", EvaluateParams)
    scorer = Scorer.load(args.model, grades=False)
    target = scorer.reference.score.target
    splits = read_frame(args.splits)
    train = join_index(splits.loc[splits["split"].isin(["train", "valid"]), ["clip_id"]], args.waveforms)
    test = read_test(args.predictions, args.waveforms, scorer.card.classes)
    drawn = draw_audio(args.clips, test.clips, params.max_clips, params.seed)

    scores = score_changes(drawn, args.model, params.seed)
    metrics = {
        **audit_measures(train, test, args.waveforms, params, intervals),
        "gender_and_age": audit_metadata(train, test, target, intervals, params.seed),
        "channels": stability(scores),
    }
    with output_folder(args.pictures) as folder:
        scores.to_csv(folder / "channels.csv", index=False)
        draw_audit(metrics).savefig(folder / "audit.png", facecolor="white")
    write_json(args.metrics, metrics)
    print(f"{args.metrics}: {say_comparison(metrics['confounds'])}")


if __name__ == "__main__":
    run(main)
