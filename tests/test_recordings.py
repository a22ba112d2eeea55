import pandas as pd
import pytest

from accent.core.errors import InputError
from accent.corpus.recordings import read_recordings
from tests.helpers import sample_clips


def test_recordings_are_the_bytes_that_came(trained):
    kept = set(pd.read_parquet(trained / "data" / "waveforms" / "index.parquet")["clip_id"])
    wanted = next(path for path in sample_clips("fr") if path.stem in kept)
    assert read_recordings(trained / "data" / "clips", [wanted.stem, "no such clip"]) == {
        wanted.stem: wanted.read_bytes()
    }


def test_clips_that_are_gone_or_damaged_are_one_line(tmp_path):
    with pytest.raises(InputError, match="no clips here. Run 'dvc repro ingest'"):
        read_recordings(tmp_path, ["a"])
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="part-00000.parquet: missing or damaged .* && dvc repro"):
        read_recordings(tmp_path, ["a"])
