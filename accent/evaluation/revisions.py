"""Predictions of a run, named by an experiment, a branch, a tag or a commit, or those of the workspace."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo

from accent.core.errors import InputError
from accent.evaluation.predictions import classes_of

PREDICTIONS = "data/predictions.parquet"  # as dvc.yaml has it
WORKSPACE = "workspace"  # DVC's own name for it


def read_predictions(revision: str, split: str = "test") -> pd.DataFrame:
    """The rows of `data/predictions.parquet` of a revision that are of one split, in the order of `clip_id`.

    They come from the working tree, from DVC's cache, or from its remote, whichever has them first. Raises `InputError`
    for an unknown revision, and for one without predictions.
    """
    where = f"{revision}: {PREDICTIONS}"
    try:
        with _open(revision) as file:
            predictions = pd.read_parquet(file)
    except (DvcException, OSError) as error:
        raise InputError(
            f"{where}: cannot be read ({' '.join(str(error).split())}). 'dvc exp list --name-only' and 'git log' name "
            f"the runs, {WORKSPACE} is the files as they stand; 'dvc repro' makes them, 'dvc pull' fetches them"
        ) from None
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{where}: damaged ({error}). Remove it from the cache, and 'dvc pull' or 'dvc repro' brings it back"
        ) from None
    if "split" not in predictions:
        raise InputError(f"{where}: has no column split, since an older version made it. Run that revision again")
    rows = predictions[predictions["split"] == split]
    return rows.drop(columns="split").sort_values("clip_id", ignore_index=True)


@contextmanager
def _open(revision: str) -> Iterator[IO[bytes]]:
    """The predictions of a revision; those of a commit have their path from the root of the Git repository."""
    if revision == WORKSPACE:
        files, path = DVCFileSystem("."), PREDICTIONS
    else:
        with Repo(".") as project:
            place = Path(os.path.relpath(project.root_dir, project.scm.root_dir))
        files, path = DVCFileSystem(".", rev=revision, subrepos=True), (place / PREDICTIONS).as_posix()
    with files.open(path) as file:
        yield file


def check_same_classes(runs: dict[str, pd.DataFrame]) -> list[str]:
    """The classes that all of the runs told apart; raises `InputError` that names two runs with different ones."""
    (first, predictions), *others = runs.items()
    classes = classes_of(predictions)
    for revision, predictions in others:
        if (found := classes_of(predictions)) != classes:
            raise InputError(
                f"{revision}: its classes are {', '.join(found)}, those of {first} {', '.join(classes)}. "
                "Name runs of the same ingest.classes"
            )
    return classes
