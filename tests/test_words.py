"""Word times: against espeak-ng's own, against prompts of people joined with known gaps, and what is refused."""

import ctypes.util
from functools import cache

import numpy as np
import pytest
import torch

from accent.audio.waveform import AudioParams, Recording, decode_clip, trim
from accent.core.errors import InputError
from accent.grading.encoder import encode
from accent.grading.reading import Reading, Word, read_aloud
from accent.grading.store import load_ear
from accent.grading.words import align_words, carry_words, find_words
from tests.helpers import ROOT, SAMPLE

AUDIO = AudioParams(silence_db=40, margin_seconds=0.05, min_seconds=0.3, max_seconds=30)
NO_MARGIN = AudioParams(silence_db=40, margin_seconds=0, min_seconds=0.3, max_seconds=30)
FRENCH = "Les enfants ont mangé une pomme, et le chat dort dans le jardin."
# Clips of the sample whose texts follow from the names of the files that they were joined of (SOURCES.tsv), one after
# the other; the French voice says an article before each word.
ENGLISH_PROMPTS = {
    "en_90000377": ["ball", "bow", "coat"],
    "en_90000378": ["ear", "earring", "arch"],
    "en_90000379": ["birds", "boy", "bridge"],
    "en_90000380": ["camel", "cart", "column"],
    "en_90000381": ["donkey", "girl", "grass"],
}
FRENCH_PROMPTS = {
    "fr_90000139": ["une colonne", "une femme"],
    "fr_90000140": ["une fille", "un garçon", "une herbe"],
    "fr_90000141": ["un homme", "une oasis"],
    "fr_90000142": ["des oiseaux", "un palmier"],
    "fr_90000143": ["un pont", "un puits", "une pyramide"],
    "fr_90000144": ["une route", "un sphinx"],
}


@cache
def load_encoder() -> torch.nn.Module:
    return load_ear(ROOT / "models" / "encoder")[0].encoder


def frames_of(waveform: np.ndarray) -> torch.Tensor:
    return encode(load_encoder(), waveform)


