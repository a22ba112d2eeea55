"""Re-encodings of a recording: other codecs and levels, a narrower band, noise, silence."""

import io
from collections.abc import Callable

import av
import numpy as np
import soundfile as sf
import soxr
from scipy.signal import cheby2, sosfilt

from accent.audio.decoder import open_audio
from accent.audio.waveform import SAMPLE_RATE, mix

LEVEL_DB, LOWPASS_HZ, SNR_DB, SILENCE_SECONDS = 10, 4000, 20, 1
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # ISO 11172-3, 13818-3, and "MPEG-2.5"
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)  # RFC 6716, 2.1.3


def encode(waveform: np.ndarray, rate: int, container: str, subtype: str) -> bytes:
    """An audio file of a float waveform (n,), clipped at full scale."""
    file = io.BytesIO()
    with sf.SoundFile(file, "w", rate, 1, subtype, format=container) as output:
        for first in range(0, len(waveform), 10 * rate):  # libsndfile crashes on minutes of Vorbis at once
            output.write(waveform[first : first + 10 * rate])
    return file.getvalue()


def mp3(waveform: np.ndarray, rate: int, kbps: int) -> bytes:
    """An MP3 file of that constant bit rate (32 to 64 kb/s are allowed at every sample rate), without any header."""
    waveform, rate = _at_one_of(MP3_RATES, waveform, rate)
    file = io.BytesIO()
    with av.open(file, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as output:
        track = output.add_stream("libmp3lame", rate=rate, layout="mono", format="fltp", bit_rate=1000 * kbps)
        frame = av.AudioFrame.from_ndarray(np.clip(waveform, -1, 1)[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate = rate
        for piece in (frame, None):
            output.mux(track.encode(piece))
    return file.getvalue()


def opus(waveform: np.ndarray, rate: int) -> bytes:
    """An Ogg Opus file of libsndfile's usual quality."""
    return encode(*_at_one_of(OPUS_RATES, waveform, rate), "OGG", "OPUS")


def wav(waveform: np.ndarray, rate: int) -> bytes:
    """A WAV file of 16 bits, as most recorders write."""
    return encode(waveform, rate, "WAV", "PCM_16")


def amplified(waveform: np.ndarray, decibels: float) -> np.ndarray:
    """The waveform louder or quieter, clipped at full scale."""
    return np.clip(waveform * np.float32(10 ** (decibels / 20)), -1, 1)


def lowpassed(waveform: np.ndarray, rate: int) -> np.ndarray:
    """Low-pass at 4 kHz, as by a telephone line: what lies above is at least 60 dB down."""
    if rate <= 2 * LOWPASS_HZ:
        return waveform
    return sosfilt(cheby2(12, 60, LOWPASS_HZ, fs=rate, output="sos"), waveform).astype(np.float32)


def noisy(waveform: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """White noise added: its part below 8 kHz, which the network hears, is 20 dB below the recording's mean power."""
    power = np.mean(np.square(waveform, dtype=np.float64)) * 10 ** (-SNR_DB / 10) * max(rate / SAMPLE_RATE, 1)
    return waveform + rng.normal(0, np.sqrt(power), len(waveform)).astype(np.float32)


def after_silence(waveform: np.ndarray, rate: int) -> np.ndarray:
    """A second of digital silence put before the waveform."""
    return np.concatenate([np.zeros(SILENCE_SECONDS * rate, np.float32), waveform])


# Each gives the bytes of a file for a mono float32 waveform (n,), its sample rate, and a source of random numbers.
CHANGES: dict[str, Callable[[np.ndarray, int, np.random.Generator], bytes]] = {
    "mp3_32_kbps": lambda waveform, rate, rng: mp3(waveform, rate, 32),
    "mp3_64_kbps": lambda waveform, rate, rng: mp3(waveform, rate, 64),
    "opus": lambda waveform, rate, rng: opus(waveform, rate),
    "quieter_10_db": lambda waveform, rate, rng: wav(amplified(waveform, -LEVEL_DB), rate),
    "louder_10_db": lambda waveform, rate, rng: wav(amplified(waveform, LEVEL_DB), rate),
    "lowpass_4_khz": lambda waveform, rate, rng: wav(lowpassed(waveform, rate), rate),
    "noise_20_db": lambda waveform, rate, rng: wav(noisy(waveform, rate, rng), rate),
    "silence_1_s": lambda waveform, rate, rng: wav(after_silence(waveform, rate), rate),
}


def _at_one_of(rates: tuple[int, ...], waveform: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    """The waveform at the lowest of the rates that loses nothing of it, or else at the highest."""
    wanted = next((allowed for allowed in rates if allowed >= rate), rates[-1])
    return soxr.resample(waveform, rate, wanted), wanted


def decoded(audio: bytes) -> tuple[np.ndarray, int]:
    """A recording's mono float32 waveform and its own sample rate; raises `Reject` for what cannot be read."""
    stream = open_audio(audio)
    return np.concatenate([mix(block)[0] for block in stream.blocks]), stream.sample_rate
