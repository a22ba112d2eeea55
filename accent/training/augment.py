"""Augmentation of a batch of spectrograms: voice, microphone, level, noise, masking.

All functions take and return float32 of shape (batch, 1, n_mels, frames) in which 0 to 1 is a range of `range_db`
decibels up to the clip's loudest bin, draw from torch's global generator, and do nothing at strength 0.
"""

import torch
from pydantic import NonNegativeFloat
from torch import Tensor
from torch.nn.functional import grid_sample
from torchaudio.functional import mask_along_axis_iid

from accent.core.params import Fraction, params


@params
class AugmentParams:
    frequency_warp: Fraction
    time_warp: Fraction
    level_db: NonNegativeFloat
    tilt_db: NonNegativeFloat
    lowpass: Fraction
    noise_db: NonNegativeFloat
    time_mask: Fraction
    frequency_mask: Fraction


def augment(batch: Tensor, params: AugmentParams, range_db: float) -> Tensor:
    """All augmentations, in the order in which speech meets them: voice, channel, noise, level, then SpecAugment."""
    batch = warp(batch, params.frequency_warp, params.time_warp)
    batch = tilt(batch, params.tilt_db / range_db)
    batch = lowpass(batch, params.lowpass)
    batch = noise(batch, params.noise_db, range_db)
    batch = level(batch, params.level_db / range_db)
    return mask(batch, params.time_mask, params.frequency_mask)


def _draw(batch: Tensor, low: float, high: float) -> Tensor:
    """One number an example, uniform over low to high, of shape (batch, 1, 1, 1)."""
    return torch.empty(len(batch), 1, 1, 1, device=batch.device).uniform_(low, high)


def _bands(batch: Tensor) -> Tensor:
    """Position of each mel band, 0 (lowest) to 1, of shape (n_mels, 1)."""
    return torch.linspace(0, 1, batch.shape[2], device=batch.device)[:, None]


def warp(batch: Tensor, frequency: float, time: float) -> Tensor:
    """Warped frequency and time, as of another speaker: each scaled by a factor of up to 1 -/+ its strength.

    The bands are scaled from the lowest edge (vocal tract length perturbation, Jaitly and Hinton 2013, here on the mel
    scale), time from the middle; what comes in from beyond the window's ends is silence.
    """
    if not frequency and not time:
        return batch
    height, width = batch.shape[2:]
    rows = (torch.arange(height, device=batch.device) + 0.5) / height * _draw(batch, 1 - frequency, 1 + frequency)
    columns = (torch.arange(width, device=batch.device) + 0.5) / width - 0.5
    columns = columns * _draw(batch, 1 - time, 1 + time) + 0.5
    rows, columns = rows[:, 0, 0, :, None] * 2 - 1, columns[:, 0] * 2 - 1  # as grid_sample counts: -1 to 1
    grid = torch.stack(torch.broadcast_tensors(columns, rows), dim=-1)
    return grid_sample(batch, grid, padding_mode="zeros", align_corners=False)


def level(batch: Tensor, strength: float) -> Tensor:
    """Level, up to `strength` of the range louder or quieter; what falls below the range is lost, as when recorded."""
    if not strength:
        return batch
    return (batch + _draw(batch, -strength, strength)).clamp(0, 1)


def tilt(batch: Tensor, strength: float) -> Tensor:
    """A microphone's frequency response: a slope and a bow over the bands, each up to `strength` of the range."""
    if not strength:
        return batch
    bands = _bands(batch) * 2 - 1
    slope, bow = _draw(batch, -strength, strength), _draw(batch, -strength, strength)
    return (batch + slope * bands + bow * (bands**2 - 0.5)).clamp(0, 1)


def lowpass(batch: Tensor, share: float) -> Tensor:
    """Low-pass, as by a codec or telephone: in `share` of the examples, silence above a band of the upper half."""
    if not share:
        return batch
    cutoff = _draw(batch, 0.5, 1.0).where(_draw(batch, 0, 1) < share, 2.0)
    return batch * (_bands(batch) <= cutoff)


def noise(batch: Tensor, strength_db: float, range_db: float) -> Tensor:
    """Stationary noise of a level up to `strength_db` above the bottom of the range, in every band, added as power.

    It falls or rises over the bands by up to a third of its level.
    """
    if not strength_db:
        return batch
    level_db = _draw(batch, 0, strength_db)
    floor = level_db * (1 - _draw(batch, 0, 1 / 3) * (0.5 + _draw(batch, -1, 1).sign() * (_bands(batch) - 0.5)))
    # The power of one bin of noise is exponentially distributed (a chi-square of two degrees of freedom). By its
    # inverse distribution function, since torch's `exponential_` takes three times as long on a CPU.
    power = 10 ** (floor / 10) * -torch.log1p(-torch.rand_like(batch))
    total = 10 ** (batch * range_db / 10) + power
    return (10 * torch.log10(total) / range_db).clamp(0, 1)


def mask(batch: Tensor, time: float, frequency: float) -> Tensor:
    """SpecAugment (arXiv 1904.08779): a stretch of time and one of bands blanked, up to that share of each axis."""
    for axis, share in ((3, time), (2, frequency)):
        if size := round(share * batch.shape[axis]):
            batch = mask_along_axis_iid(batch, size, 0.0, axis)
    return batch
