"""Score your own recordings of several levels, and measure how well the scores order the levels."""

from accent.core.arguments import parse_paths
from accent.core.errors import InputError, run
from accent.core.outputs import output_folder, write_json
from accent.core.params import load_params
from accent.evaluation.practice import PracticeParams, find_recordings, practice_metrics, score_recordings
from accent.scoring.picture import draw_levels
from accent.scoring.reference import NATIVE_HIGH, NATIVE_LOW
from accent.scoring.scorer import Scorer


def main() -> None:
    args = parse_paths(__doc__, "model", "practice", "metrics", "pictures")

    params = load_params("practice", PracticeParams)
    recordings = find_recordings(args.practice, params.levels)
    scorer = Scorer.load(args.model)
    table = score_recordings(scorer, recordings)
    by = "grade" if scorer.grades else "log_odds"  # of refused recordings too: what matters here is the order
    heard = table.dropna(subset=["log_odds", by])
    for level in params.levels:
        if level not in set(heard["level"]):
            raise InputError(f"{args.practice}/{level}: no recording of it can be scored. See 'accent score'")
    target = scorer.target_name
    metrics = {"target": target, "by": by} | practice_metrics(heard, by, params)
    metrics["not_scored"] = len(table) - len(heard)
    native = scorer.reference.native_log_odds
    range_ = (native[NATIVE_LOW], native[NATIVE_HIGH])
    if scorer.grades:
        range_ = scorer.grader.reference(target).bounds(heard["speech_s"].median())
    with output_folder(args.pictures) as partial:
        table.to_csv(partial / "recordings.csv", index=False)
        figure = draw_levels(heard, params.levels, range_, target, by)
        figure.savefig(partial / "levels.png", facecolor="white")
    write_json(args.metrics, metrics)
    means = ", ".join(f"{level} {mean:.2f}" for level, mean in metrics["mean"].items())
    print(
        f"{args.metrics}: {len(heard)} recordings, mean {by} for {target}: {means}; "
        f"{metrics['pairs_ordered_rightly']:.0%} of the pairs ordered rightly, {metrics['unsure']} unsure, "
        f"{metrics['not_scored']} not scored"
    )


if __name__ == "__main__":
    run(main)
