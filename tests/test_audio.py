import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from scipy.ndimage import binary_opening

from accent.audio.decoder import open_audio
from accent.audio.waveform import (
    SAMPLE_RATE,
    AudioParams,
    DecodeParams,
    bandwidth_hz,
    decode_clip,
    frame_levels,
    no_speech,
    percentiles,
    read_recording,
    speech_frames,
    without_short_runs,
)
from accent.core.errors import Reject
from stages.decode import decode_part
from tests.helpers import EXCLUSIONS, SAMPLE, read_rejects, sample_clips, set_params, stage, write_locale

PARAMS = AudioParams(silence_db=40, margin_seconds=0.05, min_seconds=0.8, max_seconds=30)


def with_soundfile(samples: np.ndarray, rate: int, container: str, subtype: str) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


def with_ffmpeg(samples: np.ndarray, rate: int, container: str, codec: str, file: io.IOBase | None = None) -> bytes:
    """Encode float samples of shape (n,) or (n, channels) in a container of FFmpeg's, or write that to `file`."""
    written = file or io.BytesIO()
    channels = np.atleast_2d(samples.T).astype(np.float32)
    with av.open(written, "w", format=container) as output:
        layout = "mono" if len(channels) == 1 else "stereo"
        stream = output.add_stream(codec, rate=rate, layout=layout, bit_rate=96000)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), format="fltp", layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size or 0)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return b"" if file else written.getvalue()


FORMATS = [
    ("wav", lambda x, rate: with_soundfile(x, rate, "WAV", "PCM_16"), "PCM_S16LE"),
    ("wav float", lambda x, rate: with_soundfile(x, rate, "WAV", "FLOAT"), "PCM_F32LE"),
    ("flac", lambda x, rate: with_soundfile(x, rate, "FLAC", "PCM_16"), "FLAC"),
    ("ogg vorbis", lambda x, rate: with_soundfile(x, rate, "OGG", "VORBIS"), "VORBIS"),
    ("ogg opus", lambda x, rate: with_soundfile(x, rate, "OGG", "OPUS"), "OPUS"),
    ("mp3", lambda x, rate: with_soundfile(x, rate, "MP3", "MPEG_LAYER_III"), "MP3"),
    ("m4a", lambda x, rate: with_ffmpeg(x, rate, "mp4", "aac"), "AAC"),
    ("webm", lambda x, rate: with_ffmpeg(x, rate, "webm", "libopus"), "OPUS"),
]


@pytest.mark.parametrize(("name", "encode", "codec"), FORMATS, ids=[name for name, *_ in FORMATS])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_gives_the_same_tone(tone, name, encode, codec, channels):
    rate = 48000
    samples = tone(440, 2.0, rate)
    samples = samples if channels == 1 else np.stack([samples, samples], axis=1)
    waveform, source_rate, found, *_ = read_recording(encode(samples, rate), 30)
    assert (source_rate, found) == (rate, codec)
    assert waveform.dtype == np.float32
    assert abs(len(waveform) - 2 * SAMPLE_RATE) < 0.1 * SAMPLE_RATE
    middle = waveform[SAMPLE_RATE // 2 : SAMPLE_RATE // 2 + SAMPLE_RATE]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(spectrum.argmax() - 440) <= 1
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 96000])
def test_every_rate_keeps_time_and_pitch(tone, rate):
    waveform, source_rate, *_ = read_recording(with_soundfile(tone(1000, 1.0, rate), rate, "WAV", "FLOAT"), 30)
    assert source_rate == rate
    assert len(waveform) == SAMPLE_RATE
    assert np.abs(np.fft.rfft(waveform)).argmax() == 1000


def test_channels_are_averaged(tone):
    channels = np.stack([tone(500), tone(700), tone(1000)], axis=1)
    recording = read_recording(with_soundfile(channels, SAMPLE_RATE, "WAV", "FLOAT"), 30)
    np.testing.assert_allclose(recording.waveform, channels.mean(axis=1), atol=1e-6)
    assert not recording.opposite


@pytest.mark.parametrize("levels", [(1, -1), (0.5, -1), (0, 1, -1), (1, 1, -1)])
def test_channels_of_opposite_phase_do_not_cancel_out(tone, levels):
    """As of a balanced cable in a stereo input."""
    channels = np.stack([level * tone(500, 25) for level in levels], axis=1)
    recording = read_recording(with_soundfile(channels, SAMPLE_RATE, "WAV", "FLOAT"), 30)
    expected = np.sign(levels[0] or 1) * np.abs(levels).mean() * tone(500, 25)
    np.testing.assert_allclose(recording.waveform, expected, atol=1e-6)  # without a jump between blocks of 10 s
    assert recording.opposite


