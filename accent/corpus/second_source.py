"""Second source: clips of other people and microphones, on which a model is tested and never trained."""

import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import delayed
from tqdm import tqdm

from accent.audio.spectrogram import SpectrogramParams, log_mel
from accent.audio.waveform import AudioParams, decode_clip
from accent.core.errors import InputError, Reject
from accent.core.parallel import in_parallel
from accent.core.tables import read_frame
from accent.corpus.common_voice import read_releases
from accent.corpus.selection import IngestParams, select_clips, write_clips_part

README = "README.md"
SECOND_SOURCE = "second source"  # in the place of a split


def is_given(folder: Path) -> bool:
    """Whether the folder of the second source holds anything but its README."""
    return not folder.is_dir() or any(path.name != README and path.name[0] != "." for path in folder.iterdir())


def read_clips(
    releases: Path, ingest: IngestParams, audio: AudioParams, spectrogram: SpectrogramParams
) -> pd.DataFrame:
    """The clips of `ingest.classes` in a folder of releases that can be decoded, in the order of `clip_id`.

    Each has its `waveform` and `spectrogram`, as `decode` and `spectrogram` would make them.
    """
    with tempfile.TemporaryDirectory() as folder:
        sources = read_releases(releases, ingest.filters, Path(folder, "spool"))
        rows, _, _ = select_clips(sources, ingest, {}, {})
        write_clips_part(rows, Path(folder, "clips.parquet"))
        clips = read_frame(Path(folder, "clips.parquet"))
    jobs = [delayed(_hear)(recording, audio, spectrogram) for recording in clips.pop("audio")]
    heard = list(tqdm(in_parallel(jobs), total=len(jobs), unit="clip", desc=str(releases), mininterval=1))
    waveforms, spectrograms = zip(*heard, strict=True)
    clips = clips.assign(waveform=waveforms, spectrogram=spectrograms)
    return clips.dropna(subset="spectrogram").reset_index(drop=True)


def read_second_source(
    folder: Path,
    ingest: IngestParams,
    clips_of_class: int,
    learnt: Collection[str],
    audio: AudioParams,
    spectrogram: SpectrogramParams,
) -> pd.DataFrame:
    """At most `clips_of_class` clips of each class, drawn by the seed of `ingest`, without the speakers in `learnt`.

    Raises `InputError` where the folder holds no release, or no clip of a class.
    """
    drawn = replace(ingest, max_clips_per_class=clips_of_class, max_clips_per_speaker=0)
    try:
        clips = read_clips(folder, drawn, audio, spectrogram)
    except InputError as error:
        raise InputError(f"evaluate.second_source: {error}") from None
    return clips[~clips["client_id"].isin(learnt)].reset_index(drop=True)


def _hear(recording: bytes, audio: AudioParams, spectrogram: SpectrogramParams) -> tuple[np.ndarray | None, ...]:
    try:
        waveform = decode_clip(recording, audio)[0]
    except Reject:
        return None, None
    return waveform, log_mel(waveform, spectrogram)
