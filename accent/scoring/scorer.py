"""Score takes: how near a recording is to natives of the target class, how sure that is, and where in it.

The model hears a recording in pieces of at most `decode.max_seconds`, each as it heard the clips that it was trained
and tested on; a recording's score is the mean of its windows' logits, calibrated, as `evaluate` computes it.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit, softmax

from accent.audio.spectrogram import log_mel
from accent.audio.waveform import SAMPLE_RATE, Recording, count_clipped, read_pieces, too_little, trim
from accent.core.errors import CutOff, InputError, Reject
from accent.grading.grade import BELOW, ELSEWHERE, NEAR, WITHIN
from accent.grading.grader import CARD as BANK
from accent.grading.grader import Grader
from accent.grading.take import GradedPiece, Spoken, TakeGrade, find_graded_words, grade_take
from accent.network.calibration import one_against_rest
from accent.network.model import ModelCard, load_model, window_logits
from accent.network.typicality import COUNT, clip_features
from accent.scoring.reference import NATIVE_HIGH, NATIVE_LOW, Fitness, Reference, load_reference
from accent.scoring.refusal import TOO_CLOSE, UNPROVEN, Refusal, refusal

UNSURE = "unsure"
OF_THE_MODEL = ("probability", "probability_low", "probability_high", "percentile")  # numbers that a verdict rests on
ASKED_ONCE = "words left out: only of a take of one piece are they looked for, and this one has several"
NOT_NATIVE = "the native's reading is graded below natives' range itself"
BATCH_SIZE = 16  # windows at once: more are hardly faster on a CPU, and need more memory
OPPOSITE = "channels of opposite phase: one of them was turned over. Record in mono, or mend the cable"


class Window(NamedTuple):
    """A stretch of the recording, and the probability of the target class there."""

    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True)
class Score:
    """What there is to say of a take. Where it is refused, what was computed all the same is for statistics alone."""

    verdict: str  # see `say_verdict`; or "unsure"
    refused: Refusal | None  # why it is unsure
    target: str  # class that the grade and the probability are of
    heard: TakeGrade | None  # how near to natives of the target, refused or not; None where there is no bank of them
    probability: float | None  # of the target class, calibrated, where all classes are equally frequent
    probabilities: dict[str, float]  # of every class
    probability_low: float | None  # that 5% of the target's test clips got less than; None for another --target
    probability_high: float | None  # and 5% more than
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

    @property
    def graded(self) -> TakeGrade | None:
        """The grade, which a refused take has none of."""
        return None if self.refused else self.heard

    def as_dict(self) -> dict:
        """What `--json` prints of it. Of a refused take it has the reason and the measures, and no other number."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del fields["refused"], fields["heard"]
        inner = {"windows": [window._asdict() for window in self.windows], "fitness": dataclasses.asdict(self.fitness)}
        fields |= {"language": fields.pop("probabilities")}
        if self.refused:
            fields |= {**dict.fromkeys(OF_THE_MODEL), "language": {}}
            inner["windows"] = []
        return {"verdict": fields.pop("verdict"), "reason": self.reason, **self._grade_fields(), **fields, **inner}

    def _grade_fields(self) -> dict:
        names = ("grade", "grade_low", "grade_high", "grade_percentile", "native_low", "native_high")
        if self.graded is None:
            return dict.fromkeys((*names, "timeline", "stretches", "words"))
        whole = self.graded.whole
        values = (whole.grade, whole.low, whole.high, whole.percentile, whole.native_low, whole.native_high)
        parts = {name: [part._asdict() for part in getattr(self.graded, name)] for name in ("timeline", "stretches")}
        words = [word._asdict() for word in self.graded.words] or None
        return {**dict(zip(names, values, strict=True)), **parts, "words": words}


class Piece(NamedTuple):
    """A piece of a recording as the model hears it; waveform and spectrogram are empty where there is too little."""

    start_s: float  # where the waveform begins in the recording
    waveform: np.ndarray  # int16, trimmed
    spectrogram: np.ndarray  # uint8 (frames, n_mels)
    measures: dict[str, float | str]


