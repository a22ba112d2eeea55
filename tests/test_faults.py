"""The short form of the fault campaign (`python -m tests.faults`), on the project that other tests use as well."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from accent.core.errors import InputError
from accent.core.parts import part_name
from accent.core.tables import read_frame, read_table, write_table
from accent.corpus.recordings import draw_audio, read_recordings
from tests.faults import DAMAGE, Kills, Project, advice, command_of, damaged_parts, flip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two Parquet parts as ingest writes them, the second one with a flipped bit in its audio."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(1)
    for number in range(2):
        audio = pa.array([rng.bytes(3000) for _ in range(8)], pa.binary())
        table = pa.table({"clip_id": [f"{number}-{clip}" for clip in range(8)], "label": ["fr"] * 8, "audio": audio})
        write_table(table, folder / part_name(number, "parquet"), compression={"audio": "NONE"})
    flip(folder / part_name(1, "parquet"), 12_000)
    return folder


def test_a_damaged_page_is_named_by_whoever_reads_it(clips):
    part = clips / part_name(1, "parquet")
    named = rf"{part}: missing or damaged \(.*CRC.*\)"
    for read in (read_table, read_frame):
        assert len(read(clips / part_name(0, "parquet"))) == 8
        with pytest.raises(InputError, match=named):
            read(part)
    with pytest.raises(InputError, match=named):
        read_recordings(clips, ["1-3"])
    with pytest.raises(InputError, match=named):
        draw_audio(clips, pd.DataFrame({"clip_id": ["1-3"], "part": [1]}), 1, seed=1)
    with pytest.raises(InputError, match=named):
        list(read_recordings(clips, ["0-3", "1-3"]))


def test_the_advice_is_a_command_whatever_the_folder_is_called(tmp_path):
    folder = tmp_path / "a b; c"
    folder.mkdir()
    (folder / "x.parquet").write_bytes(b"x")
    with pytest.raises(InputError) as error:
        read_table(folder / "x.parquet")
    assert advice(str(error.value)) == f"rm -f '{folder}/x.parquet' && dvc repro"


@pytest.fixture(scope="module")
def project(trained, tmp_path_factory) -> Project:
    """A copy of the trained project, to do harm to."""
    folder = tmp_path_factory.mktemp("faults") / "project"
    shutil.copytree(trained, folder)
    Project(folder).sh("dvc status")  # DVC has seen the copies whole, whose size and time it now trusts
    return Project(folder, targets="spectrogram")


def test_every_stage_names_the_damaged_part_that_it_reads(project):
    """Each runs without DVC, which would not see the damage either: size and time are as they were."""
    whole = {}
    for path in (path for patterns in DAMAGE.values() for pattern in patterns for path in project.folder.glob(pattern)):
        if path not in whole:
            whole[path] = (path.read_bytes(), path.stat())
            flip(path)
    assert len(whole) > 5
    assert "up to date" in project.sh("dvc status ingest decode spectrogram")

    def run_stage(name: str) -> str:
        command = command_of(project.folder, name)
        return project.one_line(project.sh(command, ok=False), r"data/\w+/part-\d+\.\w+: missing or damaged")

    try:
        with ThreadPoolExecutor(2) as pool:
            lines = dict(zip(DAMAGE, pool.map(run_stage, DAMAGE), strict=True))
        assert {name: line.split("data/")[1].split("/")[0] for name, line in lines.items()} == {
            **{"decode": "clips", "spectrogram": "waveforms", "train": "spectrograms", "predict": "spectrograms"},
            **{"explain": "spectrograms", "audit": "clips", "report": "clips"},
        }
        assert project.read_lock() == project.lock
        assert set(project.hash_outs()) == set(project.hashes)
    finally:
        for path, (data, stat) in whole.items():
            path.write_bytes(data)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_the_advice_mends_a_damaged_part(project):
    damaged_parts(project, {"spectrogram": ["data/waveforms/part-00001.npy"]})


def test_kills_at_random_moments(project):
    kills = Kills(project, seed=1)
    kills.durations["spectrogram"] = 4
    for whom in ("all", "worker"):
        kills.one("spectrogram", whom)
