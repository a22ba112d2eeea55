"""Outputs are written beside and moved into place, so that none is ever half-written."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path` to write in, which takes the name `path` only if the block ends well."""
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():
            shutil.rmtree(path)
        os.replace(partial, path)
    except OSError as error:
        raise _with_name(error, path) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def output_file(path: Path) -> Iterator[Path]:
    """A file name beside `path` to write to, which takes the name `path` only if the block ends well."""
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise _with_name(error, path) from None
    finally:
        partial.unlink(missing_ok=True)


def _with_name(error: OSError, path: Path) -> OSError:
    """The error with the name of what was being written, where the system did not give one."""
    return error if error.filename else OSError(error.errno, error.strerror or str(error), str(path))
