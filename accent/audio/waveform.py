"""Encoded bytes -> trimmed mono waveform at 16 kHz, and the measures of the clip."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import soxr
from pydantic import Field, NonNegativeFloat, PositiveFloat
from scipy.fft import rfft

from accent.audio.decoder import Stream, open_audio
from accent.audio.high_pass import SAMPLE_RATE, high_pass
from accent.core.errors import CutOff, Reject
from accent.core.params import Fraction, params

FRAME_SECONDS, HOP_SECONDS = 0.025, 0.010
MIN_SPEECH_FRAMES = 5  # 65 ms: shorter than a syllable, longer than the click of a mouse or a key
FULL_SCALE = 32767
CLIPPED = 0.99
SILENT_DBFS = -90
MAX_SAMPLE = 1000  # 60 dB above full scale: more than any recorder writes, and its square is still a number
HANN = np.hanning(512).astype(np.float32)
OPPOSITE = -0.5  # correlation with the loudest channel below which a channel is turned over
FAINT_DBFS = -70  # ten steps of 16 bits
STEADY_DB = 5  # the levels of 180 real clips of Common Voice lie 9 to 35 dB apart, those of noise and tones 0 to 4


@params
class AudioParams:
    silence_db: PositiveFloat
    margin_seconds: NonNegativeFloat
    min_seconds: PositiveFloat
    max_seconds: Annotated[float, Field(gt=0, le=300)]


@params
class DecodeParams(AudioParams):
    max_reject_fraction: Fraction

    @property
    def audio(self) -> AudioParams:
        """What scoring needs of them too."""
        return AudioParams(**{field.name: getattr(self, field.name) for field in fields(AudioParams)})


class Recording(NamedTuple):
    """A whole recording as mono float32 of -1 to 1 at `SAMPLE_RATE`, and what its file says of it."""

    waveform: np.ndarray
    source_rate: int
    codec: str
    clipped_fraction: float  # samples at 0.99 of full scale or more in any channel, before resampling hides them
    opposite: bool = False  # whether a channel had to be turned over, see `mix`


def read_pieces(source: bytes | Path, piece_seconds: float) -> Iterator[Recording]:
    """A recording of any length as pieces of `piece_seconds`, the last one shorter: channels mixed, resampled.

    Raises `Reject` for what cannot be read or is shorter than it states, which may show only at its end; and after the
    last piece `CutOff`, where the file ends in the middle of a frame.
    """
    stream = open_audio(source)
    size, read = round(piece_seconds * stream.sample_rate), 0
    blocks: list[np.ndarray] = []
    samples = clipped = 0
    opposite = False
    for block in _cut_at(stream.blocks, size):
        clipped += count_clipped(block)
        mono, turned = mix(block)
        blocks.append(mono)
        opposite |= turned
        samples += len(mono)
        if samples == size:
            yield _recording(blocks, stream, clipped, opposite)
            blocks, read, samples, clipped, opposite = [], read + samples, 0, 0, False
    read += samples
    if not read:
        raise Reject("empty: no samples in it")
    seconds = read / stream.sample_rate
    missing = seconds < 0.99 * stream.seconds - 0.1  # a codec's own padding may be stated or not
    there = f"{seconds:.1f} of {stream.seconds:.1f} s" if missing else f"{seconds:.1f} s"
    if missing and not stream.cut_off:
        raise Reject(f"truncated: {there} are there")
    if samples:
        yield _recording(blocks, stream, clipped, opposite)
    if stream.cut_off:
        raise CutOff(f"truncated: it ends in the middle of a frame, after {there}")


def mix(block: np.ndarray) -> tuple[np.ndarray, bool]:
    """The mean (n,) of channels (channels, n), with channels of opposite phase inverted, and whether there were any.

    Such channels come from a balanced cable in a stereo input, and would cancel each other out.
    """
    if len(block) == 1:
        return block[0], False
    energy = np.einsum("ij,ij->i", block, block)
    loudest = energy.argmax()
    opposite = block @ block[loudest] < OPPOSITE * np.sqrt(energy * energy[loudest])
    if not opposite.any():
        return block.mean(axis=0, dtype=np.float32), False
    signs = np.where(opposite == opposite[0], 1, -1).astype(np.float32)  # the first stays, block after block
    return signs @ block / np.float32(len(block)), True


def _cut_at(blocks: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The blocks, cut in two wherever a multiple of `size` samples is reached."""
    place = 0
    for block in blocks:
        while block.shape[1]:
            piece, block = block[:, : size - place], block[:, size - place :]
            place = (place + piece.shape[1]) % size
            yield piece


def _recording(blocks: list[np.ndarray], stream: Stream, clipped: int, opposite: bool) -> Recording:
    waveform = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    resampled = soxr.resample(waveform, stream.sample_rate, SAMPLE_RATE)
    return Recording(resampled, stream.sample_rate, stream.codec, clipped / len(waveform), opposite)


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


def percentiles(values: np.ndarray, percents: list[float]) -> np.ndarray:
    """`np.percentile`, in a fifth of its time."""
    places = np.array(percents) / 100 * (len(values) - 1)
    return np.interp(places, np.arange(len(values)), np.sort(values))


def speech_frames(levels: np.ndarray, floor: float, silence_db: float) -> np.ndarray:
    """Which frames hold speech, as a mask; an energy detector with a hangover, after ITU-T P.56.

    A frame counts if it is 10 dB above the noise floor (the 10th percentile of the levels); but the threshold is
    never more than `silence_db` below the loudest frame, so that in a quiet recording breath is not speech, and never
    less than 25 dB below it, so that soft consonants stay in a noisy one. Gaps shorter than 65 ms count as speech
    (the closures of plosives); then runs as short do not (clicks).
    """
    loudest = levels.max()
    active = levels > np.clip(floor + 10, loudest - silence_db, loudest - min(25, silence_db))
    return without_short_runs(~without_short_runs(~active))


