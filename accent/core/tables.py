"""Parquet tables with a checksum on every page, which every reader verifies.

The footer has no checksum: damage there is found only where it makes the file unreadable.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from accent.core.errors import damaged


def write_table(table: pa.Table | pd.DataFrame, path: Path, **options: Any) -> None:
    """Write a table, of a `DataFrame` without its index; `options` are those of `pyarrow.parquet.write_table`."""
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False)
    pq.write_table(table, path, write_page_checksum=True, **options)


def read_table(path: Path, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> pa.Table:
    """Some columns of the rows for which `where` holds; raises `InputError` that names a damaged file."""
    with _damage_told(path):
        return pq.read_table(path, columns=columns, filters=where, page_checksum_verification=True)


def read_frame(path: Path, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> pd.DataFrame:
    """`read_table` as a `DataFrame`."""
    with _damage_told(path):
        return pd.read_parquet(path, columns=columns, filters=where, page_checksum_verification=True)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise damaged(path, "no such file") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None):  # the system's own, as of a file that may not be read
            raise
        raise damaged(path, error) from None
