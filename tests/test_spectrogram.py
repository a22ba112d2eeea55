import dataclasses

import numpy as np
import pytest
import torch
import torchaudio

from accent.audio.spectrogram import SpectrogramParams, log_mel
from accent.audio.waveform import SAMPLE_RATE

PARAMS = SpectrogramParams(n_fft=512, hop_length=160, n_mels=64, fmin_hz=60, fmax_hz=7000, range_db=80)


def band_of(hz: float) -> int:
    """The mel band whose filter is strongest at a frequency."""
    filters = torchaudio.functional.melscale_fbanks(257, 60, 7000, 64, SAMPLE_RATE).numpy()
    return int(filters[round(hz / SAMPLE_RATE * 512)].argmax())


@pytest.mark.parametrize("hz", [250, 500, 1000, 2000, 4000, 6000])
def test_a_sine_peaks_in_its_own_band(tone, hz):
    spectrogram = log_mel(tone(hz), PARAMS)
    assert (spectrogram.shape, spectrogram.dtype) == ((101, 64), np.uint8)
    assert abs(int(np.bincount(spectrogram.argmax(axis=1)).argmax()) - band_of(hz)) <= 1
    assert spectrogram.max() == 255


def test_a_click_is_found_when_it_was(tone):
    waveform = np.zeros(2 * SAMPLE_RATE, np.float32)
    waveform[SAMPLE_RATE] = 1
    assert abs(log_mel(waveform, PARAMS).sum(axis=1).argmax() - 100) <= 1


def test_the_level_does_not_matter(tone):
    waveform = (tone(500) + tone(3000) * np.linspace(0, 1, SAMPLE_RATE, dtype=np.float32)) * 0.9
    as_int16 = (waveform * 32767).astype(np.int16)
    quiet = (waveform * 0.1).astype(np.float32)
    assert np.abs(log_mel(waveform, PARAMS).astype(int) - log_mel(quiet, PARAMS)).max() <= 1
    assert np.abs(log_mel(waveform, PARAMS).astype(int) - log_mel(as_int16, PARAMS))[:, :50].max() <= 1


def test_nothing_above_fmax_is_heard(tone):
    low, both = (log_mel(waveform, PARAMS).astype(int) for waveform in (tone(500), tone(500) + 0.1 * tone(7800)))
    assert np.abs(low - both)[3:-3].max() <= 1


def test_the_scale_is_decibels_below_the_loudest_bin(tone):
    steps = np.concatenate([tone(1000), tone(1000) * 10 ** (-40 / 20)])
    spectrogram = log_mel(steps, PARAMS)
    loud, soft = spectrogram[50].max(), spectrogram[150].max()
    assert (int(loud) - int(soft)) / 255 * 80 == pytest.approx(40, abs=0.5)


def test_silence_is_nothing():
    assert log_mel(np.zeros(SAMPLE_RATE, np.float32), PARAMS).max() == 0


@pytest.mark.parametrize("fmax_hz", [4000, 8000])
def test_it_is_torchaudio_s_mel_spectrogram(tone, fmax_hz):
    waveform = tone(500, 0.7) + 0.1 * np.random.default_rng(0).standard_normal(11200).astype(np.float32)
    params = dataclasses.replace(PARAMS, fmax_hz=fmax_hz)
    mel = torchaudio.transforms.MelSpectrogram(
        SAMPLE_RATE, n_fft=512, hop_length=160, f_min=60, f_max=fmax_hz, n_mels=64, pad_mode="constant"
    )
    power = mel(torch.from_numpy(waveform)).numpy().T
    expected = np.clip(10 * np.log10(power / power.max()) / 80 + 1, 0, 1) * 255
    assert np.abs(log_mel(waveform, params) - expected).max() < 0.51


def test_a_take_shorter_than_a_transform_has_a_frame():
    assert log_mel(np.ones(100, np.float32), PARAMS).shape == (1, 64)


def test_frames_and_seconds():
    assert PARAMS.frames_in(1.5) == 150
    assert PARAMS.frames_in(0.001) == 1
    assert PARAMS.seconds_of(150) == 1.5
