"""How far re-encoding moves the scores of models: the evidence for the strength of the noise in augmentation.

    dvc exp run -S train.augment.noise_db=30     # and so on; copy models/ to a folder of its own after each
    python -m benchmarks.noise FOLDER...

Each FOLDER is a model's. Prints for each what the audit measures (`accent.evaluation.robustness`): choose by the
validation clips; the test clips' lines say what the choice is worth. The splits must be
those that the models were trained with.
"""

import argparse
from pathlib import Path

from accent.core.errors import run
from accent.core.params import load_params
from accent.core.parts import read_index
from accent.core.tables import read_frame
from accent.corpus.recordings import draw_audio
from accent.evaluation.confounds import AuditParams
from accent.evaluation.robustness import score_changes, stability

COLUMNS = ("mean_change", "p95_change", "flipped", "answered_flipped", "newly_refused")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--clips", type=Path, default=Path("data/clips"))
    parser.add_argument("--waveforms", type=Path, default=Path("data/waveforms"))
    parser.add_argument("--splits", type=Path, default=Path("data/splits.parquet"))
    args = parser.parse_args()

    params = load_params("audit", AuditParams)
    splits = read_frame(args.splits, ["clip_id", "split"])
    index = read_index(args.waveforms).merge(splits, on="clip_id", validate="one_to_one")
    for split, purpose in {"valid": "to choose by", "test": "what the choice is worth"}.items():
        print(f"\n{split} clips, {purpose}\n| model | change | {' | '.join(COLUMNS)} |\n{'|---' * 7}|")
        clips = draw_audio(args.clips, index[index["split"] == split], params.max_clips, params.seed)
        for folder in args.models:
            for change, found in stability(score_changes(clips, folder, params.seed)).items():
                cells = ["-" if found[name] is None else f"{found[name]:.3f}" for name in COLUMNS]
                print(f"| {folder} | {change} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    run(main)
