"""Encoded bytes -> mono 16 kHz waveform without the silence at its ends, and what was measured of the clip."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile as sf
import soxr
from pydantic import NonNegativeFloat, PositiveFloat

from accent.errors import Reject
from accent.params import params
from accent.parts import PartResult, write_part

SAMPLE_RATE = 16000  # Hz, of everything after `decode`
FRAME_SECONDS, HOP_SECONDS = 0.025, 0.010
MIN_SPEECH_FRAMES = 5  # 65 ms: shorter than a syllable, longer than the click of a mouse or a key
FULL_SCALE = 32767
SOURCE_RATES = range(4000, 384001)
MAX_CHANNELS = 64
# Demuxers that FFmpeg may use: without this list, a playlist inside a "clip" could make it open other files or hosts.
FFMPEG_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,aac,mp3,wav,flac"


@params
class DecodeParams:
    silence_db: PositiveFloat
    margin_seconds: NonNegativeFloat
    min_seconds: PositiveFloat
    max_seconds: PositiveFloat
    max_reject_fraction: NonNegativeFloat


class Stream(NamedTuple):
    """Audio as it comes out of a decoder: `blocks` of mono float32 at `sample_rate` Hz, and the codec's name."""

    sample_rate: int
    codec: str
    announced_seconds: float
    blocks: Iterator[np.ndarray]


def open_audio(source: bytes | Path) -> Stream:
    """Audio of any format that libsndfile or FFmpeg reads; channels are averaged.

    Raises `Reject` where neither can read it; the iterator over the blocks may raise it too.
    """
    opened = io.BytesIO(source) if isinstance(source, bytes) else source
    if isinstance(source, bytes) and not source:
        raise Reject("empty: 0 bytes")
    try:
        file = sf.SoundFile(opened)
    except sf.LibsndfileError:
        if isinstance(opened, io.BytesIO):
            opened.seek(0)
        return _open_with_ffmpeg(opened)
    _check_format(file.samplerate, file.channels)
    blocks = (_mono(block.T) for block in _sndfile_blocks(file))
    return Stream(file.samplerate, f"{file.format}/{file.subtype}", file.frames / file.samplerate, blocks)


def _sndfile_blocks(file: sf.SoundFile) -> Iterator[np.ndarray]:
    with file:
        try:
            while len(block := file.read(file.samplerate * 10, dtype="float32", always_2d=True)):
                yield block
        except sf.LibsndfileError as error:
            raise Reject(f"broken: {error}") from None


def _open_with_ffmpeg(opened: io.BytesIO | Path) -> Stream:
    try:
        container = av.open(
            opened if isinstance(opened, io.BytesIO) else str(opened),
            options={"format_whitelist": FFMPEG_FORMATS, "protocol_whitelist": "file"},
        )
        if not container.streams.audio:
            raise Reject("not audio: a file without a sound track")
        stream = container.streams.audio[0]
        _check_format(stream.rate, stream.channels)
    except (av.FFmpegError, ValueError) as error:
        raise Reject(f"not audio: neither libsndfile nor FFmpeg can read it ({_ffmpeg_says(error)})") from None
    seconds = float(stream.duration * stream.time_base) if stream.duration else 0.0
    return Stream(stream.rate, stream.codec_context.name.upper(), seconds, _ffmpeg_blocks(container))


def _ffmpeg_blocks(container: av.container.InputContainer) -> Iterator[np.ndarray]:
    with container:
        planes = av.AudioResampler(format="fltp")  # the sample format alone; rate and channels stay
        try:
            for frame in container.decode(audio=0):
                for converted in planes.resample(frame):
                    yield _mono(converted.to_ndarray())
        except (av.FFmpegError, ValueError) as error:
            raise Reject(f"broken: {_ffmpeg_says(error)}") from None


