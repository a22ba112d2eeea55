"""A text read aloud by espeak-ng, with the times of its words.

They come from espeak-ng's library: its command does not tell them. Every word gets an SSML mark, and the library says
at which sample it reaches it. Marks do not change how a sentence is pronounced.
"""

import ctypes
import ctypes.util
from functools import lru_cache
from threading import Lock
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import soxr

from accent.audio import SAMPLE_RATE
from accent.errors import UNPRINTABLE, InputError

LIBRARY = "espeak-ng"
WORDS_PER_MINUTE = range(80, 451)  # what espeak-ng can do
USUAL_WORDS_PER_MINUTE = 175
# Of espeak-ng's speak_lib.h.
SYNCHRONOUS, DONT_EXIT = 2, 0x8000
RATE = 1
UTF_8, SSML = 1, 0x10
EVENT_END, EVENT_MARK = 0, 3


class Word(NamedTuple):
    """A word as it is written, without the punctuation around it, and where it is spoken."""

    text: str
    start: float  # seconds
    end: float


class Reading(NamedTuple):
    """A recording of a text, whose words' times are known."""

    waveform: np.ndarray  # int16, mono, 16 kHz
    words: list[Word]


class _Name(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """`espeak_EVENT`."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
_one_at_a_time = Lock()  # the library has one voice, one pace and one callback


@lru_cache(maxsize=1)
def _espeak() -> tuple[ctypes.CDLL, int]:
    """espeak-ng's library, ready to speak, and its sample rate; raises `InputError` where it is not installed."""
    path = ctypes.util.find_library(LIBRARY)
    install = f"Install {LIBRARY}, for example with 'apt install {LIBRARY}'"
    if path is None:
        raise InputError(f"{LIBRARY}: no such library, so the times of words are not known. {install}")
    library = ctypes.CDLL(path)
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, None, DONT_EXIT)
    if rate <= 0:
        raise InputError(f"{path}: cannot start, its voices may be missing. {install}")
    return library, rate


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
    samples, marks, rate = _speak(f"<speak>{marked}</speak>", language, words_per_minute)
    if not len(samples) or not samples.any():
        raise InputError(f"text {text!r}: voice {language!r} of {LIBRARY} cannot read it. Give its language's voice")
    # espeak-ng takes some words together, "of the" for one: the mark of the second then stands where the third begins.
    # Within such a group time goes by letters.
    letters = np.cumsum([0] + [count_letters(part) for part in parts])
    known = {len(parts): len(samples)} | {n: at for n, at in marks.items() if marks.get(n + 1) != at} | {0: 0}
    numbers = sorted(known)
    times = np.interp(letters, letters[numbers], [known[number] / rate for number in numbers])
    words = [Word(_bare(part), *map(float, span)) for part, *span in zip(parts, times[:-1], times[1:], strict=True)]
    return Reading(soxr.resample(samples, rate, SAMPLE_RATE), words)


def _bare(part: str) -> str:
    """A word without what is no letter and no digit at its ends."""
    inside = [place for place, character in enumerate(part) if character.isalnum()]
    return part[inside[0] : inside[-1] + 1]


def _speak(ssml: str, voice: str, words_per_minute: int) -> tuple[np.ndarray, dict[int, int], int]:
    """The samples (int16) of an SSML text, at which of them each mark was reached, and the sample rate."""
    library, rate = _espeak()
    pieces, marks = [], {}

    def hear(samples: ctypes.Array, count: int, events: ctypes.Array) -> int:
        if samples and count:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        place = 0
        while (event := events[place]).type != EVENT_END:
            if event.type == EVENT_MARK:
                marks.setdefault(int(event.id.name), event.sample)
            place += 1
        return 0

    callback = _CALLBACK(hear)  # held here for as long as the library may call it
    data = ssml.encode()
    with _one_at_a_time:
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise InputError(f"{LIBRARY}: no voice {voice!r}. '{LIBRARY} --voices' lists them")
        library.espeak_SetParameter(RATE, words_per_minute, 0)
        library.espeak_SetSynthCallback(callback)
        library.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF_8 | SSML, None, None)
        library.espeak_Synchronize()
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int16), marks, rate