def split_prompts(waveform: np.ndarray) -> list[np.ndarray]:
    """The prompts of a clip that was joined with gaps, each trimmed to its speech."""
    blocks = np.abs(waveform[: len(waveform) // 80 * 80].astype(int)).reshape(-1, 80).max(axis=1) > 6
    edges = np.flatnonzero(np.diff(np.concatenate([[1], blocks, [1]]))).reshape(-1, 2) * 80
    gaps = [(start, end) for start, end in edges if end - start >= 2400 and start > 0 and end < len(blocks) * 80]
    bounds = [0, *np.ravel(gaps).astype(int), len(waveform)]
    prompts = [waveform[start:end] / np.float32(32767) for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
    found = [trim(Recording(prompt, 16000, "", 0.0), NO_MARGIN)[0] for prompt in prompts]
    # An encoder may ring in the middle of a gap: hundreds of times less loud than speech.
    return [prompt for prompt in found if len(prompt) and np.abs(prompt).max() > 1000]


def boundary_errors(prompts: dict[str, list[str]], voice: str, gap_seconds: float) -> np.ndarray:
    """How far the ends and begins of prompts that are joined with known gaps are from the truth, in seconds."""
    errors = []
    gap = np.zeros(round(gap_seconds * 16000), np.int16)
    for name, texts in prompts.items():
        clip, _ = decode_clip(SAMPLE / name[:2] / "clips" / f"common_voice_{name}.mp3", AUDIO)
        pieces = split_prompts(clip)
        assert len(pieces) == len(texts)
        take = np.concatenate([part for piece in pieces for part in (piece, gap)][:-1])
        words = find_words(take, " ".join(texts), voice, frames_of)
        ends = np.cumsum([len(piece) + len(gap) for piece in pieces])[:-1] / 16000 - gap_seconds
        for number, end in zip(np.cumsum([len(text.split()) for text in texts]), ends, strict=False):
            errors += [words[number - 1].end - end, words[number].start - end - gap_seconds]
    return np.abs(errors)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompts", "voice", "gap_seconds"),
    [(ENGLISH_PROMPTS, "en-us", 0.2), (ENGLISH_PROMPTS, "en-us", 0.0), (FRENCH_PROMPTS, "fr", 0.2)],
)
def test_words_of_people_are_where_they_were_joined(prompts, voice, gap_seconds):
    errors = boundary_errors(prompts, voice, gap_seconds)
    assert len(errors) >= 16
    assert np.median(errors) < 0.06


@pytest.mark.parametrize(("voice", "pace"), [("fr+f2", 140), ("fr-be+m3", 190)])
def test_another_voices_words_are_where_espeak_says(voice, pace):
    take = read_aloud(FRENCH, voice, pace)
    found = find_words(take.waveform, FRENCH, "fr", frames_of)
    assert [word.text for word in found] == FRENCH.replace(",", "").replace(".", "").split()
    errors = [abs(word.start - true.start) for word, true in zip(found, take.words, strict=True)]
    assert np.median(errors) < 0.03
    assert max(errors) < 0.15


def test_a_pause_belongs_to_no_word():
    take = read_aloud(FRENCH, "fr+f2")
    at = round(take.words[5].start * 16000)
    paused = np.concatenate([take.waveform[:at], np.zeros(8000, np.int16), take.waveform[at:]])
    words = find_words(paused, FRENCH, "fr", frames_of)
    assert words[4].end < take.words[5].start + 0.05
    assert words[5].start > take.words[5].start + 0.45


def test_words_of_a_natives_reading_are_carried_over():
    native = read_aloud(FRENCH, "fr+f2", 150)
    take = read_aloud(FRENCH, "fr", 190)
    found = carry_words(take.waveform, native, frames_of)
    errors = [abs(word.start - true.start) for word, true in zip(found, take.words, strict=True)]
    assert np.median(errors) < 0.03


def test_words_are_nearer_in_the_same_sounds():
    native, same, foreign = (read_aloud(FRENCH, voice) for voice in ("fr+f2", "fr", "en-us+f2"))
    itself, near, far = (np.array(align_words(take.waveform, native, frames_of)[1]) for take in (native, same, foreign))
    assert itself.max() < 0.1  # not 0 where a step of the path lies between two words
    assert near.mean() < far.mean() - 0.1  # though the voice is another one, and the foreign one is the same
    assert len(far) == len(native.words)


def test_words_that_espeak_takes_together_share_their_time():
    words = read_aloud("The cat of the house", "en-us").words
    starts = [word.start for word in words]
    assert starts == sorted(set(starts))
    assert words[-1].end > words[-1].start


def test_marks_are_words_without_punctuation():
    words = read_aloud("« Bonjour », dit-elle : <il> & moi !", "fr").words
    assert [word.text for word in words] == ["Bonjour", "dit-elle", "il", "moi"]
    assert all(word.end > word.start for word in words)
    again = read_aloud("« Bonjour », dit-elle : <il> & moi !", "fr")
    assert again.words == words


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1, 2 ?!", "no letters in it"),
        ("Oui.", "letters for"),
        (FRENCH * 8, "letters for"),
    ],
)
def test_another_text_is_refused(text, says):
    take = read_aloud(FRENCH, "fr+f2").waveform
    with pytest.raises(InputError, match=says) as caught:
        find_words(take, text, "fr", frames_of)
    assert "\n" not in str(caught.value)


def test_other_words_of_the_same_length_are_refused():
    waveform, _ = decode_clip(SAMPLE / "en" / "clips" / "common_voice_en_90000383.mp3", AUDIO)
    with pytest.raises(InputError, match="its words are not those of the take"):
        find_words(waveform, "eyebrow flower hair", "en-us", frames_of)


def test_a_silent_take_is_refused():
    silence = np.zeros(32000, np.int16)
    with pytest.raises(InputError, match="no speech in the take"):
        carry_words(silence, Reading(silence, [Word("oui", 0.0, 1.0)]), frames_of)
    with pytest.raises(InputError, match=r"for 0\.0 s of speech"):
        find_words(silence, "oui", "fr", frames_of)


def test_an_unknown_voice_is_refused():
    with pytest.raises(InputError, match="no voice 'klingonese'.*--voices"):
        read_aloud("bonjour", "klingonese")


def test_without_espeak_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(InputError, match="apt install espeak-ng"):
        read_aloud("bonjour", "fr")
