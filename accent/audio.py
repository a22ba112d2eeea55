"""Encoded bytes -> mono 16 kHz waveform without the silence at its ends, and what was measured of the clip."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import av
import numpy as np
import soundfile as sf
import soxr
from pydantic import Field, NonNegativeFloat, PositiveFloat
from scipy.fft import rfft

from accent.errors import Reject
from accent.mp3 import walk_frames
from accent.params import Fraction, params

SAMPLE_RATE = 16000  # Hz, of everything after `decode`
FRAME_SECONDS, HOP_SECONDS = 0.025, 0.010
MIN_SPEECH_FRAMES = 5  # 65 ms: shorter than a syllable, longer than the click of a mouse or a key
FULL_SCALE = 32767
CLIPPED = 0.99
SILENT_DBFS = -90
MAX_SAMPLE = 1000  # 60 dB above full scale: more than any recorder writes, and its square is still a number
BLOCK_SECONDS = 10
MAX_BLOCK = 2**22  # numbers in a block: 16 MB, whatever the rate and the channels
HANN = np.hanning(512).astype(np.float32)
SOURCE_RATES = range(4000, 384001)
MAX_CHANNELS = 64
# Demuxers that FFmpeg may use: without this list, a playlist inside a "clip" could make it open other files or hosts.
FFMPEG_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,aac,mp3,wav,flac"


@params
class AudioParams:
    silence_db: PositiveFloat
    margin_seconds: NonNegativeFloat
    min_seconds: PositiveFloat
    max_seconds: Annotated[float, Field(gt=0, le=300)]


@params
class DecodeParams(AudioParams):
    max_reject_fraction: Fraction


class Stream(NamedTuple):
    """Audio as it comes out of a decoder: `blocks` of float32 (channels, samples) at `sample_rate` Hz.

    `seconds` is the length that the file states, 0 where it states none.
    """

    sample_rate: int
    codec: str
    seconds: float
    blocks: Iterator[np.ndarray]


def open_audio(source: bytes | Path) -> Stream:
    """Audio of any format that libsndfile or FFmpeg reads.

    Raises `Reject` where neither can read it, or it was cut off; the iterator over the blocks may raise it too.
    """
    if not (len(source) if isinstance(source, bytes) else source.stat().st_size):
        raise Reject("empty: 0 bytes")
    try:
        file = sf.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else source)
    except sf.LibsndfileError:
        return _open_with_ffmpeg(source)
    _check_format(file.samplerate, file.channels)
    seconds = file.frames / file.samplerate
    if file.format == "MP3":
        whole_frames, cut_off, length_stated = walk_frames(source)
        if cut_off:
            raise Reject(f"truncated: it ends in the middle of a frame, after {whole_frames:.1f} s")
        if whole_frames > seconds + 0.2:  # libsndfile guessed the length, and would stop there
            file.close()
            return _open_with_ffmpeg(source)._replace(seconds=whole_frames)
        seconds = seconds if length_stated else whole_frames  # the guess may be too long as well
    elif file.format in ("WAV", "WAVEX"):
        head, size = (source[:8], len(source)) if isinstance(source, bytes) else _head_and_size(source)
        stated = int.from_bytes(head[4:8], "little") + 8
        if size < stated < 2**32 - 1:  # programs that write to a pipe state the largest size
            raise Reject(f"truncated: {size:,} of {stated:,} bytes are there")
    return Stream(file.samplerate, f"{file.format}/{file.subtype}", seconds, _sndfile_blocks(file))


def _head_and_size(path: Path) -> tuple[bytes, int]:
    with open(path, "rb") as file:
        return file.read(8), os.fstat(file.fileno()).st_size


def _sndfile_blocks(file: sf.SoundFile) -> Iterator[np.ndarray]:
    with file:
        try:
            size = min(file.samplerate * BLOCK_SECONDS, MAX_BLOCK // file.channels)
            while len(block := file.read(size, dtype="float32", always_2d=True)):
                yield block.T
        except sf.LibsndfileError as error:
            raise Reject(f"broken: {error}") from None


def _open_with_ffmpeg(source: bytes | Path) -> Stream:
    try:
        container = av.open(
            io.BytesIO(source) if isinstance(source, bytes) else str(source.absolute()),  # not "a:b.m4a", a protocol
            options={"format_whitelist": FFMPEG_FORMATS, "protocol_whitelist": "file"},
        )
        if not container.streams.audio:
            raise Reject("not audio: a file without a sound track")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise Reject("not audio: a codec that FFmpeg does not know")
        if not stream.rate:
            raise ValueError("no sample rate")
        _check_format(stream.rate, stream.channels)
    except (av.FFmpegError, ValueError) as error:
        raise Reject(f"not audio: neither libsndfile nor FFmpeg can read it ({_ffmpeg_says(error)})") from None
    track_seconds = float((stream.duration or 0) * stream.time_base)
    if container.format.name == "aac":  # guessed from the bit rate of the first frames
        seconds = 0.0
    elif len(container.streams) == 1:
        seconds = track_seconds or (container.duration or 0) / av.time_base
    else:
        seconds = track_seconds
    return Stream(stream.rate, stream.codec_context.name.upper(), seconds, _ffmpeg_blocks(container))


def _ffmpeg_blocks(container: av.container.InputContainer) -> Iterator[np.ndarray]:
    with container:
        planes = av.AudioResampler(format="fltp")  # the sample format alone; rate and channels stay
        try:
            for frame in container.decode(audio=0):
                for converted in planes.resample(frame):
                    yield converted.to_ndarray()
        except (av.FFmpegError, ValueError) as error:
            raise Reject(f"broken: {_ffmpeg_says(error)}") from None


def _ffmpeg_says(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _check_format(sample_rate: int, channels: int) -> None:
    if sample_rate not in SOURCE_RATES:
        raise Reject(f"sample rate: {sample_rate} Hz, allowed {SOURCE_RATES[0]} to {SOURCE_RATES[-1]}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise Reject(f"channels: {channels}, at most {MAX_CHANNELS}")


class Recording(NamedTuple):
    """A whole recording as mono float32 of -1 to 1 at `SAMPLE_RATE`, and what its file says of it."""

    waveform: np.ndarray
    source_rate: int
    codec: str
    clipped_fraction: float  # samples at 0.99 of full scale or more in any channel, before resampling hides them


def read_pieces(source: bytes | Path, piece_seconds: float) -> Iterator[Recording]:
    """A recording of any length as pieces of `piece_seconds`, the last one shorter: channels averaged, resampled.

    Raises `Reject` for what cannot be read or was cut off; that of a long one shows only at its end.
    """
    stream = open_audio(source)
    size, read = round(piece_seconds * stream.sample_rate), 0
    blocks: list[np.ndarray] = []
    samples = clipped = 0
    for block in _cut_at(stream.blocks, size):
        clipped += count_clipped(block)
        blocks.append(block[0] if len(block) == 1 else block.mean(axis=0, dtype=np.float32))
        samples += block.shape[1]
        if samples == size:
            yield _recording(blocks, stream, clipped)
            blocks, read, samples, clipped = [], read + samples, 0, 0
    read += samples
    if not read:
        raise Reject("empty: no samples in it")
    if read < (0.95 * stream.seconds - 0.1) * stream.sample_rate:
        raise Reject(f"truncated: {read / stream.sample_rate:.1f} of {stream.seconds:.1f} s are there")
    if samples:
        yield _recording(blocks, stream, clipped)


def _cut_at(blocks: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The blocks, cut in two wherever a multiple of `size` samples is reached."""
    place = 0
    for block in blocks:
        while block.shape[1]:
            piece, block = block[:, : size - place], block[:, size - place :]
            place = (place + piece.shape[1]) % size
            yield piece


