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
from accent.grading.grade import ELSEWHERE
from accent.grading.reading import split_words
from accent.grading.take import GradedWord
from accent.scoring.reference import NATIVE_HIGH, NATIVE_LOW
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
WORDS_SHOWN = 3
GAP = 2  # characters between the columns of a table
MIN_NAME = 12  # columns for the names of takes; where fewer are left, the table becomes a list


class Found(NamedTuple):
    """The files to score, what is wrong with the arguments, and how many files of each suffix are no recordings."""

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


def moments(score: Score, levels: str = BARS) -> str:
    """Bars for the tenths of a second, or for `BARS_SHOWN` groups of them: natives' range begins in the middle."""
    whole, grades = score.graded.whole, [moment.grade for moment in score.graded.timeline]
    size = 2 * (whole.native_high - whole.native_low)
    groups = np.array_split((np.array(grades) - whole.native_low) / size + 0.5, min(len(grades), BARS_SHOWN))
    return "".join(levels[int(np.clip(group.mean() * len(levels), 0, len(levels) - 1))] for group in groups)


def graded_cells(score: Score, levels: str) -> list[str]:
    """What the table says of a take after its verdict, where there is a bank of natives."""
    speech = f"{score.speech_s:.1f} s"
    if score.graded is None:
        return ["", "", "", speech, ""]
    whole = score.graded.whole
    grade = f"{whole.grade:.2f} ({whole.low:.2f} to {whole.high:.2f})"
    range_ = f"{whole.native_low:.2f} to {whole.native_high:.2f}"
    return [grade, range_, f"{whole.percentile:.0f}%", speech, moments(score, levels)]


def ungraded_cells(score: Score, levels: str) -> list[str]:
    """The same where there is none: the classifier's answer."""
    speech = f"{score.speech_s:.1f} s"
    if score.refused:
        return ["", "", speech, ""]
    return [f"{score.probability:.0%}", f"{score.percentile:.0f}%", speech, bars(score.windows, levels)]


def column_widths(headings: list[str], rows: list[list[str]]) -> list[int]:
    """Characters on a screen that each column of a table needs."""
    return [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]


def print_table(scores: list[tuple[Path, Score]], scorer: Scorer, console: Console) -> None:
    """The scores as people read them, and below them why some are unsure; on a narrow screen a list instead."""
    names = [path.name for path, _ in scores]
    shown = [printable(path.name if names.count(path.name) == 1 else str(path)) for path, _ in scores]
    levels = BARS if _can_show(BARS, console) else PLAIN_BARS
    target = scorer.target_name
    if scorer.grades:
        headings, cells_of = ["take", "verdict", "grade", "natives", "below it", "speech", "over time"], graded_cells
    else:
        headings, cells_of = ["take", "verdict", target, "natives below", "speech", "window by window"], ungraded_cells
    rows = [[name, score.verdict, *cells_of(score, levels)] for name, (_, score) in zip(shown, scores, strict=True)]
    widths = column_widths(headings, rows)
    for_names = console.width - sum(GAP + width for width in widths[1:])
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
        if score.graded:
            for line in say_take(score):
                console.print(f"{escape(name)}: {escape(line)}", highlight=False)
            if any(word.native_start_s is not None for word in score.graded.words):
                print_words(score.graded.words, console)
    print_scale(scorer, console)
    console.print(scorer.reference.fitness.sentence, highlight=False, markup=False)


def say_take(score: Score) -> list[str]:
    """Lines about a graded take: whether it is the language at all, and where it sounded least native."""
    lines = []
    if score.graded.whole.verdict(score.probability >= 0.5) == ELSEWHERE:
        lines.append(f"this did not sound like {score.target} at all")
    spans = [f"{stretch.start_s:.1f} to {stretch.end_s:.1f} s" for stretch in score.graded.stretches]
    if spans:
        lines.append(f"least native at {', '.join(spans)}")
    below = sorted((word for word in score.graded.words if word.below), key=lambda word: word.grade)
    if below:
        said = ", ".join(f"{word.text} ({word.start_s:.1f} s)" for word in below[:WORDS_SHOWN])
        lines.append(f"least native words: {said}")
    elif score.graded.words:
        lines.append("every word is within natives' range")
    return lines


