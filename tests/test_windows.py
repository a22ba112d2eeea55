import numpy as np
import pytest

from accent.windows import cut, even_starts, window_frames


def test_window_frames():
    assert window_frames(1.5, 16000, 160) == 150
    assert window_frames(0.001, 16000, 160) == 1


@pytest.mark.parametrize(("length", "expected"), [(10, [0]), (100, [0]), (101, [0, 1]), (200, [0, 50, 100])])
def test_even_starts_cover_the_clip(length, expected):
    assert list(even_starts(length, 100, 50)) == expected


def test_even_starts_are_never_farther_apart_than_the_hop_and_reach_the_end():
    for length in range(100, 700, 7):
        starts = even_starts(length, 100, 30)
        assert starts[0] == 0
        assert starts[-1] == length - 100
        assert np.diff(starts, prepend=0).max() <= 30


def test_a_short_clip_is_filled_with_silence():
    spectrogram = np.full((3, 2), 7, np.uint8)
    np.testing.assert_array_equal(cut(spectrogram, 0, 5), [[[7, 7, 7, 0, 0]] * 2])
    np.testing.assert_array_equal(cut(spectrogram, 1, 2), [[[7, 7]] * 2])
