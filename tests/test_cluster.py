"""Parts on a real Dask cluster: a scheduler and two workers, processes of their own, on the loopback interface."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client

from accent.core.errors import InputError
from accent.core.parallel import map_parts
from accent.core.parts import PartResult, Parts, read_index, write_part
from tests.helpers import EXCLUSIONS, ROOT, SAMPLE, set_params, stage

pytestmark = pytest.mark.cluster

LOOPBACK = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a scheduler that has two workers, whose current folder is not the client's."""
    folder = tmp_path_factory.mktemp("cluster")
    where = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", *LOOPBACK, "--port", "0", "--scheduler-file", str(where)]
    worker = [*dask, "worker", *LOOPBACK, "--scheduler-file", str(where), "--nworkers", "2", "--nthreads", "1"]
    with open(folder / "log", "w") as log:
        started = [
            subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
            for command, environment in ((scheduler, {**ENVIRONMENT, "PYTHONPATH": ""}), (worker, ENVIRONMENT))
        ]
        try:
            wait_until(where.exists, folder / "log")
            address = json.loads(where.read_text())["address"]
            with Client(address, set_as_default=False) as client:
                wait_until(lambda: len(client.ncores()) == 2, folder / "log")
            yield address
        finally:
            for process in reversed(started):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_until(condition, log: Path | None = None) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text() if log else condition)


@pytest.fixture
def on_cluster(cluster, monkeypatch) -> str:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster)
    return cluster


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_stages_give_the_same_bytes_even_if_a_worker_is_killed(workdir, on_cluster):
    set_params(workdir, {"ingest": {"max_clips_per_class": 60, "clips_per_part": 8}})
    stage("ingest", SAMPLE, EXCLUSIONS, "clips", cwd=workdir)
    broken = pd.read_parquet(workdir / "clips" / "part-00002.parquet")
    broken.at[3, "audio"] = b"no audio"  # so that rejects.csv has a line
    broken.to_parquet(workdir / "clips" / "part-00002.parquet", index=False)
    set_params(workdir, {"decode": {"max_reject_fraction": 0.5}})
    for name, source in (("decode", "clips"), ("spectrogram", "local-decode")):
        stage(name, source, f"local-{name}", cwd=workdir, DASK_SCHEDULER_ADDRESS="", LOKY_MAX_CPU_COUNT="1")

    command = [sys.executable, "-m", "stages.decode", "clips", "there-decode"]
    decoding = subprocess.Popen(command, cwd=workdir, env=ENVIRONMENT | {"DASK_SCHEDULER_ADDRESS": on_cluster})
    with Client(on_cluster, set_as_default=False) as client:
        workers = client.run(os.getpid)
        wait_until(lambda: list(workdir.glob(".there-decode.partial/part-*.npy")))
        os.kill(min(workers.values()), signal.SIGKILL)
        assert decoding.wait() == 0
        stage("spectrogram", "there-decode", "there-spectrogram", cwd=workdir)
        assert client.run(os.getpid) != workers
    for name in ("decode", "spectrogram"):
        assert contents(workdir / f"there-{name}") == contents(workdir / f"local-{name}")
    assert "part-00014.npy" in contents(workdir / "there-spectrogram")
    assert (workdir / "there-decode" / "rejects.csv").read_text().count("not audio") == 1


def fill(rows: pd.DataFrame, target: Path, bad: int, how: str, folder: Path) -> PartResult:
    """A part of arrays that tell which clip they are of; `how` says what happens to the part with the clip `bad`."""
    if bad in rows["clip_id"].to_list():
        if how == "always dies" or (how == "dies once" and not (folder / "died").exists()):
            target.write_bytes(b"half of")
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "is damaged":
            raise InputError("clips: damaged. Mend them")
        if how == "has a bug":
            raise ZeroDivisionError("a bug")
    arrays = [np.full((clip % 3 + 1, 2), clip, np.uint8) for clip in rows["clip_id"]]
    return pd.concat([rows.reset_index(drop=True), write_part(target, arrays, np.empty((0, 2), np.uint8))], axis=1), []


def fill_parts(folder: Path, how: str, bad: int = 21) -> list[int]:
    inputs = [pd.DataFrame({"clip_id": range(start, start + 4)}) for start in range(0, 32, 4)]
    map_parts(partial(fill, bad=bad, how=how, folder=folder), inputs, folder / "parts")
    return [array[0, 0] for array in Parts(folder / "parts", read_index(folder / "parts"))]


def test_a_half_written_part_of_a_dead_worker_is_done_again(tmp_path, on_cluster, monkeypatch):
    monkeypatch.setattr("accent.core.cluster.WINDOW", 3)
    assert fill_parts(tmp_path, "dies once") == list(range(32))
    assert (tmp_path / "died").exists()
    names = [f"part-{number:05d}.npy" for number in range(8)]
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["index.parquet", *names, "rejects.csv"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "always dies",
            r"^part-00005.npy: 2 workers died of it \(distributed.scheduler.allowed-failures=1\)",
        ),
        ("is damaged", r"^clips: damaged. Mend them$"),
    ],
)
def test_a_part_that_fails_everywhere_is_one_line(tmp_path, on_cluster, how, message):
    with pytest.raises(InputError, match=message):
        fill_parts(tmp_path, how)
    assert not [path for path in tmp_path.iterdir() if "parts" in path.name]


def test_another_error_names_the_part(tmp_path, on_cluster):
    with pytest.raises(ZeroDivisionError) as raised:
        fill_parts(tmp_path, "has a bug")
    assert raised.value.__notes__ == ["in part-00005.npy"]


def test_a_worker_with_other_code_is_refused(tmp_path, on_cluster, monkeypatch):
    fill_parts(tmp_path, "does nothing")
    monkeypatch.setitem(sys.modules["accent.core.cluster"]._imported, "accent.core.parts", 1)
    with pytest.raises(InputError, match=r"^worker tcp://.* has another accent.core.parts than this machine"):
        fill_parts(tmp_path, "does nothing")


def test_an_absent_scheduler_is_one_line_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr("accent.core.cluster.CONNECT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for address, reason in (
            (f"tcp://127.0.0.1:{closed.getsockname()[1]}", "no answer within 1 s"),
            (f"tcp://127.0.0.1:{silent.getsockname()[1]}", "no answer within 1 s"),
            ("tcp://127.0.0.1", "missing port number"),
            ("nowhere", "missing port number"),
        ):
            monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
            began = time.monotonic()
            with pytest.raises(InputError) as raised:
                fill_parts(tmp_path, "does nothing")
            assert str(raised.value).startswith(f"DASK_SCHEDULER_ADDRESS={address}: no Dask scheduler there ({reason}")
            assert time.monotonic() - began < 5
    assert list(tmp_path.iterdir()) == []
