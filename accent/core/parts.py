"""Parts: arrays of many clips in a few `.npy` files, with an index and a checksum a clip.

A folder of parts holds `part-00000.npy ...`, each the arrays of a few hundred clips joined along their first
axis, `index.parquet` with one row a clip in the order of `clip_id` (`part`, `start`, `length`, `crc32` and whatever
else is known of the clip), and `rejects.csv` (`clip_id`, `reason`).
"""

import csv
import tokenize
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from accent.core.errors import InputError, damaged
from accent.core.tables import read_frame

INDEX = "index.parquet"
REJECTS = "rejects.csv"
MAX_OPEN = 300  # memory maps at once: each is an open file, of which a process may have 1,024 on most systems

# What NumPy raises for a missing part, and for one byte of a header changed in any way.
UNREADABLE = (FileNotFoundError, ValueError, TypeError, OverflowError, SyntaxError, tokenize.TokenError)

# (clip_id, reason), where a reason is a kind, a colon and the particulars; and what a function that writes a part
# returns: the index rows of its clips, and the rejects.
Rejects = list[tuple[str, str]]
PartResult = tuple[pd.DataFrame, Rejects]


def part_name(number: int, suffix: str) -> str:
    """The file name of a part."""
    return f"part-{number:05d}.{suffix}"


def write_rejects(folder: Path, rejects: Rejects) -> None:
    """Write `rejects.csv`; every stage that can refuse a clip has one, even if it is empty."""
    with open(folder / REJECTS, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("clip_id", "reason"), *rejects])


def count_kinds(rejects: Rejects) -> str:
    """The kinds of reasons with their counts, commonest first: "12 too short, 3 broken"."""
    kinds = pd.Series([reason.split(":")[0] for _, reason in rejects], dtype=str).value_counts()
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())


def check_rejects(rejects: Rejects, total: int, max_fraction: float, where: str) -> None:
    """Raise `InputError`, with the reasons, if nothing is left or too much of `total` was rejected."""
    if total > len(rejects) <= max_fraction * total:
        return
    raise InputError(
        f"{where}: {len(rejects):,} of {total:,} clips rejected, more than max_reject_fraction={max_fraction} allows "
        f"({count_kinds(rejects) or 'there was none'}; first: {' '.join(rejects[0]) if rejects else '-'}). "
        "Mend the input, or raise the limit in params.yaml"
    )


def write_part(path: Path, arrays: list[np.ndarray], empty: np.ndarray) -> pd.DataFrame:
    """Write arrays joined along their first axis, and return their index columns.

    `empty` (length 0 along that axis) has the shape and dtype of all of them.
    """
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    header = np.lib.format.header_data_from_array_1_0(empty)
    header["shape"] = (int(lengths.sum()), *empty.shape[1:])
    with open(path, "wb") as file:  # not np.save, which does not say why a write failed
        np.lib.format.write_array_header_1_0(file, header)
        for array in arrays:
            file.write(np.ascontiguousarray(array, empty.dtype).data)
    return pd.DataFrame(
        {
            "part": int(path.stem.removeprefix("part-")),
            "start": np.cumsum(lengths) - lengths,
            "length": lengths,
            "crc32": np.array([checksum(array) for array in arrays], dtype=np.int64),
        }
    )


def checksum(array: np.ndarray) -> int:
    """CRC-32 of an array's dtype, shape and bytes."""
    return zlib.crc32(np.ascontiguousarray(array), zlib.crc32(f"{array.dtype.str}{array.shape}".encode()))


def read_index(folder: Path) -> pd.DataFrame:
    """The index of a folder of parts."""
    if not (folder / INDEX).exists():
        raise InputError(f"{folder}: no {INDEX} here. Run 'dvc repro', which makes it")
    return read_frame(folder / INDEX)


def join_index(rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """`rows` with the columns of a folder's index, by `clip_id`; raises `InputError` where it lacks one of them."""
    found = rows.merge(read_index(folder), on="clip_id", validate="one_to_one")
    if absent := len(rows) - len(found):
        raise InputError(f"{folder}: {absent:,} of {len(rows):,} clips are not in its index. Run 'dvc repro'")
    return found


class Parts(Sequence):
    """The arrays of the clips in `rows` of an index, in that order, read through memory maps.

    A clip's checksum is verified when it is first read.
    """

    def __init__(self, folder: Path, rows: pd.DataFrame):
        self.folder = folder
        self.lengths = rows["length"].to_numpy()
        self._where = rows[["part", "start", "crc32"]].to_numpy()
        self._verified = np.zeros(len(rows), dtype=bool)
        self._maps: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> np.ndarray:
        """A clip's array: a view into its part. Raises `InputError` for a part that is gone or damaged."""
        part, start, crc32 = self._where[row]
        if part not in self._maps:
            if len(self._maps) == MAX_OPEN:
                del self._maps[next(iter(self._maps))]
            self._maps[part] = self._open(part)
        array = self._maps[part][start : start + self.lengths[row]]
        if len(array) != self.lengths[row]:
            raise self._damaged(part, f"needs {start + self.lengths[row]} rows, has {len(self._maps[part])}")
        if not self._verified[row]:
            if checksum(array) != crc32:
                raise self._damaged(part, f"wrong checksum of rows {start} to {start + len(array) - 1}")
            self._verified[row] = True
        return array

    def _open(self, part: int) -> np.ndarray:
        try:
            return np.lib.format.open_memmap(self.folder / part_name(part, "npy"), mode="r")
        except UNREADABLE as error:
            raise self._damaged(part, error) from None

    def _damaged(self, part: int, what: object) -> InputError:
        return damaged(self.folder / part_name(part, "npy"), what)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_maps": {}}  # a worker process opens its own