def test_levels_are_decibels_re_full_scale(tone):
    assert frame_levels(tone(400)) == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.2)
    assert frame_levels(np.zeros(1600)) == pytest.approx(-100)
    assert len(frame_levels(np.zeros(100))) == 1


def speech_like(tone, lead: float, seconds: float, tail: float, noise: float = 1e-3) -> np.ndarray:
    generator = np.random.default_rng(0)
    silence = [np.zeros(round(lead * SAMPLE_RATE)), np.zeros(round(tail * SAMPLE_RATE))]
    waveform = np.concatenate([silence[0], tone(300, seconds), silence[1]])
    return (waveform + noise * generator.standard_normal(len(waveform))).astype(np.float32)


def find_speech(waveform: np.ndarray) -> np.ndarray:
    levels = frame_levels(waveform)
    return speech_frames(levels, np.percentile(levels, 10), 40)


@pytest.mark.parametrize("noise", [0, 1e-6, 1e-4, 1e-3, 1e-2])
def test_silence_is_trimmed_and_measured_whatever_the_noise(tone, noise):
    encoded = with_soundfile(speech_like(tone, 0.7, 1.5, 0.4, noise), SAMPLE_RATE, "WAV", "FLOAT")
    trimmed, measures = decode_clip(encoded, PARAMS)
    assert trimmed.dtype == np.int16
    assert measures["leading_silence_s"] == pytest.approx(0.7, abs=0.03)
    assert measures["trailing_silence_s"] == pytest.approx(0.4, abs=0.03)
    assert measures["speech_s"] == pytest.approx(1.5, abs=0.05)
    assert measures["duration_s"] == pytest.approx(2.6)
    assert len(trimmed) / SAMPLE_RATE == pytest.approx(1.6, abs=0.06)
    assert measures["loudness_dbfs"] == pytest.approx(-9.0, abs=0.3)
    noise_dbfs = max(20 * np.log10(max(noise, 1e-9)), -90)  # decoders differ in what they round below that
    assert measures["snr_db"] == pytest.approx(-9.03 - noise_dbfs, abs=1.5)


def test_a_click_is_not_speech(tone):
    waveform = speech_like(tone, 1.0, 1.0, 0.5, 1e-4)
    waveform[1600:1610] = 0.9
    mask = find_speech(waveform)
    assert np.flatnonzero(mask)[0] * 0.010 == pytest.approx(1.0, abs=0.03)


def test_a_short_gap_is_speech_and_a_long_one_is_not(tone):
    for gap, runs in ((0.05, 1), (0.3, 2)):
        pieces = [speech_like(tone, 0.5, 0.5, gap, 1e-4), speech_like(tone, 0.0, 0.5, 0.5, 1e-4)]
        mask = find_speech(np.concatenate(pieces))
        assert np.count_nonzero(np.diff(mask.astype(int)) == 1) == runs


def test_a_tone_s_start_is_found_where_it_is(tone):
    for start in (0.3, 1.0, 1.7):
        mask = find_speech(speech_like(tone, start, 1.0, 0.2, 1e-4))
        assert np.flatnonzero(mask)[0] * 0.010 == pytest.approx(start, abs=0.025)


def test_clipping_is_counted(tone):
    clipped = np.clip(4 * tone(300, 2.0), -1, 1)
    _, measures = decode_clip(with_soundfile(clipped, SAMPLE_RATE, "WAV", "FLOAT"), PARAMS)
    assert measures["clipped_fraction"] == pytest.approx(2 / 3, abs=0.02)  # |sin| > 1/2 two thirds of the time


def test_clipping_of_one_channel_at_another_rate_is_counted(tone):
    clipped = np.clip(4 * tone(2917, 2.0, 48000), -1, 1)
    stereo = np.stack([clipped, 0.1 * clipped], axis=1)
    _, measures = decode_clip(with_soundfile(stereo, 48000, "WAV", "FLOAT"), PARAMS)
    assert measures["clipped_fraction"] == pytest.approx(2 / 3, abs=0.02)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_bandwidth_shows_what_the_source_could_carry(rate):
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * rate).astype(np.float32)
    waveform, *_ = read_recording(with_soundfile(noise, rate, "WAV", "FLOAT"), 30)
    assert bandwidth_hz(waveform) == pytest.approx(rate / 2, rel=0.07)


