"""The page's signal path in TypeScript, held to Python's numbers on real recordings."""

import base64
import re
import subprocess
from dataclasses import asdict
from types import SimpleNamespace

import av
import numpy as np
import pytest
import scipy.stats
import soundfile as sf
import soxr
import torch

from accent.audio.high_pass import LOW_PASS, STEP, high_pass
from accent.audio.spectrogram import log_mel
from accent.audio.waveform import FULL_SCALE, AudioParams, Recording, mix, trim
from accent.audio.windows import even_starts
from accent.grading.encoder import CONTEXT_SECONDS, FRAME_SECONDS, encode, fill_up, pieces_of, speech_places
from accent.grading.grade import BELOW, ELSEWHERE, NEAR, WITHIN, Reference, judge
from accent.grading.grader import Heard
from accent.grading.reading import read_aloud
from accent.grading.store import load_ear
from accent.grading.take import GradedPiece, grade_take
from accent.grading.words import carry_words
from accent.network.model import ModelCard
from accent.network.typicality import COUNT, Typicality, clip_features
from accent.page.export_grade import describe
from accent.page.readings import DIMENSIONS, describe_reading, sentences_for, sounds
from accent.scoring.refusal import QUALITY, UNPROVEN, Refusal, refusal
from accent.scoring.scorer import merge_measures
from tests.helpers import ROOT, sample_clips
from tests.web import LIMITS, SPECTROGRAM, WEB, Signal, as_floats, as_text, node, packages

AUDIO = AudioParams(silence_db=40.0, margin_seconds=0.05, min_seconds=0.8, max_seconds=30.0)
CARD = ModelCard(
    arch="resnet18",
    width=8,
    antialias=False,
    classes=("english", "french"),
    audio=AUDIO,
    spectrogram=SPECTROGRAM,
    window_seconds=1.5,
    window_hop_seconds=0.5,
    temperature=1.0,
    weights_sha256="",
)
RNG = np.random.default_rng(0)
TYPICALITY = Typicality(
    mean=tuple(RNG.normal(size=COUNT)), precision=tuple(map(tuple, np.cov(RNG.normal(size=(COUNT, 99))))), allowed=2.0
)
WEB_CARD = {
    "audio": {**asdict(AUDIO), "sample_rate": 16000},
    "high_pass": {"step": STEP, "taps": LOW_PASS.tolist()},
    "spectrogram": asdict(SPECTROGRAM),
    "window": CARD.window,
    "window_hop": CARD.window_hop,
    "typicality": asdict(TYPICALITY),
}


@pytest.fixture(scope="module")
def signal(tmp_path_factory) -> Signal:
    return Signal(tmp_path_factory.mktemp("signal"))


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """Real clips at 16 kHz."""
    found = [sf.read(path, dtype="float32") for path in sample_clips("fr")[::60] + sample_clips("en")[::50]]
    return [soxr.resample(samples, rate, 16000) for samples, rate in found]


@pytest.mark.slow
def test_the_page_compiles_and_its_lock_names_no_registry():
    packages()
    node("npx", "tsc", "--noEmit")
    assert "resolved" not in (WEB / "package-lock.json").read_text()


