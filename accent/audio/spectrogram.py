"""Waveform -> log-mel spectrogram, as uint8. Stages and scoring both use this function."""

from functools import lru_cache
from typing import Annotated

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torchaudio.functional import melscale_fbanks

from accent.audio.waveform import SAMPLE_RATE
from accent.core.params import params


@params
class SpectrogramParams:
    n_fft: Annotated[int, Field(gt=0, le=8192)]
    hop_length: Annotated[int, Field(ge=16, le=1600)]
    n_mels: Annotated[int, Field(ge=8, le=512)]
    fmin_hz: NonNegativeFloat
    fmax_hz: Annotated[float, Field(gt=0, le=SAMPLE_RATE / 2)]
    range_db: PositiveFloat

    def seconds_of(self, frames: int | np.ndarray) -> float | np.ndarray:
        """The time of so many frames."""
        return frames * self.hop_length / SAMPLE_RATE

    def frames_in(self, seconds: float) -> int:
        """Frames in a window of so many seconds, at least one."""
        return max(round(seconds * SAMPLE_RATE / self.hop_length), 1)

    def __post_init__(self) -> None:
        if self.fmin_hz >= self.fmax_hz:
            raise ValueError(f"fmin_hz ({self.fmin_hz:g}) must be below fmax_hz ({self.fmax_hz:g})")
        if not melscale_fbanks(**_filters(self)).any(dim=0).all():
            raise ValueError(f"n_mels ({self.n_mels}) are too many for n_fft ({self.n_fft}): some bands would be empty")


def _filters(params: SpectrogramParams) -> dict:
    edges = {"f_min": params.fmin_hz, "f_max": params.fmax_hz}
    return {"n_freqs": params.n_fft // 2 + 1, "n_mels": params.n_mels, "sample_rate": SAMPLE_RATE, **edges}


@lru_cache(maxsize=4)
def window_and_filters(params: SpectrogramParams) -> tuple[torch.Tensor, torch.Tensor]:
    """The Hann window, and torchaudio's mel filters (bins, n_mels) up to the highest bin that one of them weighs."""
    filters = melscale_fbanks(**_filters(params))
    bins = int(filters.any(dim=1).nonzero().max()) + 1
    return torch.hann_window(params.n_fft), filters[:bins]


def log_mel(waveform: np.ndarray, params: SpectrogramParams) -> np.ndarray:
    """Log-mel spectrogram of a mono waveform, as uint8 of shape (frames, n_mels), one frame every `hop_length` samples.

    0 is `range_db` below the clip's loudest bin and 255 is that bin, so level differences between recordings do not
    reach the model. Nothing above `fmax_hz` is in it, so that a codec's cut-off beyond it does not either.
    The same as torchaudio's `MelSpectrogram` (a test compares them), without the bins that no filter weighs.
    """
    window, filters = window_and_filters(params)
    samples = torch.from_numpy(waveform.astype(np.float32))
    # Zeros at the ends, and not torch's reflection, which needs more samples than a short take has.
    spectrum = torch.stft(
        samples, params.n_fft, params.hop_length, window=window, pad_mode="constant", return_complex=True
    )
    bins = spectrum[: len(filters)].T  # (frames, bins), as it lies in memory
    power = (bins * bins.conj()).real @ filters  # twice as fast as squares of real and imag
    reference = power.max().clamp_(min=1e-20)  # silence has no loudest bin, and becomes 0
    level = (power / reference).clamp_(min=1e-30).log10_().mul_(10 / params.range_db)  # 0 to -1 in the range
    scaled = level.add_(1).clamp_(0, 1).mul_(255).round_()
    return scaled.to(torch.uint8).numpy()