def _ffmpeg_says(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _check_format(sample_rate: int, channels: int) -> None:
    if sample_rate not in SOURCE_RATES:
        raise Reject(f"sample rate: {sample_rate} Hz, allowed {SOURCE_RATES[0]} to {SOURCE_RATES[-1]}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise Reject(f"channels: {channels}, at most {MAX_CHANNELS}")


def _mono(channels: np.ndarray) -> np.ndarray:
    return channels[0] if len(channels) == 1 else channels.mean(axis=0, dtype=np.float32)


def read_waveform(source: bytes | Path, max_seconds: float) -> tuple[np.ndarray, int, str]:
    """A whole recording as mono float32 of -1 to 1 at `SAMPLE_RATE`, with its own rate and codec.

    Raises `Reject` for what cannot be read, is longer than `max_seconds` or was cut off.
    """
    stream = open_audio(source)
    blocks, seconds = [], 0.0
    for block in stream.blocks:
        seconds += len(block) / stream.sample_rate
        blocks.append(block)
        if seconds > max_seconds:
            raise Reject(f"too long: over {max_seconds:g} s")
    if not blocks:
        raise Reject("empty: no samples in it")
    # The length that a header states is an estimate for many MP3 files, so only a gross lack counts.
    if seconds < 0.9 * stream.announced_seconds - 0.1:
        raise Reject(f"truncated: {seconds:.1f} of {stream.announced_seconds:.1f} s are there")
    waveform = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    if not np.isfinite(waveform).all():
        raise Reject("broken: samples that are no finite numbers")
    return soxr.resample(waveform, stream.sample_rate, SAMPLE_RATE), stream.sample_rate, stream.codec


def frame_levels(waveform: np.ndarray) -> np.ndarray:
    """Power in dB re full scale of frames of 25 ms every 10 ms: 10 log10 of the mean square, at least -100."""
    length, hop = round(FRAME_SECONDS * SAMPLE_RATE), round(HOP_SECONDS * SAMPLE_RATE)
    energy = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    starts = np.arange(0, max(len(waveform) - length, 0) + 1, hop)
    power = (energy[np.minimum(starts + length, len(waveform))] - energy[starts]) / length
    return 10 * np.log10(np.maximum(power, 1e-10))


def speech_frames(levels: np.ndarray, silence_db: float) -> np.ndarray:
    """Which frames hold speech, as a mask; an energy detector after ITU-T P.56's idea of a level with a hangover.

    A frame counts if it is 10 dB above the noise floor (the 10th percentile of the levels); but the threshold is
    never more than `silence_db` below the loudest frame, so that in a quiet recording breath is not speech, and never
    less than 25 dB below it, so that soft consonants stay in a noisy one. Runs shorter than 65 ms (clicks) do not
    count, and gaps as short do.
    """
    loudest, floor = levels.max(), np.percentile(levels, 10)
    active = levels > np.clip(floor + 10, loudest - silence_db, loudest - min(25, silence_db))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    for start, end in edges.reshape(-1, 2):
        active[start:end] = end - start >= MIN_SPEECH_FRAMES
    return active


def bandwidth_hz(waveform: np.ndarray) -> float:
    """The highest frequency whose mean power is within 60 dB of the strongest one's (512-point Hann periodogram).

    Microphone noise counts as content: what shows is where a codec, a telephone or a resampler cut the band off.
    """
    frames = waveform[: len(waveform) // 512 * 512].reshape(-1, 512)
    if not len(frames):
        return 0.0
    spectrum = np.fft.rfft(frames * np.hanning(512).astype(np.float32))
    power = np.mean(spectrum.real**2 + spectrum.imag**2, axis=0)
    return float(np.flatnonzero(power >= 1e-6 * power.max())[-1] * SAMPLE_RATE / 512)


def decode_clip(source: bytes | Path, params: DecodeParams) -> tuple[np.ndarray, dict[str, float | str]]:
    """A clip's waveform, mono int16 at `SAMPLE_RATE`, trimmed to its speech, and its measures.

    The measures, of the whole recording where nothing else is said:
    `duration_s`; `speech_s`, `leading_silence_s`, `trailing_silence_s`, after `speech_frames`; `loudness_dbfs`, the
    mean level of the speech frames (dB re full scale, mean of power); `snr_db`, the 95th less the 10th percentile of
    the frame levels (after NIST's STNR, which reads both off the histogram of frame powers); `clipped_fraction`, the
    samples at 0.99 of full scale or more; `bandwidth_hz`; `source_rate_hz`; `source_codec`.
    Raises `Reject`.
    """
    rate = SAMPLE_RATE
    waveform, source_rate, codec = read_waveform(source, params.max_seconds)
    if len(waveform) < params.min_seconds * rate:
        raise Reject(f"too short: {len(waveform) / rate:.2f} s, at least {params.min_seconds:g}")
    levels = frame_levels(waveform)
    if levels.max() <= -90:
        raise Reject("silent: nothing above -90 dBFS")
    speech = np.flatnonzero(speech_frames(levels, params.silence_db))
    if not len(speech):
        raise Reject("no speech: nothing longer than a click")
    begin = speech[0] * HOP_SECONDS
    end = min(speech[-1] * HOP_SECONDS + FRAME_SECONDS, len(waveform) / rate)
    first = max(round((begin - params.margin_seconds) * rate), 0)
    trimmed = waveform[first : round((end + params.margin_seconds) * rate)]
    if len(trimmed) < params.min_seconds * rate:
        raise Reject(f"too short: {len(trimmed) / rate:.2f} s without the silence, at least {params.min_seconds:g}")
    measures = {
        "duration_s": len(waveform) / rate,
        "speech_s": len(speech) * HOP_SECONDS,
        "leading_silence_s": begin,
        "trailing_silence_s": len(waveform) / rate - end,
        "loudness_dbfs": 10 * np.log10(np.mean(10 ** (levels[speech] / 10))),
        "snr_db": np.percentile(levels, 95) - np.percentile(levels, 10),
        "clipped_fraction": np.mean(np.abs(waveform) >= 0.99),
        "bandwidth_hz": bandwidth_hz(waveform),
        "source_rate_hz": source_rate,
        "source_codec": codec,
    }
    return np.round(np.clip(trimmed, -1, 1) * FULL_SCALE).astype(np.int16), measures


def decode_part(clips: Path, target: Path, params: DecodeParams) -> PartResult:
    """Decode a Parquet part of clips into a part of waveforms, with the clips' metadata and measures as its index."""
    table = pq.read_table(clips)
    waveforms, measures, kept, rejects = [], [], [], []
    for row, clip_id in enumerate(table["clip_id"].to_pylist()):
        try:
            waveform, measured = decode_clip(table["audio"][row].as_py(), params)
        except Reject as reason:
            rejects.append((clip_id, str(reason)))
            continue
        waveforms.append(waveform)
        measures.append(measured)
        kept.append(row)
    metadata = table.drop_columns("audio").take(pa.array(kept, pa.int64())).to_pandas()
    parts = write_part(target, waveforms, np.empty(0, np.int16))
    return pd.concat([metadata, parts, pd.DataFrame(measures)], axis=1), rejects