def test_real_speech_is_measured_plausibly():
    for locale in ("fr", "en"):
        for path in sample_clips(locale)[:20]:
            trimmed, measures = decode_clip(path, PARAMS)
            assert 0.3 < measures["speech_s"] <= measures["duration_s"]
            assert -40 < measures["loudness_dbfs"] < -10
            assert len(trimmed) / SAMPLE_RATE <= measures["duration_s"]
            assert measures["source_rate_hz"] == 32000


@pytest.mark.parametrize("hz", [0, 50, 60])
def test_neither_offset_nor_hum_counts_as_speech(tone, hz):
    """Up to 5% of full scale, 2% for hum: nobody hears the one, and the network not the other."""
    seconds = np.arange(round(2.6 * 48000)) / 48000
    speech = np.concatenate([np.zeros(33600), 0.3 * tone(300, 1.5, 48000), np.zeros(19200)])
    speech += 1e-4 * np.random.default_rng(0).standard_normal(len(speech))
    _, plain = decode_clip(with_soundfile(speech, 48000, "WAV", "FLOAT"), PARAMS)
    for level in (0.005, 0.02, 0.05) if not hz else (0.005, 0.02):
        added = level * np.cos(2 * np.pi * hz * seconds)
        _, measures = decode_clip(with_soundfile(speech + added, 48000, "WAV", "FLOAT"), PARAMS)
        for name in ("speech_s", "leading_silence_s", "trailing_silence_s"):
            assert measures[name] == pytest.approx(plain[name], abs=0.021), name
        assert measures["loudness_dbfs"] == pytest.approx(plain["loudness_dbfs"], abs=0.1)
        assert measures["bandwidth_hz"] == pytest.approx(plain["bandwidth_hz"], abs=100)
        assert measures["snr_db"] > 45


@pytest.mark.parametrize("count", [1, 2, 7, 500])
def test_percentiles_are_numpys(count):
    values = np.random.default_rng(count).normal(size=count)
    assert percentiles(values, [0, 10, 95, 100]) == pytest.approx(np.percentile(values, [0, 10, 95, 100]))


def test_short_runs_are_taken_out_as_by_hand():
    """binary_opening gives what a loop over the runs gives, at the edges too."""
    generator = np.random.default_rng(0)

    def without_short_runs(mask: np.ndarray) -> np.ndarray:
        mask = mask.copy()
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
        for start, end in edges.reshape(-1, 2):
            mask[start:end] = end - start >= 5
        return mask

    for _ in range(200):
        levels = -40.0 + 30 * (np.repeat(generator.random(30) < 0.5, generator.integers(1, 12, 30)))
        active = levels > levels.min() + 10
        expected = without_short_runs(~without_short_runs(~active))
        np.testing.assert_array_equal(speech_frames(levels, levels.min(), 40), expected)


def not_speech() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    seconds = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    noise, tone = 0.1 * generator.standard_normal(len(seconds)), 0.5 * np.sin(2 * np.pi * 440 * seconds)
    silence = np.zeros(SAMPLE_RATE)
    return {
        "white noise": noise,
        "white noise amid silence": np.concatenate([silence, noise, silence]),
        "a tone": tone,
        "a tone amid silence": np.concatenate([silence, tone, silence]),
        "near-silence": 1e-3 * noise,
        "the last bit": generator.integers(-1, 2, len(seconds)) / 32768,
    }


@pytest.mark.parametrize("name", not_speech())
def test_noise_tones_and_near_silence_are_no_training_clips(workdir, name):
    clips = {"bad.wav": with_soundfile(not_speech()[name], SAMPLE_RATE, "WAV", "PCM_16")}
    clips |= {path.name: path.read_bytes() for path in sample_clips("fr")[:2]}
    table = pa.table({"clip_id": list(clips), "audio": list(clips.values())})
    pq.write_table(table, workdir / "clips.parquet")
    params = DecodeParams(**PARAMS.__dict__, max_reject_fraction=1)
    rows, rejects = decode_part(workdir / "clips.parquet", workdir / "part-00000.npy", params)
    assert len(rows) == 2
    ((clip_id, reason),) = rejects
    assert clip_id == "bad.wav"
    kind = {"near-silence": "near-silent", "the last bit": "silent"}.get(name, "no speech")
    assert reason.startswith(f"{kind}: ")


