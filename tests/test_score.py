"""The scorer and its command, on a model trained for two epochs: that it says rightly what the model says."""

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from rich.console import Console

from accent.audio.waveform import read_recording
from accent.core.errors import InputError, Reject
from accent.grading.reading import read_aloud
from accent.network.typicality import Typicality
from accent.score import BARS, PLAIN_BARS, bars, find_takes, print_table, print_words, ungraded_cells
from accent.scoring.picture import draw_take
from accent.scoring.reference import Fitness
from accent.scoring.refusal import Refusal
from accent.scoring.scorer import Score, Scorer, Window, merge_measures, say_verdict
from tests.helpers import ROOT, run, sample_clips
from tests.test_audio import with_ffmpeg, with_soundfile

RATE = 16000


def command(*arguments: str | Path, ok: bool = True, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return run(sys.executable, "-m", "accent.score", *map(str, arguments), cwd=cwd, ok=ok, PYTHONPATH=str(ROOT))


def json_lines(done: subprocess.CompletedProcess) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def speech(locale: str = "fr", seconds: float = 5.0) -> np.ndarray:
    """Real speech of the sample, as many seconds as asked for, at 16 kHz."""
    pieces, length = [], 0
    for path in sample_clips(locale):
        pieces.append(read_recording(path, 30).waveform)
        length += len(pieces[-1])
        if length >= seconds * RATE:
            break
    return np.resize(np.concatenate(pieces), round(seconds * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def scorer(trained) -> Scorer:
    """Without grades: what most tests are about is the same with them, and takes a fifth of the time."""
    return Scorer.load(trained / "models", grades=False)


@pytest.fixture(scope="module")
def grading(trained) -> Scorer:
    return Scorer.load(trained / "models")


@pytest.fixture(scope="module")
def predictions(trained) -> pd.DataFrame:
    return pd.read_parquet(trained / "data" / "predictions.parquet").query("split == 'test'")


def test_clips_of_the_test_split_get_the_numbers_of_evaluate(scorer, predictions):
    """Scored from their files: the same probabilities, windows and refusals, to 1e-4."""
    files = {path.stem: path for locale in ("fr", "en") for path in sample_clips(locale)}
    assert len(predictions) > 20
    temperature = scorer.card.temperature
    for row in predictions.itertuples():
        score = scorer.score(files[row.clip_id])
        assert score.probability == pytest.approx(row.probability_french, abs=1e-4)
        assert score.probabilities["english"] == pytest.approx(row.probability_english, abs=1e-4)
        odds = np.array([logits[1] - logits[0] for logits in row.window_logits]) / temperature
        assert [window.probability for window in score.windows] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-4)
        assert (score.refused.kind if score.refused else "") == row.refused
        assert score.verdict == ("unsure" if row.refused else "french" if row.predicted == "french" else "not french")


def test_the_native_range_is_that_of_the_native_test_clips(scorer, predictions):
    natives = predictions.loc[predictions["label"] == "french", "probability_french"]
    score = scorer.score(speech())
    assert score.probability_low == pytest.approx(np.percentile(natives, 5), abs=0.02)
    assert score.probability_high == pytest.approx(np.percentile(natives, 95), abs=0.02)
    log_odds = np.log(score.probability / (1 - score.probability))
    percentile = scorer.reference.native_percentile(log_odds)
    assert percentile == pytest.approx(100 * (natives < score.probability).mean(), abs=6)
    assert score.percentile == (None if score.refused else percentile)


def test_windows_are_where_the_speech_is_in_the_file(scorer):
    plain, late = (  # both with room for the margin of silence that stays
        scorer.score(np.concatenate([np.zeros(round(silence * RATE), np.float32), speech(seconds=4)]))
        for silence in (0.2, 2.2)
    )
    assert late.windows[0].start_s - plain.windows[0].start_s == pytest.approx(2, abs=0.1)
    # The longer silence lowers the noise floor, and so the end of the speech is found a little later.
    assert late.windows[-1].end_s - plain.windows[-1].end_s == pytest.approx(2, abs=0.3)
    for window in [*plain.windows, *late.windows]:
        assert window.end_s - window.start_s == pytest.approx(1.5, abs=0.02)
    assert late.probability == pytest.approx(plain.probability, abs=0.02)


def test_a_long_recording_is_the_mean_over_its_pieces(scorer):
    long = np.concatenate([speech("fr", 30), speech("en", 30), speech("fr", 15)])
    whole = scorer.score(long)
    parts = [scorer.score(part) for part in (long[: 30 * RATE], long[30 * RATE : 60 * RATE], long[60 * RATE :])]
    odds = [np.log(part.probability / (1 - part.probability)) for part in parts]
    counts = [len(part.windows) for part in parts]
    expected = 1 / (1 + np.exp(-np.average(odds, weights=counts)))
    assert whole.probability == pytest.approx(expected, abs=1e-4)
    assert len(whole.windows) == sum(counts)
    assert whole.speech_s == pytest.approx(sum(part.speech_s for part in parts))
    assert whole.windows[-1].end_s == pytest.approx(75, abs=1)


def test_measures_of_pieces_are_those_of_the_whole():
    base = {
        "leading_silence_s": 1.0,
        "trailing_silence_s": 2.0,
        "loudness_dbfs": -20.0,
        "snr_db": 30.0,
        "level_range_db": 20.0,
    }
    base |= {"clipped_fraction": 0.0, "bandwidth_hz": 4000.0, "source_rate_hz": 8000, "source_codec": "X"}
    empty = base | {"duration_s": 10.0, "speech_s": 0.0, "leading_silence_s": 10.0, "trailing_silence_s": 0.0}
    full = base | {"duration_s": 30.0, "speech_s": 6.0, "clipped_fraction": 0.1, "bandwidth_hz": 7000.0}
    merged = merge_measures([empty, full, empty | {"snr_db": 0.0}])
    assert merged["duration_s"] == 50
    assert merged["speech_s"] == 6
    assert merged["leading_silence_s"] == 11
    assert merged["trailing_silence_s"] == 12
    assert merged["snr_db"] == 30
    assert merged["level_range_db"] == 20
    assert merged["clipped_fraction"] == pytest.approx(0.06)
    assert merged["bandwidth_hz"] == 7000
    assert merge_measures([full]) is full


@pytest.mark.parametrize(
    ("rate", "channels", "container", "subtype"),
    [
        (8000, 1, "WAV", "PCM_16"),
        (44100, 2, "FLAC", "PCM_24"),
        (48000, 6, "WAV", "FLOAT"),
        (192000, 8, "WAV", "PCM_24"),
    ],
)
def test_any_rate_and_channel_count_gives_about_the_same_score(scorer, tmp_path, rate, channels, container, subtype):
    import soxr

    plain = speech(seconds=4)
    data = np.repeat(soxr.resample(plain, RATE, rate)[:, np.newaxis], channels, axis=1)
    path = tmp_path / f"take.{container.lower()}"
    sf.write(path, data, rate, subtype=subtype, format=container)
    expected, score = scorer.score(plain), scorer.score(path)
    assert score.probability == pytest.approx(expected.probability, abs=0.1)
    assert score.measures["source_rate_hz"] == rate


# --- when it cannot tell


def music() -> np.ndarray:
    """A tune of pure tones, each struck and dying away."""
    time = np.arange(5 * RATE) / RATE
    tune = 1e-4 * np.random.default_rng(0).standard_normal(len(time))
    for number, start in enumerate(np.arange(0, 5, 0.5)):
        pitch = 440 * 2 ** (number * 7 % 12 / 12)
        tune += np.exp(-6 * np.clip(time - start, 0, None)) * (time >= start) * np.sin(2 * np.pi * pitch * time)
    return (0.3 * tune / np.abs(tune).max()).astype(np.float32)


def noisy(snr_db: float) -> np.ndarray:
    clean = speech()
    noise = np.random.default_rng(0).standard_normal(len(clean)) * np.sqrt(np.mean(clean**2)) * 10 ** (-snr_db / 20)
    return (clean + noise).astype(np.float32)


def telephone() -> np.ndarray:
    """The band of a telephone, and 8,000 samples a second."""
    from scipy.signal import firwin

    return np.convolve(speech(), firwin(801, [300, 3400], pass_zero=False, fs=RATE), "same").astype(np.float32)


CANNOT_TELL = {
    "silent": lambda: np.zeros(5 * RATE, np.float32),
    "too little speech": lambda: np.concatenate(
        [np.zeros(RATE, np.float32), speech(seconds=0.6), np.zeros(RATE, np.float32)]
    ),
    "too noisy": lambda: noisy(3),
    "clipped": lambda: np.clip(8 * speech(), -1, 1),
    "muffled": telephone,
    "unlike speech": music,
}


@pytest.mark.parametrize("kind", CANNOT_TELL)
def test_it_says_when_it_cannot_tell_and_what_to_do(scorer, kind):
    score = scorer.score(CANNOT_TELL[kind]())
    assert score.verdict == "unsure"
    assert score.refused.kind == kind
    assert ": " in score.reason  # what is wrong: what to do


def test_scraps_of_speech_are_no_reason_to_fail(scorer):
    """Each piece has too little to be a clip, but all together there is enough."""
    scrap = np.concatenate([speech(seconds=0.6), np.zeros(round(29.4 * RATE), np.float32)])
    score = scorer.score(np.tile(scrap, 4))
    assert score.verdict == "unsure"
    assert score.refused.kind == "too many pauses"
    assert score.probability is None
    assert score.windows == []


def test_noise_of_every_colour_is_not_judged(scorer):
    generator = np.random.default_rng(1)
    for colour in (0, 1, 2):
        spectrum = np.fft.rfft(generator.standard_normal(5 * RATE))
        spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** (colour / 2)
        noise = np.fft.irfft(spectrum)
        assert scorer.score((0.3 * noise / np.abs(noise).max()).astype(np.float32)).verdict == "unsure"


# --- the grade


def test_a_take_has_a_grade_its_moments_and_its_words(grading, monkeypatch):
    monkeypatch.setattr(Typicality, "unlikeness", lambda self, features: 0.0)  # the tiny model has heard no espeak-ng
    text = "Les enfants ont mangé une pomme, et le chat dort dans le jardin."
    take = read_aloud(text, "fr").waveform / np.float32(32768)
    score = grading.score(take, text=text)
    assert score.heard.whole.low < score.heard.whole.grade < score.heard.whole.high
    assert [word.text for word in score.heard.words] == text.replace(",", "").replace(".", "").split()
    starts = np.array([moment.start_s for moment in score.heard.timeline])
    assert np.diff(starts).min() == pytest.approx(0.1)
    assert len(starts) > 20
    assert score.as_dict()["words"][0]["native_start_s"] is None
    other = grading.score(take, text="Bonjour " * 60)
    assert "words left out: text of 420 letters" in other.warnings[0]
    assert other.heard.words == []

    beside = grading.score(take, text=text, native=np.concatenate([np.zeros(RATE, np.float32), take]))
    words = pd.DataFrame(beside.as_dict()["words"])  # medians: the silence moves the frames by a part of one
    assert words["native_distance"].median() < 0.4
    assert (words["native_start_s"] - words["start_s"]).median() == pytest.approx(1, abs=0.05)
    assert (words["native_grade"] - words["grade"]).abs().median() < 0.05
    assert (words["start_s"] - [word.start_s for word in score.heard.words]).abs().median() < 0.05
    for width in (30, 60, 80):
        table = io.StringIO()
        print_words(beside.heard.words, Console(file=table, width=width))
        assert max(map(len, table.getvalue().splitlines())) <= width
        for word in beside.heard.words:
            assert f"{word.native_start_s:.2f} to" in " ".join(table.getvalue().split())
    figure = draw_take(grading, grading.first_heard(take), beside, "a take beside a native's reading")
    assert ["take", "native"] in [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes]
    for native, why in {
        "silent": (np.zeros(3 * RATE, np.float32), "native's reading: no speech"),
        "another text": (read_aloud("Bonjour.", "fr").waveform / np.float32(32768), "native's reading: "),
        "no recording": (b"%PDF-1.7\n" * 99, "native's reading: not audio"),
        "too long": (np.tile(take, 14), "native's reading: longer than 30 s"),
    }.values():
        found = grading.score(take, text=text, native=native)
        assert any(warning.startswith(f"words left out: {why}") for warning in found.warnings)
        assert found.heard.words == []


def test_a_refused_take_has_no_grade_anywhere(grading):
    noise = (0.3 * np.random.default_rng(1).uniform(-1, 1, 5 * RATE)).astype(np.float32)
    for take in (noise, np.zeros(3 * RATE, np.float32)):
        score = grading.score(take)
        fields = score.as_dict()
        assert fields["verdict"] == "unsure"
        names = "grade grade_percentile grade_low grade_high native_low native_high timeline stretches words percentile"
        assert {fields[name] for name in names.split()} == {None}
        assert {fields[name] for name in ("probability", "probability_low", "probability_high")} == {None}
        assert (fields["language"], fields["windows"]) == ({}, [])
        assert fields["measures"] == score.measures
        assert not any("%" in cell for cell in ungraded_cells(score, BARS))
        figure = draw_take(grading, grading.first_heard(take), score, "take")
        shown = [text.get_text() for axes in figure.axes[:2] for text in axes.texts]
        assert [" ".join(text.split()) for text in shown] == [f"unsure: {score.reason}"]
        assert not any(axes.patches or axes.lines for axes in figure.axes[:2])


def test_what_is_wrong_with_the_question_is_one_line(trained):
    take, model = sample_clips("fr")[0], ("--model", trained / "models")
    done = command(take, *model, "--target", "german", ok=False)
    assert done.stderr.endswith("--target: no class 'german'. The model's: english, french\n")
    done = command(take, *model, "--text", "12 ?", ok=False)
    assert "no letters in it" in done.stderr
    done = command(*sample_clips("fr")[:2], *model, "--text", "Bonjour", ok=False)
    assert done.stderr == "error: --text is that of a single take, and these are 2. Name one file\n"
    done = command(take, *model, "--native", take, ok=False)
    assert done.stderr.startswith("error: --native: without the words that both say")
    done = command(take, *model, "--native", "absent.wav", "--text", "Bonjour", ok=False)
    assert done.stderr == "error: --native: absent.wav: no such file\n"
    (line,) = json_lines(command(take, *model, "--target", "english", "--json"))
    assert line["target"] == "english"
    assert line["probability_low"] is None


def test_the_verdict_is_the_grade_s_and_the_classifier_is_asked_below_the_range_alone(grading):
    take = grading.score(speech()).heard
    for shift, expected in ((9.0, "native french"), (-9.0, "foreign french")):
        moved = take._replace(whole=replace(take.whole, grade=shift, high=shift + 0.1))
        assert say_verdict(moved, "french", 0.9) == expected
        assert say_verdict(moved, "french", 0.1) == ("not french" if shift < 0 else expected)
    assert say_verdict(None, "french", 0.1) == "not french"


# --- the command


def test_json_has_every_field_and_the_table_is_readable(trained, tmp_path):
    for number, path in enumerate(sample_clips("fr")[:2]):
        shutil.copy(path, tmp_path / f"take {number}.mp3")
    (tmp_path / "notes.txt").write_text("no recording")
    lines = json_lines(command(tmp_path, "--json", "--model", trained / "models"))
    assert [Path(line["file"]).name for line in lines] == ["take 0.mp3", "take 1.mp3"]
    grade = "grade grade_low grade_high grade_percentile native_low native_high timeline stretches words"
    fields = "target probability probability_low probability_high percentile speech_s measures windows warnings"
    assert list(lines[0]) == ["file", "verdict", "reason", *grade.split(), *fields.split(), "fitness", "language"]
    assert list(lines[0]["windows"][0]) == ["start_s", "end_s", "probability"]
    assert 0 <= lines[0]["probability"] <= 1
    done = command(tmp_path, "--model", trained / "models")
    assert done.stderr == "skipped 1 files that are no recordings: 1 .txt\n"
    table = done.stdout
    assert "take 0.mp3" in table
    assert any(bar in table for bar in "▁▂▃▄▅▆▇█")
    assert max(map(len, table.splitlines())) <= 80
    assert "how much nearer the sounds lie to natives' than to other languages'" in " ".join(table.split())


def test_files_that_cannot_be_read_do_not_hold_up_the_others(trained, tmp_path):
    good = tmp_path / "good.mp3"
    shutil.copy(sample_clips("fr")[0], good)
    (tmp_path / "bad.mp3").write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 40)
    done = command(tmp_path, tmp_path / "absent.wav", "--json", "--model", trained / "models", ok=False)
    assert done.returncode == 1
    lines = {Path(line["file"]).name: line for line in json_lines(done)}
    assert list(lines["bad.mp3"]) == ["file", "error"]
    assert lines["bad.mp3"]["error"].startswith("not audio")
    assert lines["absent.wav"]["error"] == "No such file or directory"
    assert lines["good.mp3"]["probability"] is not None
    assert "Traceback" not in done.stderr


def test_the_plot_is_a_picture(trained, tmp_path):
    command(sample_clips("fr")[0], "--plot", tmp_path / "out.png", "--model", trained / "models")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    done = command(*sample_clips("fr")[:2], "--plot", tmp_path / "two.png", "--model", trained / "models", ok=False)
    assert "--plot draws a single take, and these are 2" in done.stderr


def test_folders_are_searched_and_loops_of_links_are_not_followed(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    for name in ("b.WAV", "a.mp3", ".hidden.mp3"):
        (tmp_path / "inner" / name).touch()
    (tmp_path / "empty").mkdir()
    takes, wrong, skipped = find_takes([tmp_path, tmp_path / "empty", tmp_path / "self"])
    assert [path.name for path in takes] == ["a.mp3", "b.WAV", "self"]
    assert len(wrong) == 1
    assert "no recording in this folder" in wrong[0]
    assert skipped == {"no suffix": 1}  # the link to itself


def test_takes_in_a_folder_are_found_by_their_content_and_the_rest_is_counted(tmp_path):
    wav, text = with_soundfile(speech(seconds=1), RATE, "WAV", "PCM_16"), b"no recording\n" * 99
    contents = {
        **dict.fromkeys(("memo", "memo.bak", "memo.xyz", "b.wav", "c.mp3"), wav),
        "a.aiff": with_soundfile(speech(seconds=1), RATE, "AIFF", "PCM_16"),
        "a.qta": with_ffmpeg(speech(seconds=1), RATE, "mov", "aac"),
        "cut.dat": wav[: len(wav) // 2],
        "d.mp3": text,  # meant to be one: what is wrong with it is said where it is scored
        **dict.fromkeys(("notes.txt", "notes", "list.m3u8", "e.txt"), text),
        **dict.fromkeys((".hidden.wav", "._b.wav", ".trash/b.wav"), wav),
    }
    for name, data in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    takes, wrong, skipped = find_takes([tmp_path])
    found = ["a.aiff", "a.qta", "b.wav", "c.mp3", "cut.dat", "d.mp3", "memo", "memo.bak", "memo.xyz"]
    assert [path.name for path in takes] == found
    assert wrong == []
    assert skipped == {".txt": 2, ".m3u8": 1, "no suffix": 1}


# --- names, encodings, narrow screens


EARNED = Fitness(verdicts=True, sentence="Tested.")


def made_scores() -> list[tuple[Path, Score]]:
    windows = [Window(n, n + 1.5, n / 20) for n in range(20)]
    both = {"french": 0.9, "english": 0.1}
    warnings = ["channels of opposite phase"]
    judged = Score("not french", None, "french", None, 0.09, both, 0.1, 0.9, 3.0, 12.3, {}, windows, warnings, EARNED)
    refused = Score("unsure", Refusal("silent"), "french", None, None, {}, 0.1, 0.9, None, 0.0, {}, [], [], EARNED)
    return [(Path("a-take-of-a-rather-long-name.wav"), judged), (Path(os.fsdecode(b"b\xff\n[red].wav")), refused)]


def printed(width: int, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding)
    reference = SimpleNamespace(fitness=EARNED, native_probability=lambda percent: percent / 100)
    scorer = SimpleNamespace(grades=False, target_name="french", reference=reference)
    print_table(made_scores(), scorer, Console(file=file, width=width))
    file.seek(0)
    return file.read()


@pytest.mark.parametrize("width", [20, 40, 60, 76, 100])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_narrow_screen_loses_nothing(width, encoding):
    text = printed(width, encoding)
    assert max(map(len, text.splitlines())) <= width
    joined = "".join(text.split())
    for name in ("a-take-of-a-rather-long-name.wav", "b\\udcff\\n[red].wav"):
        assert name in joined or width > 60
    for wanted in ("verdict", "notfrench", "french", "9%", "nativesbelow", "3%", "speech", "12.3s", "windowbywindow"):
        assert wanted in joined
    assert bars(made_scores()[0][1].windows, BARS if encoding == "utf-8" else PLAIN_BARS) in joined
    assert "warninga-take" in joined
    assert "unsureb\\udcff" in joined


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_strange_names_on_strange_terminals_are_no_reason_to_fail(trained, tmp_path, encoding):
    names = [b"a.mp3", b"bad\xff.mp3", b"two\nlines.mp3", "日本.mp3".encode(), b"-[bold]-.mp3"]
    for name in names:
        shutil.copy(sample_clips("fr")[0], tmp_path / os.fsdecode(name))
    (tmp_path / os.fsdecode(b"bro\nken\xfe.wav")).write_bytes(b"nothing")
    arguments = [sys.executable, "-m", "accent.score", tmp_path, "--model", trained / "models"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "COLUMNS": "40"}
    done = subprocess.run(list(map(str, arguments)), env=environment, capture_output=True)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    (line,) = done.stderr.decode(encoding).splitlines()
    assert "bro\\nken\\udcfe.wav: not audio" in line
    output = done.stdout.decode(encoding)
    for shown in ("a.mp3", "bad\\udcff.mp3", "two\\nlines.mp3", "-[bold]-.mp3"):
        assert shown in output
    assert ("日本.mp3" if encoding == "utf-8" else "\\u65e5\\u672c.mp3") in output
    done = subprocess.run([*map(str, arguments), "--json"], env=environment, capture_output=True)
    files = [os.fsencode(json.loads(line)["file"]) for line in done.stdout.splitlines()]
    assert {Path(os.fsdecode(file)).name for file in files} == {path.name for path in tmp_path.iterdir()}


def test_whoever_reads_the_output_may_stop(trained, tmp_path):
    for number in range(3):
        shutil.copy(sample_clips("fr")[0], tmp_path / f"{number}.mp3")
    for options in ("", "--json"):
        line = f"'{sys.executable}' -m accent.score '{tmp_path}' --model '{trained}/models' {options} | true"
        done = run("bash", "-c", line, cwd=ROOT, PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1")
        assert done.stdout == done.stderr == ""


# --- recordings with something wrong that can be scored all the same


def test_a_take_that_ends_amid_a_frame_is_scored_as_far_as_it_goes(scorer, trained, tmp_path):
    data = max((path.read_bytes() for path in sample_clips("fr")), key=len)
    path = tmp_path / "cut.mp3"
    path.write_bytes(data[: len(data) * 3 // 4 + 30])
    whole, score = scorer.score(data), scorer.score(path)
    assert whole.warnings == []
    (warning,) = score.warnings
    assert warning.startswith("truncated: it ends in the middle of a frame, after ")
    assert 0.5 * len(whole.windows) < len(score.windows) < len(whole.windows)
    assert [window.probability for window in score.windows[:2]] == pytest.approx(
        [window.probability for window in whole.windows[:2]], abs=0.05
    )
    done = command(path, "--model", trained / "models")
    assert "warning cut.mp3: truncated: it ends in the middle" in " ".join(done.stdout.split())
    (line,) = json_lines(command(path, "--json", "--model", trained / "models"))
    assert line["warnings"] == score.warnings


def test_a_take_of_opposite_channels_is_scored_and_said(scorer):
    mono = speech(seconds=4)
    plain = scorer.score(with_soundfile(mono, RATE, "WAV", "FLOAT"))
    score = scorer.score(with_soundfile(np.stack([mono, -mono], axis=1), RATE, "WAV", "FLOAT"))
    assert plain.warnings == []
    assert score.probability == pytest.approx(plain.probability, abs=1e-3)
    assert score.warnings[0].startswith("channels of opposite phase")


# --- bad input


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    wav = with_soundfile(speech(), RATE, "WAV", "PCM_16")
    m4a = with_ffmpeg(speech(), RATE, "mp4", "aac")
    nan = speech()
    nan[100] = np.nan
    huge = speech()
    huge[100] = 1e30
    contents = {
        "zero.wav": (b"", "empty|not audio"),
        "renamed.mp3": (b"%PDF-1.7\n" + bytes(range(256)) * 400, "not audio"),
        "nan.wav": (with_soundfile(nan, RATE, "WAV", "FLOAT"), "broken: samples that are no finite numbers"),
        "huge.wav": (with_soundfile(huge, RATE, "WAV", "FLOAT"), r"broken: samples up to 1e\+30"),
        "cut.m4a": (m4a[: len(m4a) // 2], "not audio"),
        "cut.wav": (wav[: len(wav) // 2], "truncated"),
    }
    for name, (data, _) in contents.items():
        (folder / name).write_bytes(data)
    return {name: (folder / name, reason) for name, (_, reason) in contents.items()}


def test_bad_files_are_a_clear_line_each(scorer, tmp_path):
    for path, reason in bad_files(tmp_path).values():
        with pytest.raises(Reject, match=f"^({reason})") as reject:
            scorer.score(path)
        assert "\n" not in str(reject.value)


def test_neither_a_folder_nor_a_loop_nor_a_device_is_a_take(scorer, tmp_path, trained):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="symbolic links"):
        scorer.score(loop)
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(Reject, match="not a file"):
            scorer.score(path)
    done = command(loop, "/dev/zero", "--model", trained / "models", ok=False)
    assert "Too many levels of symbolic links" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_waveform_is_said_to_be_none(scorer):
    for wrong in (np.zeros((2, 16000), np.float32), np.zeros(0, np.float32), np.zeros(16000, np.int16)):
        with pytest.raises(Reject, match="not a waveform"):
            scorer.score(wrong)
    with pytest.raises(Reject, match="no finite numbers"):
        scorer.score(np.full(RATE, np.nan, np.float32))


def peak_memory_mb(*arguments: str | Path) -> tuple[float, list[dict]]:
    """The command's largest resident memory while it scores (torch adds 120 MB more while it exits), and its scores."""
    code = (
        "import sys; from accent.score import main; main(); "
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')), file=sys.stderr)"
    )
    done = run(sys.executable, "-c", code, *map(str, arguments), "--json", cwd=ROOT)
    return int(done.stderr.split()[-2]) / 1024, json_lines(done)


def test_ten_hours_of_silence_and_many_channels_fit_in_bounded_memory(trained, tmp_path):
    silence = tmp_path / "silence.wav"
    with sf.SoundFile(silence, "w", 8000, 1, "PCM_16") as file:
        file.write(np.zeros(8000, np.float32))
    header = bytearray(silence.read_bytes()[:44])
    hours = 10 * 3600 * 8000 * 2
    header[4:8], header[40:44] = (hours + 36).to_bytes(4, "little"), hours.to_bytes(4, "little")
    silence.write_bytes(header)
    os.truncate(silence, 44 + hours)  # a sparse file of zeros
    channels = tmp_path / "channels.wav"
    sf.write(channels, np.repeat(speech()[:, np.newaxis], 8, axis=1).repeat(12, axis=0), 192000, subtype="FLOAT")
    for path in (channels, silence):
        megabytes, (score,) = peak_memory_mb(path, "--model", trained / "models")
        assert megabytes < 850
    assert score["verdict"] == "unsure"
    assert score["measures"]["duration_s"] == pytest.approx(36000)


def test_a_long_recording_is_streamed(trained, tmp_path):
    """Fifteen minutes, a hundred megabytes of samples and spectrograms, take the memory of one, or 50 MB more."""
    model = shutil.copytree(trained / "models", tmp_path / "models")
    (model / "bank.json").unlink()  # a grade is of one piece after the other too, and takes most of the time
    sizes = []
    for minutes in (1, 15):
        path = tmp_path / f"{minutes}.flac"
        minute = speech(seconds=60)
        with sf.SoundFile(path, "w", RATE, 1, "PCM_16", format="FLAC") as file:
            for _ in range(minutes):
                file.write(minute)
        sizes.append(peak_memory_mb(path, "--model", model)[0])
    assert sizes[1] - sizes[0] < 50


# --- a model folder that was tampered with


def tamper(folder: Path, name: str, change) -> None:
    document = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(change(document)))


TAMPERED = {
    "no JSON": (lambda f: (f / "accent.json").write_bytes(b"\xff\xfe{"), "accent.json: not valid JSON"),
    "nested": (lambda f: (f / "accent.json").write_text("[" * 100000), "accent.json: not valid JSON"),
    "a list": (lambda f: (f / "accent.json").write_text("[]"), "accent.json"),
    "a window of a year": (
        lambda f: tamper(f, "accent.json", lambda d: d | {"window_seconds": 3e7}),
        "window_seconds: Input should be less than or equal to 30",
    ),
    "a transform of a terabyte": (
        lambda f: tamper(f, "accent.json", lambda d: d | {"spectrogram": d["spectrogram"] | {"n_fft": 10**12}}),
        "n_fft: Input should be less than or equal to 8192",
    ),
    "another network": (
        lambda f: tamper(f, "accent.json", lambda d: d | {"arch": "resnet34"}),
        "does not fit resnet34",
    ),
    "no network": (lambda f: tamper(f, "accent.json", lambda d: d | {"arch": "os.system"}), "no network 'os.system'"),
    "other weights": (lambda f: (f / "accent.safetensors").write_bytes(b"x" * 100), "not the weights"),
    "no reference": (lambda f: (f / "reference.json").unlink(), "reference.json: no such file"),
    "another reference": (
        lambda f: tamper(f, "reference.json", lambda d: d | {"weights_sha256": "0"}),
        "reference.json is of another model",
    ),
    "a target that is no class": (
        lambda f: tamper(f, "reference.json", lambda d: d | {"score": d["score"] | {"target": "german"}}),
        "score.target: no class 'german'. The model's: english, french",
    ),
    "few percentiles": (
        lambda f: tamper(f, "reference.json", lambda d: d | {"native_log_odds": [0.0]}),
        "native_log_odds",
    ),
    "a smaller matrix": (
        lambda f: tamper(f, "reference.json", lambda d: d | {"typicality": d["typicality"] | {"mean": [0.0]}}),
        "mean and precision must have",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_model_is_one_clear_line(trained, tmp_path, what):
    folder = tmp_path / "models"
    shutil.copytree(trained / "models", folder)
    change, expected = TAMPERED[what]
    change(folder)
    with pytest.raises(InputError) as error:
        Scorer.load(folder)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_of_another_shape_are_refused_even_with_the_right_hash(trained, tmp_path):
    import hashlib

    from accent.network.model import build_model, save_model

    folder = tmp_path / "models"
    shutil.copytree(trained / "models", folder)
    card = json.loads((folder / "accent.json").read_text())
    del card["weights_sha256"]
    save_model(folder, build_model("resnet18", 3), card)
    assert (
        hashlib.sha256((folder / "accent.safetensors").read_bytes()).hexdigest() in (folder / "accent.json").read_text()
    )
    with pytest.raises(InputError, match="does not fit resnet18"):
        Scorer.load(folder)


def test_bars_are_one_a_window_or_fewer():
    assert bars([]) == ""
    assert bars([Window(0, 1, 0.0), Window(1, 2, 1.0), Window(2, 3, 0.5)]) == "▁█▅"
    assert len(bars([Window(n, n + 1, 0.5) for n in range(1000)])) == 16
