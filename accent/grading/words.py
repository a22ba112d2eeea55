"""Where the words of a known text are in a take: aligned with a reading of it whose word times are known."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from accent.core.errors import InputError
from accent.corpus.espeak import USUAL_WORDS_PER_MINUTE
from accent.grading.encoder import FRAME_SECONDS, speech_places
from accent.grading.reading import (
    WORDS_PER_MINUTE,
    Reading,
    Word,
    count_letters,
    read_aloud,
    split_words,
)

LETTERS_A_SECOND = (2.0, 30.0)  # 140 clips of Common Voice have 4.9 to 24.1
# Of Whisper's 4th layer, chosen on 48 clips. Of 92 others 1 with its own text lies above, and below lie 4 with another
# text of its length and 2 with one of another language.
MAX_DISTANCE = 0.85
PAUSE_FRAMES = 3  # of silence between two frames of speech: 60 ms or less is a plosive's closure
BETWEEN_WORDS = 0.9  # distance of what is said between two words and not in the text: as two sounds that differ
PAUSE_IN_WORD = 3.0  # distance of a pause and a frame in a word: rather between words than within one

Encode = Callable[[np.ndarray], Tensor]  # a waveform (int16, 16 kHz) -> its frames (count, dimensions), 50 a second


def find_words(take: np.ndarray, text: str, language: str, encode: Encode) -> list[Word]:
    """Where the words of `text` are in a take (int16, mono, 16 kHz), in seconds from its begin.

    espeak-ng reads the text in `language` about as fast as the take, and `carry_words` does the rest. Raises
    `InputError` where espeak-ng is absent or has no such voice, and where the text is not that of the take.
    """
    check_length(take, text)
    usual = read_aloud(text, language)
    pace = len(speech_places(usual.waveform)) / len(speech_places(take))
    wanted = round(USUAL_WORDS_PER_MINUTE * pace)
    reading = read_aloud(text, language, int(np.clip(wanted, WORDS_PER_MINUTE[0], WORDS_PER_MINUTE[-1])))
    return carry_words(take, reading, encode)


def check_length(take: np.ndarray, text: str) -> None:
    """Raise `InputError` if so much text cannot be said in the take, or hardly fills it."""
    letters = sum(map(count_letters, split_words(text)))
    seconds = len(speech_places(take)) * FRAME_SECONDS
    low, high = LETTERS_A_SECOND
    if not low * seconds <= letters <= high * seconds:
        many = letters / seconds if seconds else np.inf
        raise InputError(
            f"text of {letters} letters for {seconds:.1f} s of speech: {many:.1f} a second, allowed {low:g} to "
            f"{high:g}. Give the sentence that was spoken, and only that"
        )


def carry_words(take: np.ndarray, reading: Reading, encode: Encode) -> list[Word]:
    """The words of another reading of the same sentence, at their times in the take; raises as `align_words`."""
    return align_words(take, reading, encode)[0]


def align_words(take: np.ndarray, reading: Reading, encode: Encode) -> tuple[list[Word], list[float | None]]:
    """The words of another reading of the same sentence, at their times in the take, and how far apart both say them:
    the mean distance of the frames that were laid beside each other, None for a word that has none.

    Dynamic time warping (librosa's) over the cosine distance of the frames that hold speech, standardised by recording.
    Neighbours meet in the middle between their frames; a word ends before a pause and begins after it.
    Raises `InputError` if the two are so far apart that they do not say the same.
    """
    ours, theirs = speech_places(take), speech_places(reading.waveform)
    if not len(ours) or not len(theirs):
        raise InputError(
            f"no speech in the {'reading' if len(ours) else 'take'}. Record it again, closer to the microphone"
        )
    distance = 1 - _unit_frames(take, ours, encode) @ _unit_frames(reading.waveform, theirs, encode).T
    pauses = np.flatnonzero(np.diff(ours) > PAUSE_FRAMES) + 1
    starts = np.searchsorted(theirs, np.rint([word.start / FRAME_SECONDS for word in reading.words[1:]]))
    # Between words a column more, for a pause or what the text has not; at a pause a row more, which belongs there.
    distance = np.insert(np.insert(distance, starts, BETWEEN_WORDS, axis=1), pauses, PAUSE_IN_WORD, axis=0)
    rows, columns = pauses + np.arange(len(pauses)), starts + np.arange(len(starts))
    distance[np.ix_(rows, columns)] = 0
    import librosa  # slow to import, and needed where a text is known alone

    _, path = librosa.sequence.dtw(C=distance)
    path = path[~np.isin(path[:, 0], rows) & ~np.isin(path[:, 1], columns)][::-1]  # of speech alone
    along = distance[path[:, 0], path[:, 1]].mean()
    if along > MAX_DISTANCE:
        raise InputError(
            f"text: its words are not those of the take (distance of a reading {along:.2f}, at most "
            f"{MAX_DISTANCE:g}). Give the sentence that was spoken, and its language"
        )
    times = ours[path[:, 0] - np.searchsorted(rows, path[:, 0])] * FRAME_SECONDS
    numbers = np.searchsorted(columns, path[:, 1])  # of the word that each step is in
    steps = np.searchsorted(numbers, np.arange(len(reading.words) + 1))
    starts = times[steps[:-1].clip(max=len(times) - 1)]
    ends = times[(steps[1:] - 1).clip(min=0)] + FRAME_SECONDS
    touching = np.flatnonzero(starts[1:] - ends[:-1] <= PAUSE_FRAMES * FRAME_SECONDS)
    ends[touching] = starts[touching + 1] = (ends[touching] + starts[touching + 1]) / 2
    spans = zip(starts.tolist(), np.maximum(starts, ends).tolist(), strict=True)
    words = [Word(word.text, *span) for word, span in zip(reading.words, spans, strict=True)]
    apart = np.split(distance[path[:, 0], path[:, 1]], steps[1:-1])
    return words, [max(float(of_word.mean()), 0.0) if len(of_word) else None for of_word in apart]


def _unit_frames(waveform: np.ndarray, speech: np.ndarray, encode: Encode) -> np.ndarray:
    """The frames of speech, standardised by dimension and of length 1."""
    frames = encode(waveform).numpy()[speech]
    standardised = (frames - frames.mean(axis=0)) / (frames.std(axis=0) + 1e-5)
    return standardised / np.maximum(np.linalg.norm(standardised, axis=1, keepdims=True), 1e-5)
