"""Waveform -> log-mel spectrogram, as uint8: the one way to it, for the stages and for scoring."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torchaudio.transforms import MelSpectrogram

from accent.audio import SAMPLE_RATE
from accent.params import params
from accent.parts import PartResult, Parts, write_part


@params
class SpectrogramParams:
    n_fft: PositiveInt
    hop_length: PositiveInt
    n_mels: PositiveInt
    fmin_hz: NonNegativeFloat
    fmax_hz: PositiveFloat
    range_db: PositiveFloat


@lru_cache(maxsize=4)
def _transform(params: SpectrogramParams) -> MelSpectrogram:
    return MelSpectrogram(
        SAMPLE_RATE,
        n_fft=params.n_fft,
        hop_length=params.hop_length,
        f_min=params.fmin_hz,
        f_max=params.fmax_hz,
        n_mels=params.n_mels,
    )


def log_mel(waveform: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Log-mel spectrogram of a mono waveform, as uint8 of shape (frames, n_mels), one frame every `hop_length` samples.

    0 is `range_db` below the clip's loudest bin and 255 is that bin, so level differences between recordings do not
    reach the model. Nothing above `fmax_hz` is in it, so that a codec's cut-off beyond it does not either.
    """
    samples = torch.from_numpy(waveform.astype(np.float32))
    power = _transform(params)(samples)
    power = power.clamp_(min=torch.finfo(torch.float32).tiny)
    level = 10 * torch.log10(power / power.max())  # dB, at most 0
    scaled = (level / params.range_db + 1).clamp_(0, 1).mul_(255).round_()
    return scaled.to(torch.uint8).T.contiguous().numpy()


def spectrogram_part(rows: pd.DataFrame, target: Path, waveforms: Path, params: SpectrogramParams) -> PartResult:
    """Turn the waveforms of one part, given by their index rows, into a part of spectrograms."""
    torch.set_num_threads(1)  # the parts are what runs in parallel
    spectrograms = [log_mel(waveform, params) for waveform in Parts(waveforms, rows)]
    parts = write_part(target, spectrograms, np.empty((0, params.n_mels), np.uint8))
    return pd.concat([rows[["clip_id"]].reset_index(drop=True), parts], axis=1), []
