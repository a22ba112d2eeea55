"""Score one's own recordings of ordered levels, and say how well the model orders them."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import logit

from accent.core.errors import InputError, Reject, printable, run
from accent.core.outputs import output_folder, write_json
from accent.core.params import load_params
from accent.evaluation.practice import PracticeParams, find_recordings, summarise
from accent.scoring.picture import draw_levels
from accent.scoring.reference import NATIVE_HIGH, NATIVE_LOW
from accent.scoring.scorer import UNSURE, Scorer

COLUMNS = [
    *("level", "recording", "verdict", "reason", "error"),
    *("speech_s", "probability", "log_odds", "grade"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("practice", type=Path, help="folder with a folder of recordings for every level")
    parser.add_argument("metrics", type=Path)
    parser.add_argument("pictures", type=Path, help="folder for the table of recordings and the strip plot")
    args = parser.parse_args()

    params = load_params("practice", PracticeParams)
    recordings = find_recordings(args.practice, params.levels)
    scorer = Scorer.load(args.model)
    rows = []
    for level, path in recordings:
        row = {"level": level, "recording": printable(path.name), "verdict": "", "reason": "", "error": ""}
        try:
            score = scorer.score(path)
        except Reject as error:
            rows.append(row | {"error": str(error)})
            continue
        row |= {"verdict": score.verdict, "reason": score.reason, "speech_s": score.speech_s}
        if score.probability is not None:
            odds = float(logit(np.clip(score.probability, 1e-12, 1 - 1e-12)))
            row |= {"probability": score.probability, "log_odds": odds}
        row |= {"grade": score.heard.whole.grade} if score.heard else {}
        rows.append(row)
    table = pd.DataFrame(rows, columns=COLUMNS)
    by = "grade" if scorer.grades else "log_odds"  # of refused recordings too: what matters here is the order
    heard = table.dropna(subset=["log_odds", by])
    for level in params.levels:
        if level not in set(heard["level"]):
            raise InputError(f"{args.practice}/{level}: no recording of it can be scored. See 'python -m accent.score'")

    target = scorer.target_name
    by_level = heard.groupby("level")
    metrics = {
        "target": target,
        "by": by,
        "mean_probability": {level: float(by_level.get_group(level)["probability"].mean()) for level in params.levels},
        **summarise({level: by_level.get_group(level)[by] for level in params.levels}, params),
        "recordings": {level: len(by_level.get_group(level)) for level in params.levels},
        "unsure": int((heard["verdict"] == UNSURE).sum()),
        "not_scored": len(table) - len(heard),
    }
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
