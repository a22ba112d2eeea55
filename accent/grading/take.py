"""What the grade says of one take: the number, where it sounded least native, and how each word of a known text did."""

from typing import NamedTuple

import numpy as np

from accent.core.errors import InputError
from accent.grading.encoder import FRAME_SECONDS
from accent.grading.grade import Grade, Reference, Stretch, judge, least_native, smooth
from accent.grading.grader import Grader, Heard
from accent.grading.reading import Reading, Word
from accent.grading.words import align_words, find_words

MOMENT_SECONDS = 0.1  # of the timeline
STRETCHES = 3
VOICES = {"en": "en-us"}  # of espeak-ng, where it does not go by the locale's name


class Moment(NamedTuple):
    """The smoothed grade of a tenth of a second with speech in it."""

    start_s: float
    grade: float


class GradedWord(NamedTuple):
    """A word of the text, where it was spoken, and its grade: below 95% of natives' for so short a stretch, or not.

    With a native's reading of the text, the same word in it, and how far apart the sounds of the two are: 0 the same,
    1 unlike each other.
    """

    text: str
    start_s: float
    end_s: float
    grade: float | None  # None where no frame of speech is in it
    below: bool
    native_start_s: float | None = None
    native_end_s: float | None = None
    native_grade: float | None = None
    native_distance: float | None = None


class TakeGrade(NamedTuple):
    """A take's grade with its parts; `words` is empty where no text was given."""

    whole: Grade
    timeline: list[Moment]
    stretches: list[Stretch]
    words: list[GradedWord]


class GradedPiece(NamedTuple):
    """A piece of a take: where it begins in the recording, and its frames' grades."""

    start_s: float
    heard: Heard


def grade_take(pieces: list[GradedPiece], target: str, reference: Reference) -> TakeGrade | None:
    """The grade of a take from its pieces, None where there is no frame of speech in them."""
    pieces = [piece for piece in pieces if len(piece.heard.values)]
    if not pieces:
        return None
    whole = judge(np.concatenate([piece.heard.values for piece in pieces]), target, reference)
    stretches = [
        (stretch, (reference.stretch - stretch.grade) * (stretch.end_s - stretch.start_s))
        for piece in pieces
        for stretch in least_native(piece.heard.values, piece.heard.places, piece.start_s, reference.stretch, STRETCHES)
    ]
    worst = [stretch for stretch, _ in sorted(stretches, key=lambda pair: -pair[1])[:STRETCHES]]
    return TakeGrade(whole, [moment for piece in pieces for moment in timeline(piece)], worst, [])


def timeline(piece: GradedPiece) -> list[Moment]:
    """The smoothed grade of every tenth of a second of a piece with speech in it."""
    values, places = piece.heard
    tenths = np.floor(places * FRAME_SECONDS / MOMENT_SECONDS + 1e-6).astype(int)
    smoothed = smooth(values, places)
    return [
        Moment(float(piece.start_s + tenth * MOMENT_SECONDS), float(smoothed[tenths == tenth].mean()))
        for tenth in np.unique(tenths)
    ]


def grade_words(piece: GradedPiece, words: list[Word], reference: Reference) -> list[GradedWord]:
    """The words of a piece with their grades."""
    values, times = piece.heard.values, piece.heard.places * FRAME_SECONDS
    found = []
    for word in words:
        inside = values[(times >= word.start) & (times < word.end)]
        grade = float(inside.mean()) if len(inside) else None
        below = grade is not None and grade < reference.bounds(len(inside) * FRAME_SECONDS)[0]
        found.append(GradedWord(word.text, piece.start_s + word.start, piece.start_s + word.end, grade, below))
    return found


class Spoken(NamedTuple):
    """A recording of the text in one piece: its waveform (int16, mono, 16 kHz), and how it is graded."""

    waveform: np.ndarray
    piece: GradedPiece


def find_graded_words(
    grader: Grader, target: str, take: Spoken, text: str, native: Spoken | None = None
) -> list[GradedWord]:
    """The words of `text` in a take, aligned with a reading by espeak-ng in the target's language, or by a native.

    Raises `InputError` where espeak-ng is absent, knows no such language, or the text is not that of the take.
    """
    locale, reference = grader.card.locales[target], grader.reference(target)
    if not locale:
        raise InputError(f"text: class {target!r} is of any language, so nobody can read it. Choose another --target")
    voice = VOICES.get(locale, locale.lower())
    if native is None:
        return grade_words(take.piece, find_words(take.waveform, text, voice, grader.frames), reference)
    try:
        theirs = find_words(native.waveform, text, voice, grader.frames)
    except InputError as error:
        raise InputError(f"native's reading: {error}") from None
    words, distances = align_words(take.waveform, Reading(native.waveform, theirs), grader.frames)
    pairs = zip(grade_words(take.piece, words, reference), grade_words(native.piece, theirs, reference), strict=True)
    return [
        ours._replace(
            native_start_s=its.start_s, native_end_s=its.end_s, native_grade=its.grade, native_distance=distance
        )
        for (ours, its), distance in zip(pairs, distances, strict=True)
    ]