class Scorer:
    """The trained model with all that it takes to judge a recording."""

    def __init__(
        self,
        model: torch.nn.Module,
        card: ModelCard,
        reference: Reference,
        grader: Grader | None = None,
        target: str = "",
    ) -> None:
        self.model, self.card, self.reference, self.grader = model, card, reference, grader
        self.target_name = target or reference.score.target
        self.target = card.classes.index(self.target_name)

    @classmethod
    def load(cls, model_dir: Path | str, device: str = "cpu", target: str = "", grades: bool = True) -> "Scorer":
        """Read a model's folder; raises `InputError` for bad files, and for a `target` without a bank of natives.

        Without `target` it is `score.target`, and a model without `bank.json` gives no grades. Nor does it without
        `grades`, which take more time than all the rest.
        """
        folder = Path(model_dir)
        model, card = load_model(folder, device)
        reference = load_reference(folder)
        if reference.weights_sha256 != card.weights_sha256:
            raise InputError(f"{model_dir}: reference.json is of another model. Run 'dvc repro evaluate'")
        reference.score.check_target(card.classes, model_dir)
        if target and target not in card.classes:
            raise InputError(f"--target: no class {target!r}. The model's: {', '.join(card.classes)}")
        grader = Grader.load(folder) if grades and (target or (folder / BANK).exists()) else None
        if grader and target:
            grader.check_target(target)
        return cls(model, card, reference, grader, target)

    @property
    def grades(self) -> bool:
        """Whether takes get a grade: there is a bank of natives of the target."""
        return self.grader is not None and self.target_name in self.grader.card.targets

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

    def score(
        self,
        take: Path | str | bytes | np.ndarray,
        progress: Callable = lambda seconds: None,
        text: str = "",
        native: Path | str | bytes | np.ndarray | None = None,
    ) -> Score:
        """The score of a recording of any length, in bounded memory; with the `text` that was spoken, word by word,
        beside a `native` reading of it.

        `progress` is called with the seconds of each piece that is done. Raises `Reject` for what cannot be read.
        """
        measures: list[dict] = []
        windows: list[Window] = []
        logits = np.zeros(len(self.card.classes))
        speech = np.zeros(COUNT)
        warnings: list[str] = []
        graded: list[GradedPiece] = []
        waveforms: list[np.ndarray] = []  # only the first is kept
        for piece in self.pieces(take, warnings):
            measures.append(piece.measures)
            if len(piece.waveform):
                starts, window_values = self.window_logits(piece.spectrogram)
                logits += window_values.sum(axis=0, dtype=np.float64)
                windows += self._windows(piece, starts, window_values)
                speech += clip_features(piece.spectrogram, self.card).sum(axis=0)
                if self.grades:
                    graded.append(GradedPiece(piece.start_s, self.grader.hear(piece.waveform, self.target_name)))
                    waveforms = waveforms or [piece.waveform]
            progress(piece.measures["duration_s"])
        score = self._judge(merge_measures(measures), windows, logits, speech, warnings, graded)
        if not text or not score.graded:
            return score
        if len(graded) > 1:
            score.warnings.append(ASKED_ONCE)
            return score
        return self._with_words(score, Spoken(waveforms[0], graded[0]), text, native)

    def _with_words(self, score: Score, take: Spoken, text: str, native: Path | str | bytes | np.ndarray | None):
        try:
            reading = None if native is None else self._hear_native(native, score.warnings)
            words = find_graded_words(self.grader, self.target_name, take, text, reading)
        except InputError as error:
            score.warnings.append(f"words left out: {error}")
            return score
        return dataclasses.replace(score, heard=score.heard._replace(words=words))

    def _hear_native(self, recording: Path | str | bytes | np.ndarray, warnings: list[str]) -> Spoken:
        """A native's reading in one piece; raises `InputError` for one that is refused or has several."""
        try:
            pieces = list(islice((piece for piece in self.pieces(recording) if len(piece.waveform)), 2))
            score = None if len(pieces) > 1 else self.score(recording)
        except (Reject, OSError) as error:
            raise InputError(f"native's reading: {error}") from None
        if score is None:
            raise InputError(
                f"native's reading: longer than {self.card.audio.max_seconds:g} s. Give the sentence alone"
            )
        if score.refused or score.heard is None:
            raise InputError(f"native's reading: {score.reason or 'no speech in it. Record it again'}")
        if score.heard.whole.verdict() != WITHIN:
            warnings.append(NOT_NATIVE)
        (piece,) = pieces
        return Spoken(piece.waveform, GradedPiece(piece.start_s, self.grader.hear(piece.waveform, self.target_name)))

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
        frame = self.card.spectrogram.seconds_of(1)
        begins = piece.start_s + starts * frame
        ends = np.minimum(begins + self.card.window * frame, piece.start_s + len(piece.waveform) / SAMPLE_RATE)
        values = zip(begins, ends, expit(self.log_odds(logits)), strict=True)
        return [Window(*map(float, row)) for row in values]

    def _judge(
        self,
        measures: dict,
        windows: list[Window],
        logits: np.ndarray,
        speech: np.ndarray,
        warnings: list[str],
        graded: list[GradedPiece],
    ) -> Score:
        name, fitness = self.target_name, self.reference.fitness
        compared = name == self.reference.score.target
        found = {
            "target": name,
            "probability_low": self.reference.native_probability(NATIVE_LOW) if compared else None,
            "probability_high": self.reference.native_probability(NATIVE_HIGH) if compared else None,
            "speech_s": measures["speech_s"],
            "measures": measures,
            "windows": windows,
            "warnings": warnings,
            "fitness": fitness,
        }
        if not windows:
            refused = refusal(measures, 0.0, None, self.reference.score)
            return Score(UNSURE, refused, heard=None, probability=None, probabilities={}, percentile=None, **found)
        logits, speech = logits / len(windows), speech / len(windows)
        log_odds = self.log_odds(logits[np.newaxis])[0]
        probability = float(expit(log_odds))
        refused = refusal(measures, self.reference.typicality.unlikeness(speech), probability, self.reference.score)
        if self.grades and refused and refused.kind == TOO_CLOSE:
            refused = None  # for the classifier, which is not asked where there is a grade
        if not refused and not fitness.verdicts:
            refused = Refusal(UNPROVEN)
        take = grade_take(graded, name, self.grader.reference(name)) if self.grades else None
        verdict = UNSURE if refused else say_verdict(take, name, probability)
        probabilities = softmax(logits / self.card.temperature)
        return Score(
            verdict,
            refused,
            heard=take,
            probability=probability,
            probabilities={label: float(value) for label, value in zip(self.card.classes, probabilities, strict=True)},
            percentile=self.reference.native_percentile(log_odds) if compared and not refused else None,
            **found,
        )


def say_verdict(take: TakeGrade | None, target: str, probability: float) -> str:
    """The verdict on a take that is not refused: by its grade, and by the classifier where it has none."""
    if take is None:
        return target if probability >= 0.5 else f"not {target}"
    return {
        WITHIN: f"native {target}",
        NEAR: f"near native {target}",
        BELOW: f"foreign {target}",
        ELSEWHERE: f"not {target}",
    }[take.whole.verdict(likely=probability >= 0.5)]


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
