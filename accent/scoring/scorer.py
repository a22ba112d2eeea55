"""Score takes: does this recording sound like the target class, how sure is that, and where in it?

    python -m accent.score take.m4a more-takes/

The model hears a recording in pieces of at most `decode.max_seconds`, each as it heard the clips that it was trained
and tested on; a recording's score is the mean of its windows' logits, calibrated, as `evaluate` computes it.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scipy.special import expit, softmax
from tqdm import tqdm

from accent.audio.decoder import open_audio
from accent.audio.spectrogram import log_mel
from accent.audio.waveform import SAMPLE_RATE, Recording, count_clipped, read_pieces, too_little, trim
from accent.core.errors import CutOff, InputError, Reject, printable
from accent.core.outputs import output_file
from accent.network.log_odds import one_against_rest
from accent.network.model import ModelCard, load_model, window_logits
from accent.scoring.reference import HIGH, LOW, Fitness, Reference, load_reference
from accent.scoring.refusal import UNPROVEN, Refusal, refusal
from accent.scoring.typicality import COUNT, clip_features

UNSURE = "unsure"
BATCH_SIZE = 16  # windows at once: more are hardly faster on a CPU, and need more memory
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
OPPOSITE = "channels of opposite phase: one of them was turned over. Record in mono, or mend the cable"


class Window(NamedTuple):
    """A stretch of the recording, and the probability of the target class there."""

    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True)
class Score:
    """What there is to say of a take. Where nothing could be heard, probabilities and percentile are None."""

    verdict: str  # the target class, "not " and the target class, or "unsure"
    refused: Refusal | None  # why it is unsure
    probability: float | None  # of the target class, calibrated, where all classes are equally frequent
    probabilities: dict[str, float]  # of every class
    native_low: float  # probability that 5% of the native speakers' test clips got less than
    native_high: float  # and 5% more than
    percentile: float | None  # percent of those clips that got less than this take
    speech_s: float
    measures: dict[str, float | str]  # see accent.audio.waveform.trim
    windows: list[Window]
    warnings: list[str]  # what was wrong with the recording, though it could be scored
    fitness: Fitness  # what the model has earned: without it every verdict is "unsure"

    @property
    def reason(self) -> str:
        """Why it is unsure and what to do about it, else ""."""
        return self.refused.say() if self.refused else ""

    def as_dict(self) -> dict:
        """What `--json` prints of it."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del fields["refused"]
        inner = {"windows": [window._asdict() for window in self.windows], "fitness": dataclasses.asdict(self.fitness)}
        return {"verdict": fields.pop("verdict"), "reason": self.reason, **fields, **inner}


class Piece(NamedTuple):
    """A piece of a recording as the model hears it; waveform and spectrogram are empty where there is too little."""

    start_s: float  # where the waveform begins in the recording
    waveform: np.ndarray  # int16, trimmed
    spectrogram: np.ndarray  # uint8 (frames, n_mels)
    measures: dict[str, float | str]


