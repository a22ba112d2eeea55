import numpy as np
import pytest

from accent.audio.windows import cut, even_starts, frame_counts
from accent.core.parts import Parts, write_part


@pytest.mark.parametrize(("length", "expected"), [(10, [0]), (100, [0]), (101, [0, 1]), (200, [0, 50, 100])])
def test_even_starts_cover_the_clip(length, expected):
    assert list(even_starts(length, 100, 50)) == expected


def test_even_starts_are_never_farther_apart_than_the_hop_and_reach_the_end():
    for length in range(100, 700, 7):
        starts = even_starts(length, 100, 30)
        assert starts[0] == 0
        assert starts[-1] == length - 100
        assert np.diff(starts, prepend=0).max() <= 30


def test_the_lengths_of_parts_come_from_their_index_and_no_part_is_opened(tmp_path):
    clips = [np.zeros((length, 2), np.uint8) for length in (3, 1, 5)]
    rows = write_part(tmp_path / "part-00000.npy", clips, np.empty((0, 2), np.uint8))
    (tmp_path / "part-00000.npy").unlink()
    assert list(frame_counts(Parts(tmp_path, rows))) == [3, 1, 5] == list(frame_counts(clips))


def test_a_short_clip_is_filled_with_silence():
    spectrogram = np.full((3, 2), 7, np.uint8)
    np.testing.assert_array_equal(cut(spectrogram, 0, 5), [[[7, 7, 7, 0, 0]] * 2])
    np.testing.assert_array_equal(cut(spectrogram, 1, 2), [[[7, 7]] * 2])