def test_the_oldest_browsers_are_those_of_the_docs_and_have_the_colours():
    named = re.search(r"BROWSERS = \[(.*)\]", (WEB / "build.mjs").read_text())[1]
    oldest = dict(re.findall(r'"([a-z]+)([\d.]+)"', named))
    text = (ROOT / "docs" / "page.md").read_text()
    assert oldest["chrome"] == oldest["edge"]
    assert f"Chrome and Edge {oldest['chrome']}, Firefox {oldest['firefox']}, Safari {oldest['safari']}." in text
    assert "light-dark(#" not in (WEB / "src" / "styles.css").read_text()  # Chrome 123, Firefox 120, Safari 17.5


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 44100, 48000, 96000])
def test_resampling_agrees_with_soxr(signal, rate):
    samples, source = sf.read(sample_clips("fr")[3], dtype="float32")
    there = soxr.resample(samples, source, rate)[: 3 * rate]
    expected = soxr.resample(there, rate, 16000)
    found = as_floats(signal(["resample", as_text(there), rate, 16000])[0])
    assert len(found) == len(expected)
    edge = 200  # samples at the ends, where both see zeros beyond
    error = (found - expected)[edge:-edge]
    assert np.sqrt(np.mean(error**2)) < 1e-3 * np.sqrt(np.mean(expected**2))  # -60 dB


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_a_recording_that_grows_is_resampled_as_if_it_were_whole(signal, clips, rate):
    lengths = [0, 10, 300, rate, rate + 1, 2 * rate, rate // 2, len(clips[0])]  # shorter again: another recording
    found, *wholes = signal(
        ["grown", as_text(clips[0]), lengths, rate, 16000],
        *(["resample", as_text(clips[0][:length]), rate, 16000] for length in lengths),
    )
    assert found == wholes


@pytest.mark.parametrize("rate", [44100, 48000])
def test_resampling_keeps_tones_in_the_band_and_drops_those_beyond(signal, rate):
    time = np.arange(2 * rate) / rate
    kept, dropped = (
        as_floats(signal(["resample", as_text(0.5 * np.sin(2 * np.pi * hz * time)), rate, 16000])[0])[1000:-1000]
        for hz in (7000, 8200)
    )
    assert np.sqrt(2 * np.mean(kept**2)) == pytest.approx(0.5, rel=1e-3)
    assert np.sqrt(np.mean(dropped**2)) < 1e-5


def test_the_high_pass_agrees(signal, clips):
    hum = 0.1 * np.sin(2 * np.pi * 50 * np.arange(len(clips[0])) / 16000) + 0.2
    for waveform in (clips[0], (clips[0] + hum).astype(np.float32), clips[1][:500], clips[1][:2], clips[1][:1]):
        (found,) = signal(["highPass", as_text(waveform), WEB_CARD])
        assert as_floats(found) == pytest.approx(high_pass(waveform), abs=2e-6)


def test_channels_are_mixed_alike(signal, clips):
    left = clips[0]
    for channels in (
        [left],
        [left, 0.5 * left],
        [left, -0.9 * left],
        [-left, left, 0.1 * left],
        [left, clips[0][::-1]],
    ):
        expected, _ = mix(np.stack(channels))
        (found,) = signal(["mix", [as_text(channel) for channel in channels]])
        assert as_floats(found) == pytest.approx(expected, abs=1e-6)


def test_trimming_and_measures_agree(signal, clips):
    noisy = clips[0] + RNG.normal(0, 0.01, len(clips[0])).astype(np.float32)
    silence, click = np.zeros(20000, np.float32), np.zeros(20000, np.float32)
    click[9000:9200] = 0.5
    cases = [*clips, noisy, silence, click, clips[1][:300], 3 * clips[2]]
    results = signal(*(["trim", as_text(case), WEB_CARD] for case in cases))
    assert sum(len(as_floats(result["waveform"])) > 0 for result in results) >= len(clips)
    for case, result in zip(cases, results, strict=True):
        expected, measures = trim(Recording(case, 16000, "", 0.0), AUDIO)
        found = as_floats(result["waveform"])
        assert len(found) == len(expected)
        assert np.abs(found - expected).max(initial=0) <= 1
        assert np.abs(found).max(initial=0) <= FULL_SCALE
        for name, value in result["measures"].items():
            assert value == pytest.approx(measures[name], abs=1e-3), name


def test_measures_of_pieces_are_merged_alike(signal, clips):
    lists = [
        clips[:3],
        [np.zeros(30000, np.float32), clips[0], np.zeros(16000, np.float32)],
        [np.zeros(30000, np.float32)] * 2,
    ]
    for pieces in lists:
        measured = [trim(Recording(piece, 16000, "", 0.01), AUDIO)[1] for piece in pieces]
        expected = merge_measures(measured)
        plain = [{name: float(value) for name, value in row.items() if name != "source_codec"} for row in measured]
        (found,) = signal(["mergeMeasures", plain])
        assert found.keys() == expected.keys() - {"source_codec"}
        for name, value in found.items():
            assert value == pytest.approx(expected[name]), name


def test_typicality_agrees(signal, clips):
    for clip in [*clips, clips[0][:8000]]:
        spectrogram = log_mel((clip * FULL_SCALE).astype(np.int16), SPECTROGRAM)
        expected = clip_features(spectrogram, CARD).mean(axis=0)
        cells = base64.b64encode(spectrogram.tobytes()).decode()
        features, distance = signal(
            ["features", cells, len(spectrogram), WEB_CARD], ["unlikeness", expected.tolist(), WEB_CARD]
        )
        assert features == pytest.approx(expected, abs=1e-5)
        assert distance == pytest.approx(TYPICALITY.unlikeness(expected))


def test_windows_start_alike(signal):
    cases = [
        (length, window, hop) for length in (1, 149, 150, 151, 225, 500, 3001) for window, hop in ((150, 50), (30, 7))
    ]
    found = signal(*(["evenStarts", *case] for case in cases))
    assert found == [even_starts(*case).tolist() for case in cases]


def test_refusals_agree(signal):
    measures = {"speech_s": 3.0, "snr_db": 40.0, "clipped_fraction": 0.0, "bandwidth_hz": 7900.0}
    clipped = {"clipped_fraction": 0.05, "snr_db": 3.0}
    changes = [{}, {"speech_s": 0.0}, {"speech_s": 0.5}, clipped, {"snr_db": 3.0}, {"bandwidth_hz": 3400.0}]
    cases = [
        ({**measures, **change}, distance, probability)
        for change in changes
        for distance in (0.5, 1.5)
        for probability in (None, 0.3, 0.55, 0.9)
    ]
    found = signal(*(["refusal", *case, asdict(LIMITS)] for case in cases))
    kinds = set()
    for (given, distance, probability), result in zip(cases, found, strict=True):
        expected = refusal({name: given[name] for name in QUALITY}, distance, probability, LIMITS)
        assert result == (expected and expected._asdict())
        kinds.add(expected and expected.kind)
    assert len(kinds) == 9  # every reason of a take, and none
    proved, not_proved = signal(*(["unproven", {"fitness": {"verdicts": it}}] for it in (True, False)))
    assert proved is None
    assert not_proved == Refusal(UNPROVEN)._asdict()


# --- the grade

REFERENCE = Reference(
    centre=0.1, between=0.004, within=0.002, deviations=tuple(np.linspace(-2.6, 2.4, 101).tolist()), stretch=-0.05,
    takes=80, speakers=20,
)  # fmt: skip
GRADE = describe(REFERENCE)


def grades(count: int, mean: float, seed: int) -> np.ndarray:
    """Grades of frames that change slowly, as those of speech do."""
    return mean + np.convolve(np.random.default_rng(seed).normal(0, 0.2, count + 6), np.ones(7) / 7, "valid")


def test_the_grade_its_interval_and_its_verdict_agree(signal):
    takes = [
        grades(count, mean, count) for count in (1, 9, 20, 40, 41, 133, 700, 9000) for mean in (-0.3, -0.03, 0.02, 0.4)
    ]
    likely = [number % 3 > 0 for number in range(len(takes))]
    found = signal(*(["judge", take.tolist(), GRADE, it] for take, it in zip(takes, likely, strict=True)))
    names = {WITHIN: "within", NEAR: "near", BELOW: "below", ELSEWHERE: "elsewhere"}
    said = set()
    for take, it, result in zip(takes, likely, found, strict=True):
        expected = judge(take, "french", REFERENCE)
        assert result["value"] == pytest.approx(expected.grade, abs=1e-9)
        assert (result["low"], result["high"]) == pytest.approx((expected.low, expected.high), abs=1e-4)
        assert result["percentile"] == pytest.approx(expected.percentile, abs=1e-6)
        range_found = (result["natives"]["low"], result["natives"]["high"])
        assert range_found == pytest.approx((expected.native_low, expected.native_high))
        assert result["verdict"] == names[expected.verdict(it)]
        said.add(result["verdict"])
    assert said == set(names.values())


def test_student_s_t_agrees(signal):
    freedoms = [2, 3, 10, 40, 41, 60, 200, 4000]
    found = signal(*(["student", freedom, GRADE] for freedom in freedoms))
    assert found == pytest.approx(scipy.stats.t.ppf(0.975, freedoms), abs=1e-4)


def heard(clips, number: int) -> Heard:
    """Grades at the places of real speech, with its pauses."""
    places = speech_places((clips[number] * FULL_SCALE).astype(np.int16))
    return Heard(grades(len(places), 0.0, number), places)


def test_stretches_and_moments_agree(signal, clips):
    for numbers in ((0,), (1,), (2, 3, 1)):
        pieces = [GradedPiece(30.0 * i + 0.37, heard(clips, number)) for i, number in enumerate(numbers)]
        expected = grade_take(pieces, "french", REFERENCE)
        plain = [
            {"start": p.start_s, "values": p.heard.values.tolist(), "places": p.heard.places.tolist()} for p in pieces
        ]
        stretches, frames = signal(["leastNative", plain, GRADE], ["moments", plain, GRADE])
        assert len(expected.stretches) > 0
        assert len(stretches) == len(expected.stretches)
        for stretch, there in zip(stretches, expected.stretches, strict=True):
            assert (stretch["start"], stretch["end"]) == pytest.approx((there.start_s, there.end_s))
        values = [value for value in frames["values"] if value is not None]
        assert values == pytest.approx([moment.grade for moment in expected.timeline], abs=1e-6)
        assert frames["start"] == pytest.approx(expected.timeline[0].start_s)
        assert frames["limit"] == REFERENCE.stretch


@pytest.mark.slow
def test_the_encoder_s_pieces_agree(signal, clips):
    lengths = [1, 319, 320, 5000, 127_999, 128_000, 128_001, 300_000, 480_000]
    for length, found in zip(lengths, signal(*(["piecesOf", length, GRADE] for length in lengths)), strict=True):
        expected = pieces_of(np.zeros(length, np.int16), CONTEXT_SECONDS)
        starts = np.cumsum([0, *(len(piece) for piece in expected)])[:-1] // 320
        assert found["starts"] == starts.tolist()
    waveforms = [(clip * FULL_SCALE).astype(np.int16) for clip in clips]
    noisy = (waveforms[0] + RNG.normal(0, 300, len(waveforms[0]))).astype(np.int16)
    silence = np.concatenate([np.zeros(20_000, np.int16), waveforms[1]])
    for waveform in [*waveforms, noisy, silence, np.zeros(9000, np.int16)]:
        text = as_text(waveform.astype(np.float32))
        places, filled = signal(["speechPlaces", text, GRADE], ["fillUp", text, GRADE])
        assert places == speech_places(waveform).tolist()
        if len(waveform) <= 16000 * CONTEXT_SECONDS:
            assert as_floats(filled) == pytest.approx(fill_up(waveform, CONTEXT_SECONDS).numpy(), abs=1e-7)


@pytest.fixture(scope="module")
def ear() -> SimpleNamespace:
    """What `accent.page.readings` needs of a grader."""
    return SimpleNamespace(ear=load_ear(ROOT / "models" / "encoder")[0])


@pytest.mark.slow
def test_words_are_found_where_python_finds_them(signal, ear):
    texts = sentences_for("french")[2::12]
    readings = [describe_reading(ear, text, read_aloud(text, "fr")) for text in texts]
    for text, reading in zip(texts, readings, strict=True):
        take = read_aloud(text, "fr+f3", 150)
        frames, places = sounds(ear, take.waveform), speech_places(take.waveform).tolist()
        longer = {**reading, "words": 9 * reading["words"]}  # nobody speaks so fast
        noise = RNG.normal(size=frames.shape)
        found, wrong, too_fast = signal(
            ["words", as_text(frames.ravel()), DIMENSIONS, places, reading, FRAME_SECONDS],
            ["words", as_text(noise.ravel()), DIMENSIONS, places, reading, FRAME_SECONDS],
            ["words", as_text(frames.ravel()), DIMENSIONS, places, longer, FRAME_SECONDS],
        )

        def encode_few(waveform: np.ndarray) -> torch.Tensor:
            with torch.inference_mode():
                return ear.ear.project(encode(ear.ear.encoder, waveform))[:, :DIMENSIONS]

        expected = carry_words(take.waveform, read_aloud(text, "fr"), encode_few)
        assert [word for word, _, _ in found] == [word.text for word in expected]
        there = [(word.start, word.end) for word in expected]
        off = np.abs(np.array([span for _, *span in found]) - there)
        assert np.median(off) < 1e-6
        assert (off > 0.05).mean() < 0.1  # where two ways are as cheap, rounding chooses
        late = [start - word.start for (_, start, _), word in zip(found, take.words, strict=True)]
        assert np.median(np.abs(late)) < 0.03
        assert wrong is too_fast is None


# --- practice over time


def test_better_is_said_only_beyond_the_spread_of_retakes(signal):
    steady = [["a", value] for value in (1.0, 1.1, 0.9, 1.0, 1.1, 0.95, 1.0)]
    cases = [[*steady, ["a", last]] for last in (1.05, 2.0, 0.0)]
    found = signal(*(["change", case] for case in cases))
    assert found == [None, "better", "worse"]
    few = [["a", 1.0], ["a", 1.1], ["a", 5.0]]
    other = [["b", 1.0], ["b", 1.0], ["b", 1.0], ["b", 1.0], ["a", 5.0]]
    refused = [*steady, ["a", None]]
    assert signal(["change", few], ["change", other], ["change", refused]) == [None] * 3


def test_retakes_of_one_performance_are_never_called_a_change(signal):
    calls = []
    for draw in range(40):
        values = np.random.default_rng(draw).normal(1, 0.3, 10)
        calls += [["change", [["a", float(value)] for value in values[: count + 1]]] for count in range(10)]
    said = [answer for answer in signal(*calls) if answer]
    assert len(said) <= 0.02 * len(calls)


def test_sentences_are_distinct_and_each_has_a_difficulty_and_its_words(signal):
    for target, count in (("french", 60), ("english", 30)):
        (sentences,) = signal(["sentences", target])
        assert len(sentences) == len({s["text"] for s in sentences}) == len({s["id"] for s in sentences}) == count
        for sentence in sentences:
            assert sentence["marked"].count("*") >= 2, sentence
            assert sentence["marked"].count("*") % 2 == 0
            assert "*" not in sentence["text"]
            assert sentence["text"][-1] in ".?!"
            for texts in (sentence["difficulty"]["name"], sentence["difficulty"]["hint"]):
                assert texts["en"]
                assert texts["fr"]
    assert signal(["sentences", "klingon"]) == [[]]


def test_french_typography(signal):
    found = signal(["typeset", "C'est « bon » : 5 % !", "fr"], ["typeset", "It's 5 %: good", "en"])
    assert found == ["C\u2019est «\u00a0bon\u00a0»\u00a0: 5\u00a0%\u00a0!", "It\u2019s 5 %: good"]


# --- the recording


def test_a_take_ends_when_the_speaker_does(signal, clips):
    speech = np.concatenate([np.zeros(8000), clips[0], clips[1]]) + RNG.normal(
        0, 1e-4, 8000 + len(clips[0]) + len(clips[1])
    )
    quiet = RNG.normal(0, 1e-4, 16000 * 4)
    (result,) = signal(["levels", as_text(np.concatenate([speech, quiet])), 16000])
    assert result["ended"] == pytest.approx(len(speech) / 16000 + 1.6, abs=0.6)
    assert "good" in result["said"]
    loud, faint, none = signal(
        ["levels", as_text(np.clip(30 * speech, -1, 1)), 16000],
        ["levels", as_text(0.02 * speech), 16000],
        ["levels", as_text(quiet), 16000],
    )
    assert "loud" in loud["said"]
    assert "quiet" in faint["said"]
    assert not {"loud", "good"} & set(faint["said"])
    assert none["ended"] is None  # a silent room is waited for
    assert set(none["said"]) == {"silent"}


def write_with(path, codec: str, rate: int, samples: np.ndarray, **options) -> None:
    """Write a file with FFmpeg's encoders."""
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis].astype(np.float32), format="fltp", layout="mono")
        frame.rate = rate
        for converted in av.AudioResampler(
            format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size
        ).resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))


