"""How much scores differ when nothing about the speaking does: a take re-encoded and at other levels."""

import numpy as np

from accent.audio.reencode import encode
from accent.audio.waveform import FULL_SCALE, SAMPLE_RATE, read_recording
from accent.scoring.scorer import Scorer

ENCODINGS = (("MP3", "MPEG_LAYER_III"), ("OGG", "OPUS"), ("OGG", "VORBIS"))
LEVELS_DB = (-10, -20)


def copies(waveform: np.ndarray) -> list[np.ndarray]:
    """Float waveforms at 16 kHz of the same performance: `waveform` (int16) in other codecs, and quieter."""
    original = waveform.astype(np.float32) / FULL_SCALE
    result = [original * np.float32(10 ** (level / 20)) for level in LEVELS_DB]
    for container, subtype in ENCODINGS:
        file = encode(original, SAMPLE_RATE, container, subtype)
        result.append(read_recording(file, len(original) / SAMPLE_RATE + 1).waveform)
    return result


def score_range(scorer: Scorer, waveform: np.ndarray, probability: float) -> tuple[float, float]:
    """The lowest and the highest probability of a take (int16) that got `probability`, and of its copies."""
    again = [scorer.score(copy).probability for copy in copies(waveform)]
    found = [probability, *(value for value in again if value is not None)]
    return min(found), max(found)
