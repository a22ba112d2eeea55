"""Score takes: does this recording sound like the target class, how sure is that, and where in it?

The model hears a recording in pieces of at most `decode.max_seconds`, each as it heard the clips that it was trained
and tested on; a recording's score is the mean of its windows' logits, calibrated, as `evaluate` computes it.
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit, softmax

from accent.audio.spectrogram import log_mel
from accent.audio.waveform import SAMPLE_RATE, Recording, count_clipped, read_pieces, too_little, trim
from accent.core.errors import CutOff, InputError, Reject
from accent.network.calibration import one_against_rest
from accent.network.model import ModelCard, load_model, window_logits
from accent.network.typicality import COUNT, clip_features
from accent.scoring.reference import NATIVE_HIGH, NATIVE_LOW, Fitness, Reference, load_reference
from accent.scoring.refusal import UNPROVEN, Refusal, refusal

UNSURE = "unsure"
BATCH_SIZE = 16  # windows at once: more are hardly faster on a CPU, and need more memory
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
        reference.score.check_target(card.classes, model_dir)
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
        frame = self.card.spectrogram.seconds_of(1)
        begins = piece.start_s + starts * frame
        ends = np.minimum(begins + self.card.window * frame, piece.start_s + len(piece.waveform) / SAMPLE_RATE)
        values = zip(begins, ends, expit(self.log_odds(logits)), strict=True)
        return [Window(*map(float, row)) for row in values]

    def _judge(
        self, measures: dict, windows: list[Window], logits: np.ndarray, speech: np.ndarray, warnings: list[str]
    ) -> Score:
        name, native, fitness = self.reference.score.target, self.reference.native_log_odds, self.reference.fitness
        found = {
            "native_low": float(expit(native[NATIVE_LOW])),
            "native_high": float(expit(native[NATIVE_HIGH])),
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
