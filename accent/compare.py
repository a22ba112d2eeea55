"""Compare two runs on the clips that both tested, with intervals over the speakers of each class."""

import argparse
import json

from rich.console import Console
from rich.table import Table

from accent.core.errors import InputError, run
from accent.evaluation.compare import compare
from accent.evaluation.revisions import read_predictions


def print_table(found: dict, names: tuple[str, str], console: Console) -> None:
    """The comparison as people read it."""
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    for heading in ("A", "B", "B - A", "95% interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("B is")
    for name, row in found["metrics"].items():
        interval = "-" if row["low"] is None else f"{row['low']:+.3f} to {row['high']:+.3f}"
        numbers = (f"{row['a']:.3f}", f"{row['b']:.3f}", f"{row['difference']:+.3f}")
        table.add_row(name.replace("_", " "), *numbers, interval, row["verdict"])
    console.print(table)
    left_out = found["left_out"]
    console.print(
        f"A {names[0]}, B {names[1]}: {found['clips']:,} clips of {found['speakers']:,} speakers that both tested; "
        f"left out: {left_out['a']:,} that only A tested, {left_out['b']:,} that only B did.",
        highlight=False,
        markup=False,
    )
    if found["too_few"]:
        console.print(f"No intervals: {found['too_few']}.", highlight=False, markup=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("a", "b"):
        parser.add_argument(name, metavar=f"REV_{name.upper()}", help="experiment, branch, tag, commit, or workspace")
    parser.add_argument("--resamples", type=int, default=1000, help="of the speakers (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the resamples (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    args = parser.parse_args()
    if args.resamples < 1:
        raise InputError(f"--resamples: {args.resamples}, must be at least 1")

    names = (args.a, args.b)
    found = compare(*map(read_predictions, names), args.resamples, args.seed)
    if args.json:
        print(json.dumps(dict(zip("ab", names, strict=True)) | found))
    else:
        print_table(found, names, Console())


if __name__ == "__main__":
    run(main)
