"""Map a function over parts, on all the processor cores that this process may use, or on a Dask cluster.

`LOKY_MAX_CPU_COUNT=1` (joblib's own setting) makes it one core, `DASK_SCHEDULER_ADDRESS` (Dask's own) the cluster of
that scheduler; the bytes that come out are the same.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
from joblib import Parallel, cpu_count, delayed
from tqdm import tqdm

from accent.core.errors import InputError
from accent.core.outputs import output_folder
from accent.core.parts import INDEX, PartResult, check_rejects, count_kinds, part_name, write_rejects
from accent.core.tables import write_table


def map_parts(
    function: Callable[[Any, Path], PartResult],
    inputs: Sequence[Any],
    target: Path,
    max_reject_fraction: float = 0.0,
) -> str:
    """Write `target`, a folder of parts: one `function(input, part_path)` for each of `inputs`.

    Paths in `function` and `inputs` are absolute, since a worker may run in another folder.
    Returns a line with the counts and the time. Raises `InputError` if more than `max_reject_fraction` of the clips
    were rejected, or all of them; `target` is not written then, and the reasons are in the message.
    """
    began = time.monotonic()
    if not inputs:
        raise InputError(f"{target}: there is no part to make it from. Run 'dvc repro', which makes the input")
    with output_folder(target) as partial:
        targets = [partial / part_name(number, "npy") for number in range(len(inputs))]
        numbered = tqdm(
            _run(function, inputs, targets), total=len(inputs), unit="part", desc=target.name, mininterval=1
        )
        results = [result for _, result in sorted(numbered, key=itemgetter(0))]
        index = pd.concat([rows for rows, _ in results], ignore_index=True)
        rejects = [reject for _, part_rejects in results for reject in part_rejects]
        check_rejects(rejects, len(index) + len(rejects), max_reject_fraction, target.name)
        write_table(index, partial / INDEX)
        write_rejects(partial, rejects)
    reasons = f" ({count_kinds(rejects)})" if rejects else ""
    return f"{target}: {len(index):,} clips, {len(rejects):,} rejected{reasons}, {time.monotonic() - began:.0f} s"


def _run(
    function: Callable[[Any, Path], PartResult], inputs: Sequence[Any], targets: Sequence[Path]
) -> Iterator[tuple[int, PartResult]]:
    """Numbered results, in any order."""
    if address := os.environ.get("DASK_SCHEDULER_ADDRESS"):
        from accent.core.cluster import run_on_cluster  # it takes a second to import

        return run_on_cluster(function, inputs, targets, address)
    return enumerate(in_parallel([delayed(function)(*job) for job in zip(inputs, targets, strict=True)]))


def in_parallel(jobs: Sequence[Any]) -> Iterator[Any]:
    """Results of joblib's `delayed` calls, in order, each from its own process; a single call runs in this one."""
    workers = min(cpu_count(), len(jobs))
    ending = {"initializer": _end_with, "initargs": (os.getpid(),)} if workers > 1 else {}
    return Parallel(n_jobs=workers, return_as="generator", max_nbytes=None, **ending)(jobs)


def _end_with(parent: int) -> None:
    """Let this worker end soon after the process that started it, however that ended.

    Those of joblib stay for minutes, or for ever where one has more to answer than a pipe holds, since each of them
    keeps the others' pipes open.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
