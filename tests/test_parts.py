import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from accent.core.errors import InputError
from accent.core.outputs import output_file, output_folder
from accent.core.parallel import map_parts
from accent.core.parts import Parts, checksum, read_index, write_part
from tests.helpers import EXCLUSIONS, FIRST_STAGES, ROOT, SAMPLE, stage


def fill(rows: pd.DataFrame, target: Path, offset: int) -> tuple[pd.DataFrame, list]:
    """A part of arrays (n, 2) whose values tell which clip they are of; clip 3 is refused."""
    kept = rows[rows["clip_id"] != 3]
    arrays = [np.full((clip % 3 + 1, 2), clip + offset, np.uint8) for clip in kept["clip_id"]]
    index = write_part(target, arrays, np.empty((0, 2), np.uint8))
    return pd.concat([kept.reset_index(drop=True), index], axis=1), [
        (str(c), "three: 3") for c in rows["clip_id"] if c == 3
    ]


def make_parts(folder: Path, limit: float = 0.2) -> str:
    inputs = [pd.DataFrame({"clip_id": range(start, start + 4)}) for start in range(0, 12, 4)]
    return map_parts(partial(fill, offset=10), inputs, folder, limit)


def test_what_was_written_is_read_back(tmp_path):
    summary = make_parts(tmp_path / "parts")
    assert "11 clips, 1 rejected (1 three)" in summary
    index = read_index(tmp_path / "parts")
    assert list(index["clip_id"]) == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    parts = Parts(tmp_path / "parts", index)
    for clip, array, crc in zip(index["clip_id"], parts, index["crc32"], strict=True):
        np.testing.assert_array_equal(array, np.full((clip % 3 + 1, 2), clip + 10))
        assert checksum(array) == crc
    shuffled = index.sample(frac=1, random_state=0)
    assert [array[0, 0] - 10 for array in Parts(tmp_path / "parts", shuffled)] == list(shuffled["clip_id"])
    assert (tmp_path / "parts" / "rejects.csv").read_text() == "clip_id,reason\n3,three: 3\n"


def test_too_many_rejects_leave_no_folder(tmp_path):
    with pytest.raises(InputError, match=r"1 of 12 clips rejected.*\(1 three; first: 3 three: 3\)"):
        make_parts(tmp_path / "parts", limit=0.05)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_block_leaves_what_was_there(tmp_path):
    with output_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("old")
    with pytest.raises(RuntimeError), output_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("new")
        raise RuntimeError
    with pytest.raises(RuntimeError), output_file(tmp_path / "file") as file:
        file.write_text("new")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "a").read_text() == "old"


def test_what_a_killed_run_left_is_not_taken_over(tmp_path):
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "left").write_text("x")
    with output_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("new")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]


LARGE_ANSWERS = """
from joblib import delayed
from accent.core.parallel import in_parallel
for answer in in_parallel([delayed(bytes)(10_000_000) for _ in range(1000)]):
    print(len(answer), flush=True)
"""


