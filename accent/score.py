"""Score recordings with the trained model.

accent score take.m4a more-takes/
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from accent.audio.decoder import open_audio
from accent.core.errors import InputError, Reject, printable, run
from accent.core.outputs import output_file
from accent.scoring.refusal import UNPROVEN
from accent.scoring.scorer import UNSURE, Score, Scorer, Window

# Names of files that are meant to be recordings: in a folder, such a file is an error where it cannot be read. Any
# other file is a take where it can be read, and skipped where not.
AUDIO_SUFFIXES = (
    *(".3gp", ".aac", ".aif", ".aifc", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".mka", ".mp3", ".mp4"),
    *(".oga", ".ogg", ".opus", ".qta", ".w64", ".wav", ".webm", ".wma"),
)
BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "12345678"  # where the terminal has no others
BARS_SHOWN = 16
MIN_NAME = 12  # columns for the names of takes, with fewer of which the table becomes a list


class Found(NamedTuple):
    """The files to score, what is wrong with the arguments, and how many files of which suffix are no recordings."""

    takes: list[Path]
    wrong: list[str]
    skipped: Counter[str]


def find_takes(paths: Iterable[Path]) -> Found:
    """The files named, and in folders, sorted, those that are audio by their content, or by their name should be.

    Hidden files and folders are passed over.
    """
    found = Found([], [], Counter())
    for path in paths:
        if not path.is_dir():
            found.takes.append(path)
            continue
        before = len(found.takes)
        for file in _files(path):
            if file.suffix.lower() in AUDIO_SUFFIXES or _is_audio(file):
                found.takes.append(file)
            else:
                found.skipped[file.suffix or "no suffix"] += 1
        if len(found.takes) == before:
            found.wrong.append(f"{path}: no recording in this folder")
    return found


def _files(folder: Path) -> list[Path]:
    files = []
    for place, folders, names in os.walk(folder):  # which follows no link to a folder, so no loop of them holds it up
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(place) / name for name in names if not name.startswith(".")]
    return sorted(files)


def _is_audio(path: Path) -> bool:
    try:
        if path.is_file():
            open_audio(path)
            return True
    except Reject as reason:
        return not str(reason).startswith(("not audio", "empty"))
    except OSError:
        return True  # what is wrong with it is said where it is scored
    return False


def bars(windows: list[Window], levels: str = BARS) -> str:
    """A bar for each window, or for each of `BARS_SHOWN` groups of them: the first of `levels` is 0, the last is 1."""
    groups = np.array_split([window.probability for window in windows], min(len(windows), BARS_SHOWN) or 1)
    return "".join(levels[min(int(group.mean() * len(levels)), len(levels) - 1)] for group in groups if len(group))


def print_table(scores: list[tuple[Path, Score]], target: str, console: Console) -> None:
    """The scores as people read them, and below them why some are unsure; on a narrow screen a list instead."""
    names = [path.name for path, _ in scores]
    shown = [printable(path.name if names.count(path.name) == 1 else str(path)) for path, _ in scores]
    levels = BARS if _can_show(BARS, console) else PLAIN_BARS
    headings = ["take", "verdict", target, "natives below", "speech", "window by window"]
    rows = []
    for name, (_, score) in zip(shown, scores, strict=True):
        answers = ["", ""] if score.verdict == UNSURE else [f"{score.probability:.0%}", f"{score.percentile:.0f}%"]
        rows.append([name, score.verdict, *answers, f"{score.speech_s:.1f} s", bars(score.windows, levels)])
    widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    for_names = console.width - sum(2 + width for width in widths[1:])
    if for_names >= min(widths[0], MIN_NAME):
        table = Table(box=None, pad_edge=False)
        table.add_column("take", overflow="fold")  # the only one that gives way on a narrow screen
        for heading, width in zip(headings[1:], widths[1:], strict=True):
            table.add_column(heading, no_wrap=True, min_width=width)
        for name, verdict, *cells in rows:
            table.add_row(escape(name), _coloured(verdict, target), *cells)
        console.print(table)
    else:
        for name, verdict, *cells in rows:
            console.print(escape(name), highlight=False)
            for heading, cell in zip(headings[1:], [_coloured(verdict, target), *map(escape, cells)], strict=True):
                if cell:
                    console.print(f"  {escape(heading)}: {cell}", highlight=False)
    for name, (_, score) in zip(shown, scores, strict=True):
        for warning in score.warnings:
            console.print(f"[yellow]warning[/] {escape(name)}: {escape(warning)}", highlight=False)
        if score.refused and score.refused.kind != UNPROVEN:
            console.print(f"[yellow]unsure[/] {escape(name)}: {score.reason}", highlight=False)
    low, high = scores[0][1].native_low, scores[0][1].native_high
    console.print(
        f"Of native speakers' test clips, nine in ten got {low:.0%} to {high:.0%}. Probabilities are for equal shares "
        "of the classes.",
        highlight=False,
    )
    console.print(scores[0][1].fitness.sentence, highlight=False, markup=False)


def _coloured(verdict: str, target: str) -> str:
    colour = "yellow" if verdict == UNSURE else "green" if verdict == target else "red"
    return f"[{colour}]{escape(verdict)}[/]"


def _can_show(text: str, console: Console) -> bool:
    try:
        text.encode(console.encoding)
    except UnicodeEncodeError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Score recordings with the trained model.")
    parser.add_argument("takes", type=Path, nargs="+", metavar="FILE_OR_FOLDER")
    parser.add_argument("--model", type=Path, default=Path("models"), help="folder of the model (default: models)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--plot", type=Path, metavar="OUT.png", help="draw the one take: spectrogram, timeline, why")
    args = parser.parse_args()

    takes, wrong, skipped = find_takes(args.takes)
    if args.plot and len(takes) != 1:
        raise InputError(f"--plot draws a single take, and these are {len(takes)}. Name one file")
    scorer = Scorer.load(args.model)
    for line in wrong:
        print(f"error: {printable(line)}", file=sys.stderr)
    if skipped:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(skipped.items()))
        print(printable(f"skipped {skipped.total()} files that are no recordings: {kinds}"), file=sys.stderr)
    sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no reason to fail
    failed = len(wrong)
    scores = []
    for path in takes:
        try:
            with tqdm(desc=printable(path.name), unit="s", unit_scale=True, delay=2, leave=False) as bar:
                score = scorer.score(path, bar.update)
        except (Reject, OSError) as error:
            failed += 1
            reason = str(error.strerror or error) if isinstance(error, OSError) else str(error)
            if args.json:
                print(json.dumps({"file": str(path), "error": reason}))
            else:
                print(printable(f"error: {path}: {reason}"), file=sys.stderr)
            continue
        if args.json:
            print(json.dumps({"file": str(path), **score.as_dict()}))
        scores.append((path, score))
        if args.plot:
            plot(scorer, path, score, args.plot)
    if scores and not args.json:
        print_table(scores, scorer.reference.score.target, Console())
    if failed:
        sys.exit(1)


def plot(scorer: Scorer, take: Path, score: Score, target: Path) -> None:
    """Draw a take into a PNG file."""
    from accent.scoring.picture import draw_take  # matplotlib and captum are slow to import

    with output_file(target) as partial:
        draw_take(scorer, scorer.first_heard(take), score, printable(take.name)).savefig(partial, format="png")


if __name__ == "__main__":
    run(main)
