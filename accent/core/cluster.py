"""Map a function over parts on a Dask cluster whose workers share this machine's file system.

joblib's own Dask backend cannot replace this: it puts what a task needs on one worker, and when that worker dies, the
run ends with "FutureCancelledError ... already forgotten" (joblib 1.6.0), which does not say of which part.

The workers write the parts themselves; only index rows travel. A scheduler and a worker run any code that they are
sent, and this process runs any code in their answers: use only a cluster of your own.
"""

import asyncio
import logging
import os
import pickle
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cloudpickle
from dask.distributed import Client, Future, KilledWorker, Security, as_completed, connect, get_worker
from distributed.comm import CommClosedError
from distributed.scheduler import NoWorkerError

from accent.core.errors import InputError
from accent.core.parts import PartResult

ADDRESS = "DASK_SCHEDULER_ADDRESS"  # Dask's own variable
CONNECT_SECONDS = 10
RETRIES = 2  # for what passes, such as a file server that is slow to show a new file
WINDOW = 1000  # parts that the scheduler knows of at once, so that its memory and ours do not grow with the corpus

_imported: dict[str, int] = {}


def run_on_cluster(
    function: Callable[[Any, Path], PartResult], inputs: Sequence[Any], targets: Sequence[Path], address: str
) -> Iterator[tuple[int, PartResult]]:
    """Write each of `targets`, all in one folder, by `function(input, target)`; yield (number, result) as they end.

    A part whose worker died is done again on another. Raises `InputError` if there is no such cluster, if it is lost,
    or if a part kills every worker that tries it; other errors in a part come through, with a note that names the part.
    """
    for logger in ("distributed", "distributed.client"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)  # a traceback for what becomes one line here
    with _connect(address) as client:
        if not client.ncores():
            print(f"{address} has no worker yet, waiting for one: python -m dask worker {address}", file=sys.stderr)
        folder = targets[0].parent.absolute()
        attempts = Path(tempfile.mkdtemp(prefix=".attempts-", dir=folder))
        attempt = partial(_attempt, function, attempts=attempts, code=code_checksums())
        futures = (
            client.submit(
                _sealed(attempt, part, folder / target.name),
                key=(attempts.name, number),
                retries=RETRIES,
                pure=False,
            )
            for number, (part, target) in enumerate(zip(inputs, targets, strict=True))
        )
        done = as_completed(islice(futures, WINDOW))
        for future in done:
            number = future.key[1]
            yield number, _result(future, _name(targets[number], inputs[number]), address)
            done.update(islice(futures, 1))
        shutil.rmtree(attempts)


def code_checksums() -> dict[str, int]:
    """CRC-32 of the project's modules that this process has imported, each as it was when first seen here."""
    for name, module in list(sys.modules.items()):
        if name.startswith("accent.") and name not in _imported:
            _imported[name] = zlib.crc32(Path(module.__file__).read_bytes())
    return dict(_imported)


def _connect(address: str) -> Client:
    async def reach() -> None:
        connection = await connect(address, **Security().get_connection_args("client"))
        await connection.close()

    try:
        # Client's own limit does not cover a listener that never says a word.
        asyncio.run(asyncio.wait_for(reach(), CONNECT_SECONDS))
        return Client(address, timeout=CONNECT_SECONDS)
    except Exception as error:  # of any kind, since whatever listens there is read as if it were Dask
        reason = f"no answer within {CONNECT_SECONDS} s" if isinstance(error, TimeoutError) else error
        raise InputError(
            f"{ADDRESS}={address}: no Dask scheduler there ({reason}). Start one ('python -m dask scheduler'), "
            "set the variable to the tcp://HOST:PORT that it prints, or unset it to use this machine alone"
        ) from None


def _sealed(function: Callable, *arguments: Any) -> Callable[[], Any]:
    """A call that only the worker unpacks: the scheduler reads every task, and would need the project's code for it."""
    packed = cloudpickle.dumps(partial(function, *arguments))
    return lambda: pickle.loads(packed)()


def _attempt(
    function: Callable[[Any, Path], PartResult], part: Any, target: Path, attempts: Path, code: dict[str, int]
) -> PartResult:
    """`function(part, target)` on a worker, written apart and moved into place.

    Another worker may be at the same part: one that the scheduler takes for dead. `attempts` is the run's own, so that
    a worker that is late by a whole run finds no place to write in.
    """
    mine = code_checksums()
    if other := [name for name in code if name in mine and mine[name] != code[name]]:
        raise InputError(
            f"worker {get_worker().address} has another {', '.join(other)} than this machine: it was started before "
            "a change, or in another folder. Restart the workers"
        )
    with tempfile.TemporaryDirectory(dir=attempts) as folder:
        written = Path(folder) / target.name
        result = function(part, written)
        os.replace(written, target)
    return result


def _result(future: Future, name: str, address: str) -> PartResult:
    try:
        return future.result()
    except InputError:
        raise
    except KilledWorker as error:
        raise InputError(
            f"{name}: {error.allowed_failures + 1} workers died of it (distributed.scheduler.allowed-failures="
            f"{error.allowed_failures}), the last at {error.last_worker.address}. Look into their logs: too little "
            "memory, or a clip that crashes the decoder"
        ) from None
    except (CancelledError, CommClosedError):
        raise InputError(f"{name}: the scheduler at {address} was lost. Start it, then run again") from None
    except NoWorkerError as error:
        raise InputError(
            f"{name}: no worker at {address} for {error.timeout:.0f} s (distributed.scheduler.no-workers-timeout). "
            f"Start one, 'python -m dask worker {address}', then run again"
        ) from None
    except ModuleNotFoundError as error:
        raise InputError(
            f"{name}: the workers of {address} have no module {error.name}. Start them with 'python -m dask worker' "
            "in the project's folder and virtual environment"
        ) from None
    except Exception as error:  # of any kind: it is raised again, and its traceback names no part
        error.add_note(f"in {name}")
        raise


def _name(target: Path, part: Any) -> str:
    return f"{target.name} of {part}" if isinstance(part, Path) else target.name
