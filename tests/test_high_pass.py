import numpy as np
import pytest

from accent.audio.high_pass import LOW_PASS, SAMPLE_RATE, STEP, TAPS, high_pass, reflected
from accent.audio.spectrogram import SpectrogramParams, log_mel
from accent.core.params import load_params
from tests.helpers import ROOT


def gain_db(hz: float) -> float:
    wave = np.cos(2 * np.pi * hz * np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    middle = slice(SAMPLE_RATE, 2 * SAMPLE_RATE)
    power = [np.mean(np.square(part[middle], dtype=np.float64)) for part in (high_pass(wave), wave)]
    return 10 * np.log10(power[0] / power[1] + 1e-12)


def test_what_the_network_does_not_hear_is_gone_and_the_rest_stays():
    assert gain_db(0) < -100
    assert max(map(gain_db, (20, 30, 50))) < -40
    assert gain_db(60) < -34
    assert gain_db(75) == pytest.approx(-6, abs=0.5)
    for hz in (90, 100, 150, 400, 799, 800, 801, 1600, 3999, 7900):
        assert gain_db(hz) == pytest.approx(0, abs=0.2), hz


def test_it_delays_nothing(tone):
    wave = tone(440, 1.0)
    np.testing.assert_allclose(high_pass(wave)[2000:-2000], wave[2000:-2000], atol=1e-3)


def test_an_offset_begins_with_no_step(tone):
    quiet = 1e-4 * tone(440, 1.0)
    np.testing.assert_allclose(high_pass(quiet + np.float32(0.05)), high_pass(quiet), atol=1e-6)


def test_it_is_what_its_docstring_says():
    """Sample by sample, as another language would compute it."""
    wave = np.random.default_rng(0).standard_normal(1003).astype(np.float32)

    def at(place: int) -> float:  # the waveform with its odd reflections
        last = len(wave) - 1
        if place < 0:
            return 2 * at(0) - at(-place)
        return float(wave[place]) if place <= last else 2 * at(last) - at(2 * last - place)

    def mean(place: int) -> float:
        return sum((STEP - abs(k)) / STEP**2 * at(STEP * place + k) for k in range(-STEP + 1, STEP))

    count = len(wave) // STEP + 2
    means = {place: mean(place) for place in range(-(TAPS // 2), count + TAPS // 2)}
    low = [sum(LOW_PASS[k] * means[place + k - TAPS // 2] for k in range(TAPS)) for place in range(count)]
    expected = [
        value - (low[n // STEP] * (1 - n % STEP / STEP) + low[n // STEP + 1] * (n % STEP / STEP))
        for n, value in enumerate(wave)
    ]
    np.testing.assert_allclose(high_pass(wave), expected, atol=1e-5)


@pytest.mark.parametrize("length", [*range(1, 60), 719, 720, 721, 1441])
def test_any_length_comes_out_as_it_went_in(length):
    wave = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    filtered = high_pass(wave)
    assert filtered.shape == wave.shape
    assert filtered.dtype == np.float32
    assert np.isfinite(filtered).all()


def test_hum_is_gone_from_the_spectrogram_too():
    params = load_params("spectrogram", SpectrogramParams, ROOT / "params.yaml")
    generator = np.random.default_rng(0)
    speech = 0.1 * generator.standard_normal(2 * SAMPLE_RATE).astype(np.float32)
    hum = 0.05 * np.sin(2 * np.pi * 50 * np.arange(len(speech)) / SAMPLE_RATE).astype(np.float32)
    plain, hummed = (log_mel(32767 * high_pass(wave), params).astype(int) for wave in (speech, speech + hum))
    assert np.abs(hummed - plain).mean(axis=0).max() < 2
    unfiltered = log_mel(32767 * (speech + hum), params).astype(int)
    assert np.abs(unfiltered - log_mel(32767 * speech, params)).mean(axis=0).max() > 10


@pytest.mark.parametrize("length", [721, 740, 2000, 16001])
def test_the_reflection_is_that_of_numpy(length):
    waveform = np.random.default_rng(1).standard_normal(length).astype(np.float32)
    expected = np.pad(waveform, (720, 739), "reflect", reflect_type="odd")
    np.testing.assert_array_equal(reflected(waveform, 720, 739), expected)
