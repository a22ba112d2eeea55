"""Damaged recordings of every format, made by hypothesis: read, or rejected with a reason, and nothing else.

FUZZ_INPUTS sets how many; the closing notes say how many were tried.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accent.errors import Reject
from accent.score import Scorer
from tests.conftest import sample_clips
from tests.test_audio import FORMATS

INPUTS = int(os.environ.get("FUZZ_INPUTS", "250"))


def originals() -> list[bytes]:
    time = np.arange(48000) / 48000
    tone = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    return [*(encode(tone, 48000) for _, encode, _ in FORMATS), sample_clips("fr")[0].read_bytes()]


ORIGINALS = originals()
# A change: at a place (a share of the file, most often in its head), put these bytes over or between what is there.
CHANGE = st.tuples(st.one_of(st.floats(0, 0.02), st.floats(0, 1)), st.binary(min_size=1, max_size=8), st.booleans())


@st.composite
def damaged(draw) -> bytes:
    """A real file with a few changes, and perhaps cut off; or bytes that never were one."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([b"RIFF", b"ID3", b"OggS", b"fLaC", b"\xff\xfb", b""])) + draw(
            st.binary(max_size=400)
        )
    data = bytearray(draw(st.sampled_from(ORIGINALS)))
    for place, new, insert in draw(st.lists(CHANGE, max_size=6)):
        first = int(place * len(data))
        data[first : first + (0 if insert else len(new))] = new
    end = draw(st.one_of(st.just(1.0), st.floats(0, 1)))
    return bytes(data[: int(end * len(data))])


@pytest.fixture(scope="module")
def scorer(trained) -> Scorer:
    return Scorer.load(trained / "models")


@settings(max_examples=INPUTS, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=damaged())
def test_a_damaged_recording_is_scored_or_rejected(scorer, tmp_path, data):
    path: Path = tmp_path / "take"
    path.write_bytes(data)
    try:
        score = scorer.score(path)
    except Reject as reject:
        reason = str(reject)
    else:
        reason = score.reason or "none: it was judged"
        assert score.probability is None or 0 <= score.probability <= 1
        assert all(np.isfinite(window.probability) for window in score.windows)
    assert reason
    assert "\n" not in reason
