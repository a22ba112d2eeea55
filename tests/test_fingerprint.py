"""Recordings known again in another encoding, and others not taken for them; the bounds are what was measured."""

import io
import subprocess

import av
import numpy as np
import pytest
import soxr

from accent.audio import duplicates
from accent.audio.duplicates import same_recordings
from accent.audio.fingerprint import LANDMARK, MAX_LANDMARKS, fingerprint
from accent.audio.reencode import amplified, mp3, opus, wav
from accent.audio.waveform import SAMPLE_RATE, decode_clip, read_recording
from accent.core.errors import Reject
from tests.helpers import sample_clips
from tests.test_audio import PARAMS

# A false match, since the padding of MP3 is cut: one voice's "locked" and "unlocked" by one telephone codec, whose
# correlation is 0.75 in the first half second and below 0.5 after it. It costs one clip.
ALIKE = ("common_voice_fr_90000505", "common_voice_fr_90000512")

# The sample's clips that are one recording, by data/sample/SOURCES.tsv: two and their copies by codec2, and clips of
# whose joined prompts all or most are the same files (the first two voices of KTuberling share some).
COPIES = {
    ("common_voice_en_90000242", "common_voice_en_90000260"),
    ("common_voice_en_90000578", "common_voice_en_90000583"),
    ("common_voice_en_90000579", "common_voice_en_90000582"),
    ("common_voice_fr_90000135", "common_voice_fr_90000194"),
    ("common_voice_fr_90000136", "common_voice_fr_90000196"),
    ("common_voice_fr_90000150", "common_voice_fr_90000197"),
}
COVERED = ("559", "560", "561", "562", "563", "584", "585", "587", "588", "589")  # by noise: `decode` refuses them
CLIPS = [path for locale in ("fr", "en") for path in sample_clips(locale) if not path.stem.endswith(COVERED)]
RATE = 32000


def print_of(source: bytes) -> bytes:
    try:
        return fingerprint(decode_clip(source, PARAMS)[0])
    except Reject:  # by a hair too short after another encoding
        return b""


@pytest.fixture(scope="module")
def prints() -> list[bytes]:
    return [print_of(path.read_bytes()) for path in CLIPS]


def test_the_sample_s_recordings_are_told_apart_all_pairs_of_them(prints):
    """175,000 pairs, among them the same prompts by several voices: the copies are found, and nothing else."""
    first = same_recordings(prints)
    found = {(CLIPS[one].stem, CLIPS[clip].stem) for clip, one in enumerate(first) if clip != one}
    assert {tuple(sorted(pair)) for pair in found} - {ALIKE} == COPIES