def test_the_rate_of_a_file_is_read_from_its_header(signal, tmp_path, tone):
    cases = {}
    for rate in (16000, 22050, 44100, 48000):
        samples = tone(300, 1.5, rate)
        for suffix, subtype in (
            (".wav", "PCM_16"),
            (".flac", "PCM_16"),
            (".ogg", "VORBIS"),
            (".mp3", "MPEG_LAYER_III"),
        ):
            path = tmp_path / f"{rate}{suffix}"
            sf.write(path, samples, rate, subtype=subtype)
            cases[path] = rate
        m4a = tmp_path / f"{rate}.m4a"
        write_with(m4a, "aac", rate, samples)
        cases[m4a] = rate
    for suffix in (".opus", ".webm", ".mka"):
        path = tmp_path / f"opus{suffix}"
        write_with(path, "libopus", 16000, tone(300, 1.5, 16000), **({"format": "ogg"} if suffix == ".opus" else {}))
        cases[path] = 48000  # at which every Opus decoder works
    tagged = tmp_path / "tagged.mp3"
    tag = ["-c", "copy", "-metadata", f"title={'x' * 9000}"]
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", tmp_path / "44100.mp3", *tag, tagged], check=True)
    cases[tagged] = 44100
    for name, content in {
        "empty": b"",
        "text": b"hello " * 99,
        "cut": b"RIFF\x00\x00",
        "box": b"\0\0\0\x08ftyp" * 3,
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        cases[path] = None
    found = signal(*(["statedRate", str(path)] for path in cases))
    assert dict(zip(map(str, cases), found, strict=True)) == {str(path): rate for path, rate in cases.items()}