def test_speech_is_a_training_clip_even_40_db_down():
    clips = sample_clips("fr")
    for path in clips[:: len(clips) // 20]:
        recording = read_recording(path, 30)
        _, measures = decode_clip(with_soundfile(0.01 * recording.waveform, SAMPLE_RATE, "WAV", "FLOAT"), PARAMS)
        assert no_speech(measures) == ""


def broken_inputs(tone) -> dict[str, tuple[bytes, str]]:
    wav = with_soundfile(tone(300, 2.0), SAMPLE_RATE, "WAV", "FLOAT")
    m4a = with_ffmpeg(tone(300, 2.0, 48000), 48000, "mp4", "aac")
    nan = tone(300, 2.0)
    nan[100] = np.nan
    opposite = np.stack([3000 * tone(300, 2.0), -3000 * tone(300, 2.0)], axis=1)  # whose mean is silence
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    return {
        "empty": (b"", "empty: 0 bytes"),
        "text": (b"this is no audio at all, but some text\n" * 50, "not audio"),
        "pdf": (b"%PDF-1.7\n" + bytes(range(256)) * 40, "not audio"),
        "playlist": (playlist, "not audio"),
        "header only": (wav[:44], "not audio"),
        "no samples": (with_soundfile(np.zeros(0), SAMPLE_RATE, "WAV", "FLOAT"), "empty: no samples"),
        "truncated m4a": (m4a[: len(m4a) // 2], "not audio"),
        "nan": (with_soundfile(nan, SAMPLE_RATE, "WAV", "FLOAT"), "broken: samples that are no finite numbers"),
        "huge": (with_soundfile(opposite, SAMPLE_RATE, "WAV", "FLOAT"), "broken: samples up to 1.5e+03, where 1 is"),
        "short": (with_soundfile(tone(300, 0.1), SAMPLE_RATE, "WAV", "FLOAT"), "too short: 0.10 s"),
        "long": (with_soundfile(tone(300, 31), SAMPLE_RATE, "WAV", "FLOAT"), "too long: over 30 s"),
        "silent": (with_soundfile(0 * tone(300, 2.0), SAMPLE_RATE, "WAV", "FLOAT"), "silent"),
        "mostly silent": (
            with_soundfile(speech_like(tone, 1.0, 0.3, 1.0), SAMPLE_RATE, "WAV", "FLOAT"),
            "too short: 0.4",
        ),
        "strange rate": (with_soundfile(tone(300, 2.0), 1000, "WAV", "FLOAT"), "sample rate: 1000 Hz"),
    }


def test_bad_clips_are_rejected_with_the_reason(tone):
    for name, (data, reason) in broken_inputs(tone).items():
        with pytest.raises(Reject) as reject:
            decode_clip(data, PARAMS)
        assert str(reject.value).startswith(reason), name


def without_info_frame(data: bytes) -> bytes:
    """The MP3 without the frame in which an encoder states its length, as those of Common Voice are."""
    start = data.index(b"\xff\xfb")
    return data[data.index(b"\xff\xfb", start + 4) :]


@pytest.mark.parametrize("strip", [False, True])
def test_a_truncated_mp3_is_rejected_whether_its_header_tells_or_not(strip):
    for path in sample_clips("fr")[:5] + sample_clips("en")[:5]:
        data = without_info_frame(path.read_bytes()) if strip else path.read_bytes()
        whole, _ = decode_clip(data, PARAMS)
        assert len(whole) > 0
        with pytest.raises(Reject, match="truncated"):
            decode_clip(data[: len(data) // 2 + 30], PARAMS)  # not between two frames, which nobody could tell


@pytest.mark.parametrize("name", ["wav", "wav float", "flac", "m4a", "webm"])
def test_other_truncated_files_are_rejected(tone, name):
    data = {key: encode for key, encode, _ in FORMATS}[name](tone(440, 5.0, 48000), 48000)
    decode_clip(data, PARAMS)
    with pytest.raises(Reject, match="truncated|broken|not audio"):
        decode_clip(data[: len(data) // 2], PARAMS)


def test_an_mp3_of_varying_bit_rate_without_a_header_is_read_to_its_end(tone):
    """libsndfile guesses such a file's length from its first frame, and stops there."""
    loud = with_soundfile(np.random.default_rng(0).standard_normal(48000 * 2) * 0.2, 48000, "MP3", "MPEG_LAYER_III")
    quiet = with_soundfile(1e-3 * tone(300, 4.0, 48000), 48000, "MP3", "MPEG_LAYER_III")
    for first, second in ((loud, quiet), (quiet, loud)):
        joined = without_info_frame(first) + without_info_frame(second)
        waveform, *_ = read_recording(joined, 30)
        assert len(waveform) / SAMPLE_RATE == pytest.approx(6.0, abs=0.2)


def test_a_wav_of_an_unknown_codec_is_rejected(tone):
    data = bytearray(with_soundfile(tone(300, 2.0), SAMPLE_RATE, "WAV", "PCM_16"))
    data[20:22] = b"\xee\xee"
    with pytest.raises(Reject, match="not audio"):
        decode_clip(bytes(data), PARAMS)


def test_reading_is_in_blocks_of_bounded_size(tone):
    stream = open_audio(with_soundfile(np.tile(tone(300), 45), SAMPLE_RATE, "FLAC", "PCM_16"))
    sizes = [block.shape[1] for block in stream.blocks]
    assert sum(sizes) == 45 * SAMPLE_RATE
    assert max(sizes) < 11 * SAMPLE_RATE


@pytest.mark.slow
def test_the_stage_lists_rejects_and_keeps_the_rest(workdir, tone):
    bad = {f"bad_{name.replace(' ', '_')}.mp3": data for name, (data, _) in broken_inputs(tone).items()}
    good = {path.name: path.read_bytes() for path in sample_clips("fr")[:8]}
    rows = [{"client_id": "a", "path": name, "sentence": name, "locale": "fr"} for name in [*bad, *good]]
    write_locale(workdir / "raw" / "fr", "client_id path sentence locale", rows, bad | good)
    set_params(workdir, {"ingest": {"classes": {"french": {"locale": "fr"}}, "clips_per_part": 3}})
    stage("ingest", "raw", EXCLUSIONS, "clips", cwd=workdir)
    done = stage("decode", "clips", "waveforms", cwd=workdir, ok=False)
    assert "14 of 22 clips rejected, more than max_reject_fraction=0.1 allows (" in done.stderr
    assert not (workdir / "waveforms").exists()

    set_params(workdir, {"decode": {"max_reject_fraction": 0.7}})
    done = stage("decode", "clips", "waveforms", cwd=workdir)
    rejects = read_rejects(workdir / "waveforms")
    assert sorted(rejects) == sorted(name.removesuffix(".mp3") for name in bad)
    assert rejects["bad_text"].startswith("not audio")
    assert "8 clips, 14 rejected (" in done.stdout


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(workdir):
    set_params(workdir, {"ingest": {"max_clips_per_class": 20, "clips_per_part": 8}})
    stage("ingest", SAMPLE, EXCLUSIONS, "clips", cwd=workdir)
    for workers in ("1", "2"):
        stage("decode", "clips", f"waveforms{workers}", cwd=workdir, LOKY_MAX_CPU_COUNT=workers)
        stage("spectrogram", f"waveforms{workers}", f"spectrograms{workers}", cwd=workdir, LOKY_MAX_CPU_COUNT=workers)
    for name in ("waveforms", "spectrograms"):
        files = sorted((workdir / f"{name}1").iterdir())
        assert len(files) == 7  # five parts, the index and the rejects
        for path in files:
            assert path.read_bytes() == (workdir / f"{name}2" / path.name).read_bytes()


def test_an_aac_stream_that_begins_with_silence_is_whole(tone):
    """FFmpeg guesses the length of such a file from the bit rate of its first frames."""
    samples = np.concatenate(
        [np.zeros(4 * 48000, np.float32), 0.3 * np.random.default_rng(0).standard_normal(4 * 48000)]
    )
    waveform, *_ = read_recording(with_ffmpeg(samples, 48000, "adts", "aac"), 30)
    assert len(waveform) / SAMPLE_RATE == pytest.approx(8, abs=0.2)


def test_a_colon_in_a_name_is_no_protocol(tone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("take:1.m4a").write_bytes(with_ffmpeg(tone(440, 2.0, 48000), 48000, "mp4", "aac"))
    assert len(read_recording(Path("take:1.m4a"), 30).waveform) / SAMPLE_RATE == pytest.approx(2, abs=0.1)


def test_short_runs_go_as_by_scipy():
    rng = np.random.default_rng(1)
    for length in range(1, 200):
        mask = rng.random(length) < 0.8
        np.testing.assert_array_equal(without_short_runs(mask), binary_opening(mask, np.ones(5, bool)))