def without_short_runs(mask: np.ndarray) -> np.ndarray:
    """`scipy.ndimage.binary_opening` of a mask by a run of `MIN_SPEECH_FRAMES`, in a third of its time."""
    if len(mask) < MIN_SPEECH_FRAMES:
        return np.zeros_like(mask)
    run = np.ones(MIN_SPEECH_FRAMES, np.float32)
    whole = np.convolve(mask, run, "valid") == MIN_SPEECH_FRAMES
    return np.convolve(whole, run) > 0


def bandwidth_hz(waveform: np.ndarray) -> float:
    """The highest frequency whose mean power is within 60 dB of the strongest one's (512-point Hann periodogram).

    Microphone noise counts as content: what shows is where a codec, a telephone or a resampler cut the band off.
    """
    frames = waveform[: len(waveform) // 1024 * 1024].reshape(-1, 1024)[:, :512]
    if not len(frames):
        return 0.0
    parts = rfft(frames * HANN).view(np.float32)  # (frames, 2 x bins): real and imaginary in turn, in half the time
    power = np.einsum("ij,ij->j", parts, parts).reshape(-1, 2).sum(axis=1)
    return float(np.flatnonzero(power >= 1e-6 * power.max())[-1] * SAMPLE_RATE / 512)


def decode_clip(source: bytes | Path, params: AudioParams) -> tuple[np.ndarray, dict[str, float | str]]:
    """A clip's waveform and measures as `trim` gives them; raises `Reject` for what is unreadable or `too_little`."""
    waveform, measures = trim(read_recording(source, params.max_seconds), params)
    if reason := too_little(waveform, measures, params):
        raise Reject(reason)
    return waveform, measures


def trim(recording: Recording, params: AudioParams) -> tuple[np.ndarray, dict[str, float | str]]:
    """A recording's waveform, mono int16 at `SAMPLE_RATE`, trimmed to its speech (all of it may go), and its measures.

    Both without what is below the band that the network hears (`accent.audio.high_pass`). The measures, of the whole
    recording where nothing else is said:
    `duration_s`; `speech_s`, `leading_silence_s`, `trailing_silence_s`, after `speech_frames`; `loudness_dbfs`, the
    mean level of the speech frames (dB re full scale, mean of power; without any, the loudest frame's);
    `level_range_db`, the 90th less the 10th percentile of their levels (0 without any); `snr_db`, the 95th less the
    10th percentile of the levels of all frames (after NIST's STNR, which reads both off the histogram of frame powers),
    each at least `SILENT_DBFS`, since below it lies no room's noise but what a decoder rounds;
    `clipped_fraction`, the samples at 0.99 of full scale or more; `bandwidth_hz`; `source_rate_hz`;
    `source_codec`.
    """
    waveform = high_pass(recording.waveform)
    duration = len(waveform) / SAMPLE_RATE
    levels = frame_levels(waveform)
    floor, loud = percentiles(levels, [10, 95])
    speech = np.flatnonzero(speech_frames(levels, floor, params.silence_db) & (levels.max() > SILENT_DBFS))
    if len(speech):
        begin = speech[0] * HOP_SECONDS
        end = min(speech[-1] * HOP_SECONDS + FRAME_SECONDS, duration)
        first = max(round((begin - params.margin_seconds) * SAMPLE_RATE), 0)
        trimmed = waveform[first : round((end + params.margin_seconds) * SAMPLE_RATE)]
        loudness = 10 * np.log10(np.mean(10 ** (levels[speech] / 10)))
        ordered = np.sort(levels[speech])
        level_range = ordered[len(speech) * 9 // 10] - ordered[len(speech) // 10]
    else:
        begin = end = duration
        trimmed, loudness, level_range = waveform[:0], levels.max(), 0.0
    measures = {
        "duration_s": duration,
        "speech_s": len(speech) * HOP_SECONDS,
        "leading_silence_s": begin,
        "trailing_silence_s": duration - end,
        "loudness_dbfs": loudness,
        "level_range_db": level_range,
        "snr_db": max(loud, SILENT_DBFS) - max(floor, SILENT_DBFS),
        "clipped_fraction": recording.clipped_fraction,
        "bandwidth_hz": bandwidth_hz(waveform),
        "source_rate_hz": recording.source_rate,
        "source_codec": recording.codec,
    }
    scaled = np.clip(trimmed, -1, 1)
    scaled *= np.float32(FULL_SCALE)
    return np.rint(scaled, out=scaled).astype(np.int16), measures


def too_little(trimmed: np.ndarray, measures: dict[str, float | str], params: AudioParams) -> str:
    """The reason why a trimmed recording is too short to judge, or ""."""
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


def no_speech(measures: dict[str, float | str]) -> str:
    """The reason why a clip is no speech to learn from, or "": near-silence, or a constant level.

    Speech has syllables and closures; white noise, a tone, and speech that noise covers have none.
    """
    loudness, level_range = measures["loudness_dbfs"], measures["level_range_db"]
    if loudness < FAINT_DBFS:
        return f"near-silent: {loudness:.0f} dBFS, at least {FAINT_DBFS}"
    if level_range < STEADY_DB:
        return f"no speech: its level varies by {level_range:.1f} dB, at least {STEADY_DB}"
    return ""