def opus_at_16_kbps(waveform: np.ndarray, rate: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as output:
        track = output.add_stream("libopus", rate=16000, layout="mono", format="flt", bit_rate=16000)
        samples = np.clip(soxr.resample(waveform, rate, 16000), -1, 1)[np.newaxis].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = 16000
        for piece in (frame, None):
            output.mux(track.encode(piece))
    return file.getvalue()


def cut_elsewhere(waveform: np.ndarray, rate: int) -> bytes:
    """Another start, by a part of a frame, with silence around, so that trimming has to find the ends again."""
    silence = np.zeros(rate // 7, np.float32)
    return wav(np.concatenate([silence, waveform[rate // 90 :], silence]), rate)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("again", "least"),
    [
        (lambda waveform, rate: mp3(waveform, rate, 32), 0.95),
        (opus, 0.98),
        (opus_at_16_kbps, 0.95),
        (lambda waveform, rate: wav(amplified(waveform, -10), rate), 0.98),
        (cut_elsewhere, 0.95),
    ],
    ids=["mp3-32", "opus", "opus-16", "10-dB-quieter", "cut-elsewhere"],
)
def test_another_encoding_of_a_recording_is_known_again_and_no_other_is(prints, again, least):
    chosen = range(0, len(CLIPS), 6)
    waveforms = [soxr.resample(read_recording(CLIPS[clip], 30).waveform, SAMPLE_RATE, RATE) for clip in chosen]
    copies = [print_of(again(waveform, RATE)) for waveform in waveforms]
    first = same_recordings(prints + copies)[len(prints) :]
    alone = same_recordings(prints)
    found = [one == alone[clip] for clip, one in zip(chosen, first, strict=True)]
    unknown = first >= len(prints)
    print(f"recall {np.mean(found):.3f} of {len(found)}")
    assert np.mean(found) >= least
    assert all(one or gone for one, gone in zip(found, unknown, strict=True))  # not known, never taken for another


def test_voices_that_read_the_same_sentences_are_not_one_recording(tmp_path):
    """Each at a rate of its own, as people do: one synthesiser at one rate gives all voices the same rhythm."""
    sentences = ["Il fait beau aujourd'hui et nous allons à la plage.", "Où est la gare, madame ?"]
    sentences += ["Merci beaucoup, et à demain matin.", "Le train part à huit heures et quart."]
    voices = [f"fr+{variant}" for variant in ("m1", "m3", "m5", "f1", "f3", "f5")] + ["fr-be", "fr-ch+f2"]
    rates = (120, 160, 135, 150, 125, 165, 130, 145)
    made = []
    for text in sentences:
        for voice, rate in zip(voices, rates, strict=True):
            command = ["espeak-ng", "-v", voice, "-s", str(rate), "-w", str(tmp_path / "said.wav"), text]
            subprocess.run(command, check=True)
            made.append(print_of((tmp_path / "said.wav").read_bytes()))
    assert all(made)
    assert list(same_recordings(made)) == list(range(len(made)))


def made_print(generator: np.random.Generator, landmarks: int = 12) -> np.ndarray:
    made = np.zeros(landmarks, LANDMARK)
    made["time"] = np.cumsum(generator.integers(10, 40, landmarks))
    made["signs"] = generator.integers(0, 2**32, landmarks)
    made["weakest"] = [0, 1]
    return made


def changed(original: np.ndarray, errors: int, generator: np.random.Generator, shift: int = 0) -> np.ndarray:
    """The print with so many wrong signs in each landmark but the first, of which a weak one is wrong."""
    copy = original.copy()
    copy["time"] += shift
    for row in copy[1:]:
        row["signs"] ^= np.bitwise_or.reduce(1 << generator.choice(32, errors, replace=False).astype(np.uint32))
    copy["signs"][0] ^= 1
    return copy


def test_how_many_signs_may_differ_and_that_a_shift_does_not_matter():
    generator = np.random.default_rng(1)
    original = made_print(generator)
    for errors, same in ((3, True), (4, True), (6, False), (16, False)):
        copy = changed(original, errors, generator, shift=37)
        assert (list(same_recordings([original.tobytes(), copy.tobytes()])) == [0, 0]) == same, errors


def test_half_of_a_clip_may_be_missing_and_no_more():
    original = made_print(np.random.default_rng(1))
    assert list(same_recordings([original.tobytes(), original[:6].tobytes()])) == [0, 0]
    assert list(same_recordings([original.tobytes(), original[:4].tobytes()])) == [0, 1]


def test_copies_of_copies_are_one_recording_however_many():
    generator = np.random.default_rng(1)
    original = made_print(generator)
    many = [changed(original, 1, generator, shift).tobytes() for shift in range(200)]
    others = [made_print(generator).tobytes() for _ in range(5)]
    first = same_recordings([*others, *many, b"", b""])
    assert list(first) == [0, 1, 2, 3, 4, *[5] * 200, 205, 206]
    assert list(same_recordings([])) == []


def test_what_is_compared_grows_with_the_clips_and_not_with_their_pairs(monkeypatch):
    """The worst case: all clips have the same signs everywhere, at other times."""
    generator = np.random.default_rng(1)
    made = [made_print(generator) for _ in range(300)]
    for one in made:
        one["signs"] = 7
    compared = 0
    agree = duplicates._agree

    def counting(times, *rest):
        nonlocal compared
        compared += len(times)
        return agree(times, *rest)

    monkeypatch.setattr(duplicates, "_agree", counting)
    same_recordings([one.tobytes() for one in made])
    assert 0 < compared <= duplicates.NEIGHBOURS * 4 * 12 * 300


def test_a_print_has_few_landmarks_by_time_and_silence_none(tone):
    noise = np.random.default_rng(1).normal(0, 3000, 20 * SAMPLE_RATE).astype(np.int16)
    landmarks = np.frombuffer(fingerprint(noise), LANDMARK)
    assert len(landmarks) == MAX_LANDMARKS
    assert (np.diff(landmarks["time"].astype(int)) > 0).all()
    assert landmarks["time"].max() < 2000
    for nothing in (np.zeros(SAMPLE_RATE, np.int16), np.zeros(0, np.int16), noise[:900]):
        assert fingerprint(nothing) == b""
