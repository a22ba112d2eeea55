"""The clips of `data/clips`, the output of the ingest stage, with their recordings."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from accent.core.errors import InputError
from accent.core.parts import part_name
from accent.core.tables import read_frame, read_table
from accent.corpus.selection import seeded_hash


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


def draw_audio(clips_dir: Path, clips: pd.DataFrame, max_clips: int, seed: int) -> pd.DataFrame:
    """`clip_id` and `audio`, the untouched bytes, of at most `max_clips` of the clips, those of the lowest seeded hash.

    `clips` has `clip_id` and `part`, the number of the part of `clips_dir` that the clip is in.
    """
    drawn = clips["clip_id"].map(lambda clip: seeded_hash(seed, clip)).sort_values(kind="stable").index[:max_clips]
    tables = []
    for part, rows in clips.loc[drawn].groupby("part"):
        path = clips_dir / part_name(part, "parquet")
        table = read_frame(path, ["clip_id", "audio"], pc.field("clip_id").isin(list(rows["clip_id"])))
        if len(table) < len(rows):
            raise InputError(f"{path}: {len(rows) - len(table)} of the test clips are not in it. Run 'dvc repro'")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
