"""The clips of `data/clips`, the output of the ingest stage, with their recordings."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from accent.errors import InputError
from accent.tables import read_table


def read_clips(folder: Path, columns: list[str], where: pc.Expression) -> pa.Table:
    """Some columns of the clips for which `where` holds; raises `InputError` for no clips at all, or damaged ones."""
    parts = sorted(folder.glob("part-*.parquet"))
    if not parts:
        raise InputError(f"{folder}: no clips here. Run 'dvc repro ingest' or 'dvc pull'")
    return pa.concat_tables([read_table(part, columns, where) for part in parts])


def read_recordings(folder: Path, clip_ids: Iterable[str]) -> dict[str, bytes]:
    """The encoded audio, as it came, of the clips with those names."""
    table = read_clips(folder, ["clip_id", "audio"], pc.field("clip_id").isin(list(clip_ids)))
    return dict(zip(table["clip_id"].to_pylist(), table["audio"].to_pylist(), strict=True))
