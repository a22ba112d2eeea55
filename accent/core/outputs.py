"""Atomic outputs: each is written under another name and moved into place, so that none is ever half-written."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """A new folder to write in, renamed to `path` if the block ends without an error."""
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
    """A file name to write to; the file is renamed to `path` if the block ends without an error."""
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise _with_name(error, path) from None
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, document: dict, indent: int = 2) -> None:
    """Write a document of numbers as JSON; NaN and infinity become null."""
    text = json.dumps(_nullable(document), indent=indent, allow_nan=False)
    with output_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _nullable(value: object) -> object:
    if isinstance(value, dict):
        return {name: _nullable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_nullable(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_name(error: OSError, path: Path) -> OSError:
    """The error with the name of what was being written, where the system did not give one."""
    return error if error.filename else OSError(error.errno, error.strerror or str(error), str(path))
