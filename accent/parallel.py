"""A function over parts, on all the processor cores that this process may use.

`LOKY_MAX_CPU_COUNT=1` (joblib's own setting) makes it one; the bytes that come out are the same.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from accent.errors import InputError
from accent.outputs import output_folder
from accent.parts import INDEX, PartResult, check_rejects, count_kinds, part_name, write_rejects


def map_parts(
    function: Callable[[Any, Path], PartResult],
    inputs: Sequence[Any],
    target: Path,
    max_reject_fraction: float = 0.0,
) -> str:
    """Write `target`, a folder of parts: one `function(input, part_path)` for each of `inputs`.

    Returns a line with the counts and the time. Raises `InputError` if more than `max_reject_fraction` of the clips
    were rejected, or all of them; `target` is not written then, and the reasons are in the message.
    """
    began = time.monotonic()
    if not inputs:
        raise InputError(f"{target}: there is no part to make it from. Run 'dvc repro', which makes the input")
    with output_folder(target) as partial:
        jobs = (delayed(function)(part, partial / part_name(number, "npy")) for number, part in enumerate(inputs))
        results = Parallel(n_jobs=-1, return_as="generator", max_nbytes=None)(jobs)
        results = list(tqdm(results, total=len(inputs), unit="part", desc=target.name, mininterval=1))
        index = pd.concat([rows for rows, _ in results], ignore_index=True)
        rejects = [reject for _, part_rejects in results for reject in part_rejects]
        check_rejects(rejects, len(index) + len(rejects), max_reject_fraction, target.name)
        index.to_parquet(partial / INDEX, index=False)
        write_rejects(partial, rejects)
    reasons = f" ({count_kinds(rejects)})" if rejects else ""
    return f"{target}: {len(index):,} clips, {len(rejects):,} rejected{reasons}, {time.monotonic() - began:.0f} s"
