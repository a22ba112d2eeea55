"""Propose clips for `data/exclusions.csv`: labels that folds trained without them contradict, and bad recordings."""

import argparse
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from accent.core.errors import InputError, run
from accent.core.outputs import output_file
from accent.core.params import load_params
from accent.core.parts import INDEX, read_index
from accent.corpus.exclusions import write_exclusions
from accent.evaluation.label_errors import (
    KINDS,
    MIN_LOUDNESS_DBFS,
    join_folds,
    label_candidates,
    rank,
    recording_candidates,
)
from accent.evaluation.revisions import read_predictions
from accent.scoring.refusal import ScoreParams


def print_summary(ranked: pd.DataFrame, index: pd.DataFrame, console: Console) -> None:
    """How many candidates there are of each kind and class."""
    labels = index.set_index("clip_id")["label"]
    counts = pd.crosstab(ranked["kind"], ranked["clip_id"].map(labels))
    counts = counts.reindex(index=KINDS, columns=sorted(labels.unique()), fill_value=0)
    table = Table("kind", box=None, pad_edge=False)
    for heading in (*counts, "all", "of all clips"):
        table.add_column(heading, justify="right")
    for kind, row in counts.iterrows():
        table.add_row(kind, *(f"{count:,}" for count in (*row, row.sum())), f"{row.sum() / len(index):.1%}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revisions", nargs="+", metavar="REVISION", help="experiment, branch, tag or commit of a fold")
    parser.add_argument("--output", type=Path, default=Path("data/cull.csv"), help="(default: %(default)s)")
    parser.add_argument("--waveforms", type=Path, default=Path("data/waveforms"), help="(default: %(default)s)")
    parser.add_argument(
        "--min-loudness-dbfs", type=float, default=MIN_LOUDNESS_DBFS, help="of the speech (default: %(default)s)"
    )
    args = parser.parse_args()

    params = load_params("score", ScoreParams)
    index = read_index(args.waveforms)
    scores = join_folds({revision: read_predictions(revision) for revision in args.revisions})
    here = scores["clip_id"].isin(index["clip_id"])
    if not here.any():
        raise InputError(
            f"{args.waveforms / INDEX}: has none of the {len(scores):,} clips that {', '.join(args.revisions)} tested. "
            "Name runs on the data that stands here"
        )
    scores = scores[here]
    ranked = rank(pd.concat([label_candidates(scores), recording_candidates(index, params, args.min_loudness_dbfs)]))
    with output_file(args.output) as partial:
        write_exclusions(partial, list(ranked[["clip_id", "reason"]].itertuples(index=False, name=None)))
    print_summary(ranked, index, Console())
    print(
        f"{args.output}: {len(ranked):,} candidates among {len(index):,} clips; of those {len(index) - len(scores):,} "
        f"have no score out of fold; {(~here).sum():,} scores are of clips that are no longer here. Listen to the "
        "candidates, and copy the lines of those that should go into data/exclusions.csv"
    )


if __name__ == "__main__":
    run(main)
