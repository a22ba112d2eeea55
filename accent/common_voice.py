"""Common Voice releases, unpacked or as the distributor's archives -> one table of clips and where their bytes are.

Columns and layouts of releases 1 to 27 are told apart by their header alone: `accent` or `accents` (or both, or one
of them twice), with or without `locale`, `variant`, `sentence_id`, `sentence_domain`.
"""

import csv
import gzip
import io
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, NonNegativeInt
from tqdm import tqdm

from accent.errors import InputError
from accent.params import params
from accent.parts import Rejects

# The columns of release 17 and later, which every table here has; what an older release lacks is "".
COLUMNS = (
    *("client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes"),
    *("age", "gender", "accents", "variant", "locale", "segment"),
)
FILE_COLUMNS = ("path", "container", "offset", "size")
NEEDED = ("client_id", "path", "sentence")
VOTES = ("up_votes", "down_votes")
FEMALE, MALE, OTHER = GENDERS = ("female", "male", "other")
SYNTHETIC = "synthetic"  # what accent.synthesise writes into the column segment
OLD_NAMES = {"accent": "accents"}

TSV = "validated.tsv"
ARCHIVES = (".tar.gz", ".tgz", ".tar")
ROWS_AT_ONCE = 50_000  # of a table while it is read: lists of strings need ten times the room of a column
MAX_CLIP_BYTES = 16 * 2**20  # a clip of the corpus is 10 to 100 kB
# cv-corpus-VERSION-DATE/LOCALE/{validated.tsv,clips/NAME}, with or without the first folder
MEMBER = re.compile(r"(?P<folder>(?:\./)?(?:[^/]+/)?(?P<locale>[^/]+))/(?:validated\.tsv|clips/(?P<clip>[^/]+))")

Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


@params
class ClassFilter:
    """Which rows of the corpus make a class; an empty filter takes every row."""

    locale: str
    accents: Names = ()
    variant: Names = ()
    gender: Names = ()
    age: Names = ()
    min_up_votes: NonNegativeInt = 0
    max_down_votes: NonNegativeInt | None = None


@dataclass
class Source:
    """One locale of one release: its rows, its clip files, and what was refused while reading it.

    `rows` has `COLUMNS`; `files` has one row a clip file: `path` (its name), and `container`, `offset`, `size`, where
    its bytes are on this disk.
    """

    where: str
    rows: pd.DataFrame
    files: pd.DataFrame
    rejects: Rejects = field(default_factory=list)


def read_releases(folder: Path, classes: Sequence[ClassFilter], spool: Path) -> list[Source]:
    """Every locale of every release in `folder`: locale folders up to two levels down, and archives.

    Archives are read once, as a stream; the clips that a class may want are appended to the file `spool`.
    Raises `InputError` where `folder` holds no release or one of them is unreadable as a whole.
    """
    if not folder.exists():
        raise InputError(f"{folder}: no such folder. Set ingest.releases in params.yaml to where your releases are")
    tables = [path for pattern in (TSV, f"*/{TSV}", f"*/*/{TSV}") for path in sorted(folder.glob(pattern))]
    archives = [p for pattern in ("*", "*/*") for p in sorted(folder.glob(pattern)) if p.name.endswith(ARCHIVES)]
    if not tables and not archives:
        raise InputError(
            f"{folder}: no {TSV} and no cv-corpus-*.tar.gz here. "
            'Put a Common Voice release there (README, "Your own data")'
        )
    sources = [read_folder(path.parent) for path in tables]
    with open(spool, "wb") as spool_file:
        for archive in archives:
            sources += read_archive(archive, classes, spool_file)
    return sources


def read_folder(folder: Path) -> Source:
    """A locale folder: `validated.tsv` and `clips/`."""
    clips = folder / "clips"
    if not clips.is_dir():
        raise InputError(f"{folder}: {TSV} but no clips/ folder beside it. Unpack the whole release")
    with open(folder / TSV, encoding="utf-8-sig", errors="replace", newline="") as file:
        rows, rejects = read_tsv(file, str(folder / TSV), folder.name)
    listed = sorted((entry.name, entry.path, 0, entry.stat().st_size) for entry in os.scandir(clips) if entry.is_file())
    files = pd.DataFrame(listed, columns=FILE_COLUMNS)
    return Source(str(folder), rows, files, rejects)