class Scorer:
    """The trained model with all that it takes to judge a recording."""

    def __init__(self, model: torch.nn.Module, card: ModelCard, reference: Reference) -> None:
        self.model, self.card, self.reference = model, card, reference
        self.target = card.classes.index(reference.score.target)

    @classmethod
    def load(cls, model_dir: Path | str, device: str = "cpu") -> "Scorer":
        """Read `accent.safetensors`, `accent.json` and `reference.json`; raises `InputError` for bad ones."""
        model, card = load_model(Path(model_dir), device)
        reference = load_reference(Path(model_dir))
        if reference.weights_sha256 != card.weights_sha256:
            raise InputError(f"{model_dir}: reference.json is of another model. Run 'dvc repro evaluate'")
        if reference.score.target not in card.classes:
            target, classes = reference.score.target, ", ".join(card.classes)
            raise InputError(f"{model_dir}: score.target: no class {target!r}. The model's: {classes}")
        return cls(model, card, reference)

    def pieces(self, take: Path | str | bytes | np.ndarray, warnings: list[str] | None = None) -> Iterator[Piece]:
        """The recording piece by piece: a file, its bytes, or a waveform (n,) of float in -1 to 1 at 16 kHz.

        Raises `Reject` for what cannot be read. What is wrong though it can be read is added to `warnings`.
        """
        start, warnings = 0.0, [] if warnings is None else warnings
        for recording in self._recordings(take, warnings):
            if recording.opposite and OPPOSITE not in warnings:
                warnings.append(OPPOSITE)
            waveform, measures = trim(recording, self.card.audio)
            measures = {name: value if isinstance(value, str) else float(value) for name, value in measures.items()}
            if too_little(waveform, measures, self.card.audio):
                waveform = waveform[:0]
                spectrogram = np.empty((0, self.card.spectrogram.n_mels), np.uint8)
            else:
                spectrogram = log_mel(waveform, self.card.spectrogram)
            lead = max(measures["leading_silence_s"] - self.card.audio.margin_seconds, 0.0)
            yield Piece(start + lead, waveform, spectrogram, measures)
            start += measures["duration_s"]

    def first_heard(self, take: Path | str | np.ndarray) -> Piece:
        """The first piece with something to hear in it, which is what pictures show; the first of all if none has."""
        first = None
        for piece in self.pieces(take):
            if len(piece.waveform):
                return piece
            first = first or piece
        return first

    def _recordings(self, take: Path | str | bytes | np.ndarray, warnings: list[str]) -> Iterator[Recording]:
        seconds = self.card.audio.max_seconds
        if not isinstance(take, np.ndarray):
            if not isinstance(take, bytes) and not (take := Path(take)).is_file():
                take.stat()  # says why, where there is nothing of that name
                raise Reject("not a file")
            try:
                yield from read_pieces(take, seconds)
            except CutOff as error:
                warnings.append(f"{error}. It was scored as far as it goes")
            return
        if take.ndim != 1 or not take.size or not np.issubdtype(take.dtype, np.floating):
            raise Reject(f"not a waveform: {take.dtype} of shape {take.shape}, needed is float of shape (samples,)")
        for first in range(0, len(take), size := round(seconds * SAMPLE_RATE)):
            waveform = take[first : first + size].astype(np.float32)
            clipped = count_clipped(waveform[np.newaxis]) / len(waveform)
            yield Recording(waveform, SAMPLE_RATE, "waveform", clipped)

    def score(self, take: Path | str | bytes | np.ndarray, progress: Callable = lambda seconds: None) -> Score:
        """The score of a recording of any length, in bounded memory.

        `progress` is called with the seconds of each piece that is done. Raises `Reject` for what cannot be read.
        """
        measures: list[dict] = []
        windows: list[Window] = []
        logits = np.zeros(len(self.card.classes))
        speech = np.zeros(COUNT)
        warnings: list[str] = []
        for piece in self.pieces(take, warnings):
            measures.append(piece.measures)
            if len(piece.waveform):
                starts, window_values = self.window_logits(piece.spectrogram)
                logits += window_values.sum(axis=0, dtype=np.float64)
                windows += self._windows(piece, starts, window_values)
                speech += clip_features(piece.spectrogram, self.card).sum(axis=0)
            progress(piece.measures["duration_s"])
        return self._judge(merge_measures(measures), windows, logits, speech, warnings)

    def window_logits(self, spectrogram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First frames of a spectrogram's windows, and their logits (windows, classes)."""
        (starts,), (logits,) = window_logits(
            self.model, [spectrogram], self.card.window, self.card.window_hop, BATCH_SIZE
        )
        return starts, logits

    def log_odds(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated log-odds (n,) of the target class for logits (n, classes)."""
        return one_against_rest(logits / self.card.temperature, self.target)

    def _windows(self, piece: Piece, starts: np.ndarray, logits: np.ndarray) -> list[Window]:
        frame = self.card.spectrogram.hop_length / SAMPLE_RATE
        begins = piece.start_s + starts * frame
        ends = np.minimum(begins + self.card.window * frame, piece.start_s + len(piece.waveform) / SAMPLE_RATE)
        values = zip(begins, ends, expit(self.log_odds(logits)), strict=True)
        return [Window(*map(float, row)) for row in values]

    def _judge(
        self, measures: dict, windows: list[Window], logits: np.ndarray, speech: np.ndarray, warnings: list[str]
    ) -> Score:
        name, native, fitness = self.reference.score.target, self.reference.native_log_odds, self.reference.fitness
        found = {
            "native_low": float(expit(native[LOW])),
            "native_high": float(expit(native[HIGH])),
            "speech_s": measures["speech_s"],
            "measures": measures,
            "windows": windows,
            "warnings": warnings,
            "fitness": fitness,
        }
        if not windows:
            refused = refusal(measures, 0.0, None, self.reference.score)
            return Score(UNSURE, refused, None, {}, percentile=None, **found)
        logits, speech = logits / len(windows), speech / len(windows)
        log_odds = self.log_odds(logits[np.newaxis])[0]
        probability = float(expit(log_odds))
        refused = refusal(measures, self.reference.typicality.unlikeness(speech), probability, self.reference.score)
        if not refused and not fitness.verdicts:
            refused = Refusal(UNPROVEN)
        verdict = UNSURE if refused else name if probability >= 0.5 else f"not {name}"
        probabilities = softmax(logits / self.card.temperature)
        return Score(
            verdict,
            refused,
            probability,
            {label: float(value) for label, value in zip(self.card.classes, probabilities, strict=True)},
            percentile=self.reference.native_percentile(log_odds),
            **found,
        )


def merge_measures(pieces: list[dict]) -> dict:
    """The measures of a recording from those of its pieces: sums of seconds, means over time or over the speech."""
    if len(pieces) == 1:
        return pieces[0]
    rows = {name: np.array([piece[name] for piece in pieces]) for name in pieces[0]}
    heard = rows["speech_s"] > 0
    weights = rows["speech_s"] if heard.any() else np.ones(len(pieces))
    first, last = (np.flatnonzero(heard)[[0, -1]]) if heard.any() else (len(pieces) - 1, len(pieces) - 1)
    before, after = rows["duration_s"][:first].sum(), rows["duration_s"][last + 1 :].sum()
    return {
        "duration_s": float(rows["duration_s"].sum()),
        "speech_s": float(rows["speech_s"].sum()),
        "leading_silence_s": float(before + rows["leading_silence_s"][first]),
        "trailing_silence_s": float(after + rows["trailing_silence_s"][last]),
        "loudness_dbfs": float(10 * np.log10(np.average(10 ** (rows["loudness_dbfs"] / 10), weights=weights))),
        "level_range_db": float(np.average(rows["level_range_db"], weights=weights)),
        "snr_db": float(np.average(rows["snr_db"], weights=weights)),
        "clipped_fraction": float(np.average(rows["clipped_fraction"], weights=rows["duration_s"])),
        "bandwidth_hz": float(rows["bandwidth_hz"].max()),
        "source_rate_hz": pieces[0]["source_rate_hz"],
        "source_codec": pieces[0]["source_codec"],
    }


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