def print_words(words: list[GradedWord], console: Console) -> None:
    """The words of a take and of a native's reading: when, how long, how they are graded, and how far apart they sound.

    On a narrow screen a list instead.
    """
    headings, rows = ["word", "take", "native", "length", "grade", "native's", "apart"], []
    for word in words:
        ours, theirs = word.end_s - word.start_s, word.native_end_s - word.native_start_s
        cells = [
            f"{word.start_s:.2f} to {word.end_s:.2f} s",
            f"{word.native_start_s:.2f} to {word.native_end_s:.2f} s",
            f"{ours / theirs:.1f} x" if theirs > 0 else "",
            *("" if n is None else f"{n:.2f}" for n in (word.grade, word.native_grade, word.native_distance)),
        ]
        rows.append([word.text, *cells])
    names = [f"[red]{escape(word.text)}[/]" if word.below else escape(word.text) for word in words]
    widths = column_widths(headings, rows)
    if sum(widths) + GAP * (len(widths) - 1) <= console.width:
        table = Table(*headings, box=None, pad_edge=False)
        for name, (_, *cells) in zip(names, rows, strict=True):
            table.add_row(name, *cells)
        console.print(table)
    else:
        for name, (_, *cells) in zip(names, rows, strict=True):
            said = [f"{heading} {cell}" for heading, cell in zip(headings[1:], cells, strict=True) if cell]
            console.print(f"{name}: {', '.join(said)}", highlight=False)
    console.print(
        "length: of the take's word, times the native's. apart: distance of the sounds, 0 the same, 1 unlike.",
        highlight=False,
    )


def print_scale(scorer: Scorer, console: Console) -> None:
    """What the numbers mean."""
    if scorer.grades:
        reference = scorer.grader.reference(scorer.target_name)
        text = (
            f"The grade says how much nearer the sounds lie to natives' than to other languages'. Nine in ten of "
            f"{reference.takes} natives' takes of {scorer.target_name} are in their range, which narrows with the "
            "seconds of speech; in brackets, the grade's own 95% range."
        )
    else:
        low, high = (scorer.reference.native_probability(percent) for percent in (NATIVE_LOW, NATIVE_HIGH))
        text = (
            f"Of native speakers' test clips, nine in ten got {low:.0%} to {high:.0%}. Probabilities are for equal "
            "shares of the classes."
        )
    console.print(text, highlight=False)


def _coloured(verdict: str, target: str) -> str:
    colour = "green" if verdict in (target, f"native {target}") else "red"
    colour = "yellow" if verdict in (UNSURE, f"near native {target}") else colour
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
    parser.add_argument("--target", default="", metavar="CLASS", help="class to grade for (default: score.target)")
    parser.add_argument("--text", default="", help="what was spoken in the one take, for a grade word by word")
    parser.add_argument("--native", type=Path, metavar="FILE", help="a native's reading of --text, to set words beside")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--plot", type=Path, metavar="OUT.png", help="draw the one take: spectrogram, timeline, why")
    args = parser.parse_args()

    takes, wrong, skipped = find_takes(args.takes)
    if args.plot and len(takes) != 1:
        raise InputError(f"--plot draws a single take, and these are {len(takes)}. Name one file")
    if args.text:
        if len(takes) != 1:
            raise InputError(f"--text is that of a single take, and these are {len(takes)}. Name one file")
        split_words(args.text)  # raises where there is no letter in it
    if args.native and not args.text:
        raise InputError("--native: without the words that both say nothing can be compared. Give --text too")
    if args.native and not args.native.is_file():
        raise InputError(f"--native: {args.native}: no such file")
    scorer = Scorer.load(args.model, target=args.target)
    if args.text and not scorer.grades:
        raise InputError(f"--text: this model has no bank of natives for {scorer.target_name!r}. Run 'dvc repro bank'")
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
                score = scorer.score(path, bar.update, args.text, args.native)
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
        print_table(scores, scorer, Console())
    if failed:
        sys.exit(1)


def plot(scorer: Scorer, take: Path, score: Score, target: Path) -> None:
    """Draw a take into a PNG file."""
    from accent.scoring.picture import draw_take  # matplotlib and captum are slow to import

    with output_file(target) as partial:
        draw_take(scorer, scorer.first_heard(take), score, printable(take.name)).savefig(partial, format="png")


if __name__ == "__main__":
    run(main)
