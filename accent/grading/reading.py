"""A text read aloud by espeak-ng, with the times of its words: every word gets an SSML mark.

Marks do not change how a sentence is pronounced.
"""

from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import soxr

from accent.audio.waveform import SAMPLE_RATE
from accent.core.errors import UNPRINTABLE, InputError
from accent.corpus.espeak import NAME, USUAL_WORDS_PER_MINUTE, speak

WORDS_PER_MINUTE = range(80, 451)  # what espeak-ng can do


class Word(NamedTuple):
    """A word as it is written, without the punctuation around it, and where it is spoken."""

    text: str
    start: float  # seconds
    end: float


class Reading(NamedTuple):
    """A recording of a text, whose words' times are known."""

    waveform: np.ndarray  # int16, mono, 16 kHz
    words: list[Word]


def split_words(text: str) -> list[str]:
    """The words of a text: what stands between spaces and has a letter or a digit.

    Raises `InputError` for a text that has none, or no letter at all.
    """
    if not any(character.isalpha() for character in text):
        raise InputError(f"text {text!r}: no letters in it. Give the sentence that was spoken, numbers in words")
    parts = UNPRINTABLE.sub(" ", text).split()
    return [part for part in parts if any(character.isalnum() for character in part)]


def count_letters(word: str) -> int:
    """How many letters and digits a word has."""
    return sum(character.isalnum() for character in word)


def read_aloud(text: str, language: str, words_per_minute: int = USUAL_WORDS_PER_MINUTE) -> Reading:
    """A text in a voice of espeak-ng, which names most by language (`fr`, `en-us`); raises `InputError`.

    A word lasts until the next one begins, so that a pause belongs to the word before it.
    """
    parts = split_words(text)
    marked = " ".join(f'<mark name="{number}"/>{escape(part)}' for number, part in enumerate(parts))
    samples, rate, marks = speak(f"<speak>{marked}</speak>", language, words_per_minute)
    if not len(samples) or not samples.any():
        raise InputError(f"text {text!r}: voice {language!r} of {NAME} cannot read it. Give its language's voice")
    # espeak-ng takes some words together, "of the" for one: the mark of the second then stands where the third begins.
    # Within such a group time goes by letters.
    letters = np.cumsum([0] + [count_letters(part) for part in parts])
    marks = {int(number): at for number, at in marks.items()}
    known = {len(parts): len(samples)} | {n: at for n, at in marks.items() if marks.get(n + 1) != at} | {0: 0}
    numbers = sorted(known)
    times = np.interp(letters, letters[numbers], [known[number] / rate for number in numbers])
    words = [Word(_bare(part), *map(float, span)) for part, *span in zip(parts, times[:-1], times[1:], strict=True)]
    return Reading(soxr.resample(samples, rate, SAMPLE_RATE), words)


def _bare(part: str) -> str:
    """A word without what is no letter and no digit at its ends."""
    inside = [place for place, character in enumerate(part) if character.isalnum()]
    return part[inside[0] : inside[-1] + 1]