def _recording(blocks: list[np.ndarray], stream: Stream, clipped: int) -> Recording:
    waveform = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    resampled = soxr.resample(waveform, stream.sample_rate, SAMPLE_RATE)
    return Recording(resampled, stream.sample_rate, stream.codec, clipped / len(waveform))


def count_clipped(samples: np.ndarray) -> int:
    """How many samples (channels, n) are clipped in any channel; raises `Reject` for what no recorder writes."""
    peak = np.maximum(samples.max(), -samples.min())  # NaN stays NaN
    if not np.isfinite(peak):
        raise Reject("broken: samples that are no finite numbers")
    if peak > MAX_SAMPLE:
        raise Reject(f"broken: samples up to {peak:.2g}, where 1 is full scale")
    return np.count_nonzero(np.abs(samples).max(axis=0) >= CLIPPED) if peak >= CLIPPED else 0


def read_recording(source: bytes | Path, max_seconds: float) -> Recording:
    """A whole recording; raises `Reject` for what cannot be read, is longer than `max_seconds` or was cut off."""
    pieces = read_pieces(source, max_seconds)
    recording = next(pieces)
    if next(pieces, None):
        raise Reject(f"too long: over {max_seconds:g} s")
    return recording


def frame_levels(waveform: np.ndarray) -> np.ndarray:
    """Power in dB re full scale of frames of 25 ms every 10 ms: 10 log10 of the mean square, at least -100.

    Computed from the energies of the 5 ms that both are made of; what is left over at the end is not looked at.
    """
    atom = SAMPLE_RATE // 200
    length, hop = round(FRAME_SECONDS * 200), round(HOP_SECONDS * 200)
    if len(waveform) < length * atom:
        waveform = np.pad(waveform, (0, length * atom - len(waveform)))
    atoms = waveform[: len(waveform) // atom * atom].reshape(-1, atom)
    energy = np.einsum("ij,ij->i", atoms, atoms)
    power = np.convolve(energy, np.ones(length, energy.dtype), "valid")[::hop] / (length * atom)
    return 10 * np.log10(np.maximum(power, 1e-10))


def speech_frames(levels: np.ndarray, floor: float, silence_db: float) -> np.ndarray:
    """Which frames hold speech, as a mask; an energy detector with a hangover, after ITU-T P.56.

    A frame counts if it is 10 dB above the noise floor (the 10th percentile of the levels); but the threshold is
    never more than `silence_db` below the loudest frame, so that in a quiet recording breath is not speech, and never
    less than 25 dB below it, so that soft consonants stay in a noisy one. Gaps shorter than 65 ms count as speech
    (the closures of plosives); then runs as short do not (clicks).
    """
    loudest = levels.max()
    active = levels > np.clip(floor + 10, loudest - silence_db, loudest - min(25, silence_db))
    return _without_short_runs(~_without_short_runs(~active))


def _without_short_runs(mask: np.ndarray) -> np.ndarray:
    """The mask with runs of less than `MIN_SPEECH_FRAMES` taken out."""
    mask = mask.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    for start, end in edges.reshape(-1, 2):
        mask[start:end] = end - start >= MIN_SPEECH_FRAMES
    return mask


def bandwidth_hz(waveform: np.ndarray) -> float:
    """The highest frequency whose mean power is within 60 dB of the strongest one's (512-point Hann periodogram).

    Microphone noise counts as content: what shows is where a codec, a telephone or a resampler cut the band off.
    """
    frames = waveform[: len(waveform) // 1024 * 1024].reshape(-1, 1024)[:, :512]
    if not len(frames):
        return 0.0
    spectrum = rfft(frames * HANN)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=0)
    return float(np.flatnonzero(power >= 1e-6 * power.max())[-1] * SAMPLE_RATE / 512)


def decode_clip(source: bytes | Path, params: AudioParams) -> tuple[np.ndarray, dict[str, float | str]]:
    """A clip's waveform and measures as `trim` gives them; raises `Reject` for what is unreadable or `too_little`."""
    waveform, measures = trim(read_recording(source, params.max_seconds), params)
    if reason := too_little(waveform, measures, params):
        raise Reject(reason)
    return waveform, measures


def trim(recording: Recording, params: AudioParams) -> tuple[np.ndarray, dict[str, float | str]]:
    """A recording's waveform, mono int16 at `SAMPLE_RATE`, trimmed to its speech (all of it may go), and its measures.

    The measures, of the whole recording where nothing else is said:
    `duration_s`; `speech_s`, `leading_silence_s`, `trailing_silence_s`, after `speech_frames`; `loudness_dbfs`, the
    mean level of the speech frames (dB re full scale, mean of power; without any, the loudest frame's); `snr_db`, the
    95th less the 10th percentile of the frame levels (after NIST's STNR, which reads both off the histogram of frame
    powers); `clipped_fraction`, the samples at 0.99 of full scale or more; `bandwidth_hz`; `source_rate_hz`;
    `source_codec`.
    """
    waveform = recording.waveform
    duration = len(waveform) / SAMPLE_RATE
    levels = frame_levels(waveform)
    floor, loud = np.percentile(levels, [10, 95])
    speech = np.flatnonzero(speech_frames(levels, floor, params.silence_db) & (levels.max() > SILENT_DBFS))
    if len(speech):
        begin = speech[0] * HOP_SECONDS
        end = min(speech[-1] * HOP_SECONDS + FRAME_SECONDS, duration)
        first = max(round((begin - params.margin_seconds) * SAMPLE_RATE), 0)
        trimmed = waveform[first : round((end + params.margin_seconds) * SAMPLE_RATE)]
        loudness = 10 * np.log10(np.mean(10 ** (levels[speech] / 10)))
    else:
        begin = end = duration
        trimmed, loudness = waveform[:0], levels.max()
    measures = {
        "duration_s": duration,
        "speech_s": len(speech) * HOP_SECONDS,
        "leading_silence_s": begin,
        "trailing_silence_s": duration - end,
        "loudness_dbfs": loudness,
        "snr_db": loud - floor,
        "clipped_fraction": recording.clipped_fraction,
        "bandwidth_hz": bandwidth_hz(waveform),
        "source_rate_hz": recording.source_rate,
        "source_codec": recording.codec,
    }
    scaled = np.rint(np.clip(trimmed, -1, 1) * np.float32(FULL_SCALE))
    return scaled.astype(np.int16), measures


def too_little(trimmed: np.ndarray, measures: dict[str, float | str], params: AudioParams) -> str:
    """Why there is not enough in a trimmed recording to go by, or ""."""
    duration, remaining = measures["duration_s"], len(trimmed) / SAMPLE_RATE
    if duration < params.min_seconds:
        return f"too short: {duration:.2f} s, at least {params.min_seconds:g}"
    if not measures["speech_s"]:
        if measures["loudness_dbfs"] <= SILENT_DBFS:
            return f"silent: nothing above {SILENT_DBFS} dBFS"
        return "no speech: nothing longer than a click"
    if len(trimmed) < params.min_seconds * SAMPLE_RATE:
        return f"too short: {remaining:.2f} s without the silence, at least {params.min_seconds:g}"
    return ""
