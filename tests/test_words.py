"""Word times: against espeak-ng's own, against prompts of people joined with known gaps, and what is refused."""

import ctypes.util
from functools import cache

import numpy as np
import pytest
import safetensors.torch
import torch

from accent.audio import AudioParams, decode_clip, frame_levels
from accent.encoder import Encoder, encode
from accent.errors import InputError
from accent.reading import Reading, Word, read_aloud
from accent.words import carry_words, find_words
from tests.conftest import ROOT, SAMPLE

WEIGHTS = ROOT.parent / "shared" / "teacher" / "encoder.safetensors"
AUDIO = AudioParams(silence_db=40, margin_seconds=0.05, min_seconds=0.3, max_seconds=30)
FRENCH = "Les enfants ont mangé une pomme, et le chat dort dans le jardin."
# The sample's clips whose texts follow from the names of the files that they were joined of (SOURCES.tsv); the French
# voice says an article before each word.
ENGLISH_PROMPTS = {
    "en_90000377": ["ball", "bow", "coat"],
    "en_90000379": ["birds", "boy", "bridge"],
    "en_90000381": ["donkey", "girl", "grass"],
    "en_90000383": ["pyramid", "road", "sphinx"],
    "en_90000385": ["eyebrow", "flower", "hair"],
    "en_90000393": ["cheese", "cucumber", "mushroom"],
}
FRENCH_PROMPTS = {
    "fr_90000139": ["une colonne", "une femme"],
    "fr_90000147": ["une fusée", "un hôtel", "un monstre"],
    "fr_90000162": ["un renne", "une tortue"],
    "fr_90000169": ["un concombre", "un fromage"],
    "fr_90000179": ["une caravane", "un chemin"],
    "fr_90000187": ["une maison", "un mécanicien"],
}


@cache
def load_encoder() -> Encoder:
    encoder = Encoder(layers=4, positions=300).eval()
    tensors = safetensors.torch.load_file(WEIGHTS)
    tensors["embed_positions.weight"] = tensors["embed_positions.weight"][:300]
    encoder.load_state_dict({name: tensors[name].float() for name in encoder.state_dict()})
    return encoder


def frames_of(waveform: np.ndarray) -> torch.Tensor:
    return encode(load_encoder(), waveform)


def gaps_of(waveform: np.ndarray) -> list[tuple[float, float]]:
    """Where 150 ms or more are digitally silent but for the codec's noise, in seconds."""
    quiet = np.abs(waveform[: len(waveform) // 80 * 80].astype(int)).reshape(-1, 80).max(axis=1) <= 6
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]]))).reshape(-1, 2) * 80 / 16000
    return [
        (start, end) for start, end in edges if end - start >= 0.15 and start > 0 and end < len(waveform) / 16000 - 0.01
    ]


def onset(waveform: np.ndarray, seconds: float) -> float:
    """When sound within 40 dB of the loudest 25 ms begins at or after a time."""
    levels = frame_levels(waveform[round(seconds * 16000) :] / np.float32(32768))
    return seconds + np.flatnonzero(levels > levels.max() - 40)[0] * 0.01


def prompt_errors(prompts: dict[str, list[str]], voice: str) -> np.ndarray:
    """How far the begins of joined prompts are from the first sound after the gaps before them, in seconds."""
    errors = []
    for name, texts in prompts.items():
        waveform, _ = decode_clip(SAMPLE / name[:2] / "clips" / f"common_voice_{name}.mp3", AUDIO)
        gaps = gaps_of(waveform)
        assert len(gaps) == len(texts) - 1
        words = find_words(waveform, " ".join(texts), voice, frames_of)
        first_words = np.cumsum([len(text.split()) for text in texts])[:-1]
        errors += [words[n].start - onset(waveform, end) for n, (_, end) in zip(first_words, gaps, strict=True)]
    return np.abs(errors)


@pytest.mark.parametrize(("prompts", "voice"), [(ENGLISH_PROMPTS, "en-us"), (FRENCH_PROMPTS, "fr")])
def test_prompts_of_people_begin_where_their_gaps_end(prompts, voice):
    errors = prompt_errors(prompts, voice)
    assert len(errors) >= 8
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
