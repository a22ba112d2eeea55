"""What `score.min_confidence` costs and gains, from the runs that benchmarks.folds keeps: choose on validation clips.

    python -m benchmarks.confidence FOLDER [NAME ...]

FOLDER is that of `benchmarks.folds --folder FOLDER`; NAMEs are settings there (default: the default).
"""

import argparse
from pathlib import Path

import numpy as np
import yaml

from accent.core.errors import run
from accent.evaluation.headline import evaluate_abstention
from accent.evaluation.predictions import Predictions
from benchmarks.folds import place_of, read
from benchmarks.settings import DEFAULT

CLOSE = "too close to call"  # the kind of reason that min_confidence gives
LIMITS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=[DEFAULT], metavar="NAME")
    args = parser.parse_args()
    for name in args.names:
        params = yaml.safe_load((place_of(args.folder, name, 0) / "params.yaml").read_text(encoding="utf-8"))
        target = params["score"]["target"]
        runs = read(args.folder, name)
        for split, purpose in {"valid": "to choose by", "test": "what the choice is worth"}.items():
            rows = runs[split]
            probability = rows[f"probability_{target}"]
            confidence = np.maximum(probability, 1 - probability)
            of_recording = rows["refused"].where(rows["refused"] != CLOSE, "")
            print(f"\n{name}, {split} clips, {purpose}: {len(rows)}; other reasons than closeness: ", end="")
            print(
                ", ".join(f"{count} {kind}" for kind, count in of_recording[of_recording != ""].value_counts().items())
            )
            print(f"| min_confidence | refused | of {target} | error of answered |\n|---|---|---|---|")
            for limit in LIMITS:
                refused = of_recording.where((of_recording != "") | (confidence >= limit), CLOSE)
                found = evaluate_abstention(Predictions.of_table(rows.assign(refused=refused)), target)
                shares = (found["refused"], found["natives_refused"], found["error_of_answered"])
                print(f"| {limit:.2f} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")


if __name__ == "__main__":
    run(main)