def read_archive(path: Path, classes: Sequence[ClassFilter], spool: IO[bytes]) -> list[Source]:
    """The locales of an archive, whose TSVs may stand before or after the clips.

    Nothing is unpacked by name: members are matched, and their bytes appended to `spool`. Links, devices and names
    that lead out of the archive are rejected; a damaged or cut-off archive raises `InputError`.
    """
    tables: dict[str, pd.DataFrame] = {}
    names_wanted: dict[str, set[str]] = {}
    files: dict[str, list[tuple]] = {}
    rejects: Rejects = []
    with _damage_told(path):
        for member, content in _members(path):
            match = MEMBER.fullmatch(member.name)
            folder = match and match["folder"]
            if unsafe := _unsafe(member):
                rejects.append((member.name, f"unsafe archive member: {unsafe}"))
            elif not match or not member.isreg():
                continue
            elif name := match["clip"]:
                # Until the table has come, any clip may be one that is wanted.
                wanted = folder not in tables or name in names_wanted[folder]
                files.setdefault(folder, []).append((name, spool.name, spool.tell(), member.size))
                if wanted and member.size <= MAX_CLIP_BYTES:  # of the others, only name and size are looked at
                    spool.write(content().read())
            elif folder in tables:
                rejects.append((member.name, "repeated: a second table of the same name in one archive"))
            else:
                text = io.TextIOWrapper(content(), encoding="utf-8-sig", errors="replace", newline="")
                tables[folder], more = read_tsv(text, f"{path}: {member.name}", match["locale"])
                rejects += more
                names_wanted[folder] = set(tables[folder]["path"][_in_any_class(tables[folder], classes)])
    if not tables:
        raise InputError(f"{path}: no LOCALE/{TSV} in this archive. Is it a Common Voice release?")
    return [
        Source(
            f"{path}: {folder}",
            tables[folder],
            pd.DataFrame(files.get(folder, []), columns=FILE_COLUMNS),
            rejects if number == 0 else [],
        )
        for number, folder in enumerate(sorted(tables))
    ]


def _members(path: Path) -> Iterator[tuple[tarfile.TarInfo, Callable[[], IO[bytes]]]]:
    """Each member and a function that opens its content, in the archive's order, in one pass and bounded memory."""
    with _progress(path) as raw, gzip.open(raw) if path.suffix != ".tar" else nullcontext(raw) as file:
        # "r:" on a stream that only ever seeks forwards: tarfile's own "r|gz" copies its buffer at every read.
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while member := tar.next():
                tar.members.clear()  # tarfile keeps every member that it has seen
                yield member, lambda member=member: tar.extractfile(member)
        # tarfile takes a damaged or missing header for the end. The real one is two blocks of zeros.
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("no end-of-archive mark")
        while file.read(2**20):  # to gzip's checksum
            pass


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, tarfile.TarError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: cut off or damaged ({error}). Download it again") from None


@contextmanager
def _progress(path: Path) -> Iterator[IO[bytes]]:
    with open(path, "rb") as raw:
        size = path.stat().st_size
        with tqdm.wrapattr(raw, "read", total=size, desc=path.name, mininterval=1, unit="B", unit_scale=True) as file:
            yield file


def _unsafe(member: tarfile.TarInfo) -> str:
    """Why a member is not to be touched, or ""."""
    if member.issym() or member.islnk():
        return "a link"
    if not member.isreg() and not member.isdir():
        return "neither a file nor a folder"
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return "its name leads out of the archive"
    return ""


def read_tsv(file: IO[str], where: str, locale: str) -> tuple[pd.DataFrame, Rejects]:
    r"""Rows of a `validated.tsv` with `COLUMNS`, and the malformed rows as rejects.

    Tabs without quoting, `\` escapes, as the corpus's writer does it (csv.QUOTE_NONE). `locale` fills that column
    where the release has none.
    """
    reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
    tables, rows, rejects = [], [], []
    try:
        header = [OLD_NAMES.get(name, name) for name in next(reader, [])]
        if absent := [name for name in NEEDED if name not in header]:
            raise InputError(
                f"{where}: no column {', '.join(absent)} (found: {', '.join(header) or 'an empty file'}). "
                "Is it the validated.tsv of a Common Voice release?"
            )
        for row in reader:
            if len(row) == len(header):
                rows.append(row)
            elif row:
                reason = f"malformed row: {len(row)} fields where the header has {len(header)}"
                rejects.append((f"{where} line {reader.line_num}", reason))
            if len(rows) == ROWS_AT_ONCE:
                tables.append(_table(header, rows, locale))
                rows = []
    except csv.Error as error:
        raise InputError(f"{where} line {reader.line_num}: {error}. Is it the validated.tsv of a release?") from None
    tables.append(_table(header, rows, locale))
    return pd.concat(tables, ignore_index=True), rejects