def test_workers_end_with_the_process_that_was_killed():
    """With answers that no pipe holds: one of joblib's own workers would wait for ever to hand its over."""
    command = [sys.executable, "-c", LARGE_ANSWERS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LOKY_MAX_CPU_COUNT": "2"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"10000000\n"
        process.kill()
        process.stdout.read()  # until the last process has closed it
    assert process.returncode == -signal.SIGKILL


def test_a_damaged_part_is_named(tmp_path):
    make_parts(tmp_path / "parts")
    index = read_index(tmp_path / "parts")
    (tmp_path / "parts" / "part-00001.npy").unlink()
    with pytest.raises(InputError, match=r"part-00001.npy: missing or damaged"):
        list(Parts(tmp_path / "parts", index))
    np.save(tmp_path / "parts" / "part-00001.npy", np.zeros((1, 2), np.uint8))
    with pytest.raises(InputError, match=r"part-00001.npy: missing or damaged \(needs \d+ rows, has 1\)"):
        list(Parts(tmp_path / "parts", index))
    (tmp_path / "parts" / "part-00001.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"part-00001.npy: missing or damaged"):
        list(Parts(tmp_path / "parts", index))
    (tmp_path / "parts" / "index.parquet").write_bytes(b"x")
    with pytest.raises(InputError, match="index.parquet: missing or damaged"):
        read_index(tmp_path / "parts")
    with pytest.raises(InputError, match="absent: no index.parquet here"):
        read_index(tmp_path / "absent")


def test_any_other_byte_anywhere_in_a_part_is_found(tmp_path):
    """The header too: its dtype and shape go into the checksums, and what NumPy cannot read is damage."""
    make_parts(tmp_path / "parts")
    index = read_index(tmp_path / "parts").query("part == 0")
    path = tmp_path / "parts" / "part-00000.npy"
    whole, arrays = path.read_bytes(), [np.array(array) for array in Parts(tmp_path / "parts", index)]
    rng = np.random.default_rng(1)
    for place in range(len(whole)):
        for value in (whole[place] ^ 1, *rng.integers(0, 256, 3)):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            read, message = read_or_message(Parts(tmp_path / "parts", index))
            if message:
                assert message.startswith(f"{path}: missing or damaged (")
                assert "\n" not in message
            else:  # the same byte, or one space for another
                assert value == whole[place] or place < 128
                assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(read, arrays, strict=True))


def read_or_message(parts: Parts) -> tuple[list[np.ndarray], str]:
    try:
        return list(parts), ""
    except InputError as error:
        return [], str(error)


def test_more_parts_than_a_process_may_have_files_open(tmp_path, monkeypatch):
    monkeypatch.setattr("accent.core.parts.MAX_OPEN", 2)
    make_parts(tmp_path / "parts")
    parts = Parts(tmp_path / "parts", read_index(tmp_path / "parts"))
    for _ in range(2):
        assert [array[0, 0] - 10 for array in parts] == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
        assert len(parts._maps) == 2


def check_full_disk(done: subprocess.CompletedProcess, folder: Path, reason: str) -> None:
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert reason in line
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


def run_first_stages_alone(folder: Path, out: Path, *command: str, **options) -> Iterator[subprocess.CompletedProcess]:
    """Each of the first stages by `command` and its name, on one core, with its output in `out`."""
    for name, (*inputs, _) in FIRST_STAGES.items():
        yield subprocess.run(
            [sys.executable, *command, name, *inputs, out / "result"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LOKY_MAX_CPU_COUNT": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            **options,
        )


RUN_STAGE = """
import runpy, sys

runpy.run_module(f"stages.{sys.argv.pop(1)}", run_name="__main__", alter_sys=True)
"""

# /dev/full is a disk without space: the kernel says so to whatever is written there.
ON_A_FULL_DISK = """
import builtins
import pyarrow.parquet

opened, write_table = open, pyarrow.parquet.write_table
builtins.open = lambda file, mode="r", *rest, **options: opened(
    "/dev/full" if "w" in mode else file, mode, *rest, **options
)
pyarrow.parquet.write_table = lambda table, path, **options: write_table(table, open(path, "wb"), **options)
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(prepared_data, tmp_path):
    for done in run_first_stages_alone(prepared_data, tmp_path, "-c", ON_A_FULL_DISK + RUN_STAGE):
        check_full_disk(done, tmp_path, "No space left on device. Free some space, then run the same command again.")


def test_a_writer_that_fails_is_one_line_and_leaves_nothing(prepared_data, tmp_path):
    """The kernel refuses files over 2 kB, to libraries' own writers too; the error is another one (EFBIG)."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    for done in run_first_stages_alone(prepared_data, tmp_path, "-c", RUN_STAGE, preexec_fn=limit):
        check_full_disk(done, tmp_path, "File too large")


def test_a_read_only_place_is_one_line(workdir):
    done = stage("ingest", SAMPLE, EXCLUSIONS, "/proc/accent-clips", cwd=workdir, ok=False)
    assert done.stderr.splitlines()[-1].startswith("error: /proc/.accent-clips.partial: ")
