"""Where the words of a known text are in a take: aligned with a reading of it whose word times are known."""

from collections.abc import Callable

import librosa
import numpy as np
from torch import Tensor

from accent.audio import FULL_SCALE, SAMPLE_RATE, SILENT_DBFS, frame_levels, speech_frames
from accent.encoder import FRAME_SAMPLES, FRAME_SECONDS
from accent.errors import InputError
from accent.reading import (
    USUAL_WORDS_PER_MINUTE,
    WORDS_PER_MINUTE,
    Reading,
    Word,
    count_letters,
    read_aloud,
    split_words,
)

SILENCE_DB = 40  # below the loudest frame no frame is speech (accent.audio.speech_frames)
LETTERS_A_SECOND = (2.0, 30.0)
MAX_DISTANCE = 0.86  # of Whisper's 4th layer: between texts that were spoken and others of the same length
PAUSE_FRAMES = 3  # of silence between two frames of speech: 60 ms or less is a plosive's closure
SNAP_FRAMES = 5  # of speech, 100 ms, by which a boundary moves to a pause

Encode = Callable[[np.ndarray], Tensor]  # a waveform (int16, 16 kHz) -> its frames (count, dimensions), 50 a second


def find_words(take: np.ndarray, text: str, language: str, encode: Encode) -> list[Word]:
    """Where the words of `text` are in a take (int16, mono, 16 kHz), in seconds from its begin.

    espeak-ng reads the text in `language` about as fast as the take, and `carry_words` does the rest. Raises
    `InputError` where espeak-ng is absent or has no such voice, and where the text is not that of the take.
    """
    check_length(take, text)
    usual = read_aloud(text, language)
    pace = len(_speech(usual.waveform)) / len(_speech(take))
    wanted = round(USUAL_WORDS_PER_MINUTE * pace)
    reading = read_aloud(text, language, int(np.clip(wanted, WORDS_PER_MINUTE[0], WORDS_PER_MINUTE[-1])))
    return carry_words(take, reading, encode)


def check_length(take: np.ndarray, text: str) -> None:
    """Raise `InputError` if so much text cannot be said in the take, or hardly fills it."""
    letters = sum(map(count_letters, split_words(text)))
    seconds = len(_speech(take)) * FRAME_SECONDS
    low, high = LETTERS_A_SECOND
    if not low * seconds <= letters <= high * seconds:
        many = letters / seconds if seconds else np.inf
        raise InputError(
            f"text of {letters} letters for {seconds:.1f} s of speech: {many:.1f} a second, allowed {low:g} to "
            f"{high:g}. Give the sentence that was spoken, and only that"
        )


def carry_words(take: np.ndarray, reading: Reading, encode: Encode) -> list[Word]:
    """The words of another reading of the same sentence, at their times in the take.

    Dynamic time warping (librosa's) over the cosine distance of the frames that hold speech, standardised by recording.
    Raises `InputError` if the two are so far apart that they do not say the same.
    """
    ours, theirs = _speech(take), _speech(reading.waveform)
    distance = 1 - _unit_frames(take, ours, encode) @ _unit_frames(reading.waveform, theirs, encode).T
    _, path = librosa.sequence.dtw(C=distance)
    along = distance[path[:, 0], path[:, 1]].mean()
    if along > MAX_DISTANCE:
        raise InputError(
            f"text: its words are not those of the take (distance of a reading {along:.2f}, at most "
            f"{MAX_DISTANCE:g}). Give the sentence that was spoken, and its language"
        )
    starts = np.searchsorted(theirs, np.rint([word.start / FRAME_SECONDS for word in reading.words]))
    cuts = [0] + [_to_pause(ours, _cut(path[::-1], start)) for start in starts[1:]] + [len(ours)]
    words = []
    for word, begin, end in zip(reading.words, cuts, cuts[1:], strict=False):
        first = min(begin, len(ours) - 1)
        last = max(end - 1, first)
        words.append(Word(word.text, float(ours[first] * FRAME_SECONDS), float((ours[last] + 1) * FRAME_SECONDS)))
    return words


def _speech(waveform: np.ndarray) -> np.ndarray:
    """The numbers of the encoder's frames that hold speech; digital silence does not count for the noise floor."""
    levels = frame_levels(waveform.astype(np.float32) / FULL_SCALE)
    audible = levels[levels > SILENT_DBFS]
    if not len(audible):
        return np.zeros(0, int)
    speech = speech_frames(levels, np.percentile(audible, 10), SILENCE_DB)
    places = np.flatnonzero(speech) * (SAMPLE_RATE // 100) // FRAME_SAMPLES
    return np.unique(np.minimum(places, max(round(len(waveform) / FRAME_SAMPLES), 1) - 1))


def _unit_frames(waveform: np.ndarray, speech: np.ndarray, encode: Encode) -> np.ndarray:
    """The frames of speech, standardised by dimension and of length 1."""
    frames = encode(waveform).numpy()[speech]
    standardised = (frames - frames.mean(axis=0)) / (frames.std(axis=0) + 1e-5)
    return standardised / np.maximum(np.linalg.norm(standardised, axis=1, keepdims=True), 1e-5)


def _cut(path: np.ndarray, start: int) -> int:
    """The first frame of the take that goes with frame `start` of the reading or a later one, by the path's middle."""
    before, after = path[path[:, 1] < start, 0], path[path[:, 1] >= start, 0]
    if not len(before) or not len(after):
        return 0 if not len(before) else int(before[-1]) + 1
    return round((before[-1] + 1 + after[0]) / 2)


def _to_pause(speech: np.ndarray, cut: int) -> int:
    """The cut, or the nearest within `SNAP_FRAMES` at which there is a pause."""
    near = range(max(cut - SNAP_FRAMES, 1), min(cut + SNAP_FRAMES + 1, len(speech)))
    pauses = [place for place in near if speech[place] - speech[place - 1] > PAUSE_FRAMES]
    return min(pauses, key=lambda place: abs(place - cut), default=cut)