def _table(header: list[str], rows: list[list[str]], locale: str) -> pd.DataFrame:
    """Rows under a release's own header as a table with `COLUMNS`."""
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    table = pd.DataFrame(dict.fromkeys(COLUMNS, ""), index=range(len(rows)), dtype=str)
    for name, values in zip(header, columns, strict=True):
        if name in COLUMNS:  # a column that stands twice: the first value that is not empty
            values = pd.Series(values, dtype=str)
            table[name] = table[name].where(table[name] != "", values)
    for name in VOTES:
        table[name] = pd.to_numeric(table[name], errors="coerce").fillna(0).astype("int64")
    table["locale"] = table["locale"].where(table["locale"] != "", locale)
    # Release 1 names its clips without the ending.
    table["path"] = table["path"].where(table["path"].str.contains(".", regex=False), table["path"] + ".mp3")
    return table


def assign_classes(rows: pd.DataFrame, classes: dict[str, ClassFilter], where: str) -> pd.Series:
    """The class name of each row, "" for none, and names joined by " and " where a row is in several.

    Raises `InputError` for a class without a row, with the values that do occur; `where` they stand in params.yaml.
    """
    labels = pd.Series("", index=rows.index, dtype=str)
    for label, wanted in classes.items():
        mask = pd.Series(True, index=rows.index)
        for column, matches in _matches(rows, wanted):
            if not (mask & matches).any():
                asked = {"up_votes": wanted.min_up_votes, "down_votes": wanted.max_down_votes}.get(column)
                asked = getattr(wanted, column) if asked is None else asked
                occurring = rows[column][mask].value_counts().head(20)
                found = ", ".join(f"{value or '(empty)'} ({count:,})" for value, count in occurring.items())
                raise InputError(
                    f"{where}.{label}: no clip with {column} {asked!r}. Values that occur: {found or 'none'}"
                )
            mask &= matches
        labels[mask] = labels[mask].where(labels[mask] == "", labels[mask] + " and ") + label
    return labels


def _in_any_class(rows: pd.DataFrame, classes: Sequence[ClassFilter]) -> np.ndarray:
    masks = [np.logical_and.reduce([matches for _, matches in _matches(rows, wanted)]) for wanted in classes]
    return np.logical_or.reduce(masks)


def _matches(rows: pd.DataFrame, wanted: ClassFilter) -> Iterator[tuple[str, pd.Series]]:
    """For each condition of a filter, the column it looks at and which rows meet it."""
    yield "locale", rows["locale"] == wanted.locale
    if wanted.accents:  # a speaker may state several, separated by "," (and by "|" in some releases)
        names = "|".join(map(re.escape, wanted.accents))
        yield "accents", rows["accents"].str.contains(rf"(?:^|[,|])\s*(?:{names})\s*(?:$|[,|])", case=False)
    for column in ("variant", "age"):
        if names := getattr(wanted, column):
            yield column, rows[column].isin(names)
    if wanted.gender:  # "male" of the older releases is "male_masculine" in the newer ones
        yield "gender", rows["gender"].str.split("_").str[0].isin(wanted.gender) | rows["gender"].isin(wanted.gender)
    if wanted.min_up_votes:
        yield "up_votes", rows["up_votes"] >= wanted.min_up_votes
    if wanted.max_down_votes is not None:
        yield "down_votes", rows["down_votes"] <= wanted.max_down_votes


def gender_of(word: str) -> str:
    """`female`, `male`, `other`, or "" where it is not stated, for a word of any release of Common Voice.

    Until release 16 they were female, male and other; since then female_feminine, male_masculine, intersex,
    transgender, non-binary and do_not_wish_to_say.
    """
    stated = word.lower().split("_")[0]
    return "" if stated in ("", "do") else stated if stated in (FEMALE, MALE) else OTHER
