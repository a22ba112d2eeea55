"""Readings of the page's own sentences by espeak-ng, with which the page finds the words in a take."""

import base64
import json
from pathlib import Path

import numpy as np
import torch

from accent.core.errors import InputError
from accent.grading.encoder import encode, speech_places
from accent.grading.grader import Grader
from accent.grading.reading import Reading, read_aloud
from accent.grading.take import VOICES

SENTENCES = Path("web/src/text/sentences.json")
DIMENSIONS = 64  # of the ear's principal components: words are found as well as with all of them
FILE = "readings.json"


def sentences_for(target: str, path: Path = SENTENCES) -> list[str]:
    """The page's sentences for a class, without the marks of their difficulty; none for another class."""
    difficulties = json.loads(path.read_text(encoding="utf-8")).get(target, {})
    return [text.replace("*", "") for entry in difficulties.values() for text in entry["sentences"]]


@torch.inference_mode()
def sounds(grader: Grader, waveform: np.ndarray) -> np.ndarray:
    """What the ear hears in the speech of a waveform (int16): frames (n, `DIMENSIONS`), not yet made one long."""
    frames = grader.ear.project(encode(grader.ear.encoder, waveform))
    return frames[speech_places(waveform), :DIMENSIONS].numpy()


def describe_reading(grader: Grader, text: str, reading: Reading) -> dict:
    """A reading for the page: its words with their times, and its frames of speech, standardised and one long, int8."""
    frames = sounds(grader, reading.waveform)
    frames = (frames - frames.mean(axis=0)) / (frames.std(axis=0) + 1e-5)
    frames /= np.maximum(np.linalg.norm(frames, axis=1, keepdims=True), 1e-5)
    return {
        "text": text,
        "words": [[word.text, round(word.start, 3), round(word.end, 3)] for word in reading.words],
        "places": speech_places(reading.waveform).tolist(),
        "frames": base64.b64encode(np.rint(127 * frames).astype(np.int8).tobytes()).decode(),
    }


def make_readings(grader: Grader, target: str) -> list[dict]:
    """The readings of all sentences for a target; none, with a line that says why, where espeak-ng cannot read."""
    locale = grader.card.locales[target]
    voice = VOICES.get(locale, locale.lower())
    try:
        return [describe_reading(grader, text, read_aloud(text, voice)) for text in sentences_for(target)]
    except InputError as error:
        print(f"no words under a take: {error}")
        return []
