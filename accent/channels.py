"""The same recording by another way: other codecs and levels, a narrower band, noise, silence; what that changes."""

import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import soundfile as sf
import soxr
import torch
from joblib import delayed
from scipy.signal import cheby2, sosfilt
from tqdm import tqdm

from accent.audio import SAMPLE_RATE, mix
from accent.decoder import open_audio
from accent.errors import InputError, Reject
from accent.parallel import in_parallel
from accent.parts import part_name
from accent.score import Scorer
from accent.selection import seeded_hash
from accent.tables import read_frame

UNTOUCHED = "untouched"
LEVEL_DB, LOWPASS_HZ, SNR_DB, SILENCE_SECONDS = 10, 4000, 20, 1
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # ISO 11172-3, 13818-3, and "MPEG-2.5"
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)  # RFC 6716, 2.1.3


def encode(waveform: np.ndarray, rate: int, container: str, subtype: str) -> bytes:
    """A file with a float waveform (n,), which comes out at full scale where it is above it."""
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
    """Louder or quieter, clipped at full scale."""
    return np.clip(waveform * np.float32(10 ** (decibels / 20)), -1, 1)


def lowpassed(waveform: np.ndarray, rate: int) -> np.ndarray:
    """Everything above 4 kHz at least 60 dB down, as by a telephone line."""
    if rate <= 2 * LOWPASS_HZ:
        return waveform
    return sosfilt(cheby2(12, 60, LOWPASS_HZ, fs=rate, output="sos"), waveform).astype(np.float32)


def noisy(waveform: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """With white noise whose part below 8 kHz, all that is listened to, is 20 dB below the recording's mean power."""
    power = np.mean(np.square(waveform, dtype=np.float64)) * 10 ** (-SNR_DB / 10) * max(rate / SAMPLE_RATE, 1)
    return waveform + rng.normal(0, np.sqrt(power), len(waveform)).astype(np.float32)


def after_silence(waveform: np.ndarray, rate: int) -> np.ndarray:
    """With a second of digital silence in front."""
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


def draw_audio(clips_dir: Path, clips: pd.DataFrame, max_clips: int, seed: int) -> pd.DataFrame:
    """`clip_id` and `audio`, the untouched bytes, of at most `max_clips` of the clips, those of the lowest seeded hash.

    `clips` has `clip_id` and `part`, the number of the part of `clips_dir` that the clip is in.
    """
    drawn = clips["clip_id"].map(lambda clip: seeded_hash(seed, clip)).sort_values(kind="stable").index[:max_clips]
    tables = []
    for part, rows in clips.loc[drawn].groupby("part"):
        path = clips_dir / part_name(part, "parquet")
        table = read_frame(path, ["clip_id", "audio"], pc.field("clip_id").isin(list(rows["clip_id"])))
        if len(table) < len(rows):
            raise InputError(f"{path}: {len(rows) - len(table)} of the test clips are not in it. Run 'dvc repro'")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def score_changes(clips: pd.DataFrame, model_dir: Path, seed: int) -> pd.DataFrame:
    """The score of every clip, as it is and after each of `CHANGES`: `clip_id`, `change`, `probability`, `refused`.

    `clips` has `clip_id` and `audio`, the bytes of its file. Probabilities are those of the target class, NaN where
    nothing could be heard. On all cores that this process may use; the numbers are the same on one.
    """
    jobs = [
        delayed(_score_clip)(model_dir, *clip, seed) for clip in clips[["clip_id", "audio"]].itertuples(index=False)
    ]
    results = tqdm(in_parallel(jobs), total=len(clips), unit="clip", desc="channels", mininterval=1)
    rows = [row for found in results for row in found]
    return pd.DataFrame(rows, columns=["clip_id", "change", "probability", "refused"])


def _score_clip(model_dir: Path, clip_id: str, audio: bytes, seed: int) -> list[tuple[str, str, float, bool]]:
    torch.set_num_threads(1)  # the other cores have clips of their own; sums come out the same for any number of them
    scorer = _scorer(model_dir)
    waveform, rate = decoded(audio)
    rng = np.random.default_rng(seeded_hash(seed, clip_id))
    takes = {UNTOUCHED: audio} | {name: change(waveform, rate, rng) for name, change in CHANGES.items()}
    return [(clip_id, name, *_judged(scorer, take)) for name, take in takes.items()]


@lru_cache(maxsize=1)
def _scorer(model_dir: Path) -> Scorer:
    return Scorer.load(model_dir)  # once a process


def _judged(scorer: Scorer, take: bytes) -> tuple[float, bool]:
    try:
        score = scorer.score(take)
    except Reject:
        return np.nan, True
    return np.nan if score.probability is None else score.probability, score.refused is not None


def stability(scores: pd.DataFrame) -> dict[str, dict[str, float | int | None]]:
    """How far each change moves the scores of `score_changes`, over the clips that are heard before and after it.

    The mean and the 95th percentile of the probability's absolute change; the share of `flipped` verdicts, which are
    on the other side of 0.5, and that among the clips that are answered both times; and of the clips that were
    answered untouched, the share that is refused now. None where there is no clip to go by.
    """
    probability = scores.pivot(index="clip_id", columns="change", values="probability")
    answered = ~scores.pivot(index="clip_id", columns="change", values="refused").astype(bool)
    before = probability[UNTOUCHED]
    found = {}
    for change in CHANGES:
        after = probability[change]
        sizes = (after - before).abs().dropna()
        flipped = (after >= 0.5) != (before >= 0.5)
        found[change] = {
            "clips": len(sizes),
            "mean_change": _known(sizes.mean()),
            "p95_change": _known(sizes.quantile(0.95)),
            "flipped": _known(flipped[sizes.index].mean()),
            "answered_flipped": _known(flipped[answered[UNTOUCHED] & answered[change]].mean()),
            "newly_refused": _known(1 - answered.loc[answered[UNTOUCHED], change].mean()),
        }
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
