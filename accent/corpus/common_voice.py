"""Common Voice releases, unpacked or as the distributor's archives -> one table of clips and where their bytes are.

Columns and layouts of releases 1 to 27 are recognised by the header alone: `accent` or `accents` (or both, or one
of them twice), with or without `locale`, `variant`, `sentence_id`, `sentence_domain`.
"""

import csv
import io
import os
import re
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tarfile import TarInfo
from typing import IO, Annotated

import numpy as np
import pandas as pd
from joblib import delayed
from pydantic import BeforeValidator, NonNegativeInt

from accent.core.errors import UNPRINTABLE, InputError, printable
from accent.core.parallel import in_parallel
from accent.core.params import params
from accent.core.parts import Rejects, count_kinds
from accent.corpus.archive import ARCHIVES, MAX_MEMBERS, open_archive

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
ROWS_AT_ONCE = 50_000  # of a table while it is read: lists of strings need ten times the room of a column
MAX_CLIP_BYTES = 16 * 2**20  # a clip of the corpus is 10 to 100 kB
# What no release comes near to, so that a file which is none ends the run before it fills the memory.
MAX_TABLE_BYTES = 2**31  # 400 bytes a clip
MAX_ROW = 2**14  # characters
MAX_COLUMNS = 100
MAX_VOTES = 10**9  # what is beyond is set to it
MAX_LOCALES = 1000  # of one archive
MAX_REJECTS = 100_000  # of one table or archive
NO_RELEASE = "No Common Voice release has that. Take it out of there, or download it again"
BAD_NAME = "a control character, or a byte that is not UTF-8, in its name"
NOT_UTF8 = re.compile("[\udc80-\udcff]")  # what Python makes of such bytes, and writes them back from
RELEASE = re.compile(r"cv-corpus-(?P<version>\d+(?:\.\d+)*)(?:-[a-z]+)*(?:-(?P<date>\d{4}-\d\d-\d\d))?")
NAME_SEPARATOR = re.compile(r"\s*[,|]\s*(?![^()]*\))")  # outside brackets: "India and South Asia (India, Pakistan)"
# cv-corpus-VERSION-DATE/LOCALE/{validated.tsv,clips/NAME}, with or without the first folder
MEMBER = re.compile(r"(?P<folder>(?:\./)?(?:[^/]+/)?(?P<locale>[^/]+))/(?:validated\.tsv|clips/(?P<clip>[^/]+))")

Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]


@params
class ClassFilter:
    """Which rows of the corpus make a class; a filter with nothing but a locale takes every row of it."""

    locale: str  # "" is any
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

    @property
    def release(self) -> tuple[tuple[int, ...], str]:
        """Version and date by the name of its folder, cv-corpus-VERSION-DATE; the oldest where that has none."""
        names = [((), ""), *((_version(name["version"]), name["date"] or "") for name in RELEASE.finditer(self.where))]
        return names[-1]


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def read_releases(folder: Path, classes: Sequence[ClassFilter], spool: Path) -> list[Source]:
    """Every locale of every release in `folder`: locale folders up to two levels down, and archives, none hidden.

    Archives are read once, as a stream, several at a time; the clips of each that a class may want are appended to a
    file in the new folder `spool`. Raises `InputError` where `folder` holds no release or one of them is unreadable as
    a whole.
    """
    if not folder.exists():
        raise InputError(f"{folder}: no such folder. Set ingest.releases in params.yaml to where your releases are")
    tables = [path for pattern in (TSV, f"*/{TSV}", f"*/*/{TSV}") for path in _visible(folder, pattern)]
    entries = [path for pattern in ("*", "*/*") for path in _visible(folder, pattern)]
    archives = [path for path in entries if path.name.endswith(ARCHIVES) and not path.is_dir()]
    if not tables and not archives:
        raise InputError(
            f"{folder}: no {TSV} and no cv-corpus-*.tar.gz here. "
            'Put a Common Voice release there (docs/data.md, "Your own data")'
        )
    for path in [*tables, *archives]:
        if not path.is_file():
            raise InputError(f"{path}: not a file. Take it out of there")
        if UNPRINTABLE.search(str(path)):
            raise InputError(f"{path}: {BAD_NAME}. Rename it")
    spool.mkdir()
    jobs = [delayed(read_folder)(path.parent) for path in tables]
    jobs += [delayed(read_archive)(path, classes, spool / f"{number:05d}") for number, path in enumerate(archives)]
    return [source for sources in in_parallel(jobs) for source in sources]


def _visible(folder: Path, pattern: str) -> list[Path]:
    """What matches, in order, without hidden files: macOS puts a "._NAME" beside each file on a foreign disk."""
    paths = sorted(folder.glob(pattern))
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def read_folder(folder: Path) -> list[Source]:
    """A locale folder (`validated.tsv` and `clips/`) as one source. Devices and links out of it are rejected."""
    clips = folder / "clips"
    if not clips.is_dir():
        raise InputError(f"{folder}: {TSV} but no clips/ folder beside it. Unpack the whole release")
    table = folder / TSV
    with open(table, "rb") as file:
        rows, rejects = read_tsv(open_table(file, table.stat().st_size, str(table)), str(table), folder.name)
    listed = []
    root = os.path.realpath(clips)
    for entry in sorted(os.scandir(clips), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if unsafe := _unsafe_entry(entry, root):
            rejects.append((printable(entry.name), f"unsafe file: {unsafe}"))
            _check_number(rejects, folder)
        elif entry.is_file():
            listed.append((entry.name, entry.path, 0, entry.stat().st_size))
    return [Source(str(folder), rows, pd.DataFrame(listed, columns=FILE_COLUMNS), rejects)]


def _unsafe_entry(entry: os.DirEntry, root: str) -> str:
    """Why a file of a folder is not to be touched, or ""."""
    if UNPRINTABLE.search(entry.name):
        return BAD_NAME
    if entry.is_symlink():
        if os.path.commonpath([root, os.path.realpath(entry.path)]) != root:
            return "a link that leads out of clips/"
        if not os.path.exists(entry.path):
            return "a link to nothing"
    return "" if entry.is_file() or entry.is_dir() else "neither a file nor a folder"


@dataclass
class _Locale:
    """What has been read so far of one locale of an archive: its rows, and its clip files as columns."""

    rows: pd.DataFrame | None = None
    wanted: set[str] = field(default_factory=set)
    names: list[str] = field(default_factory=list)
    offsets: array = field(default_factory=lambda: array("q"))
    sizes: array = field(default_factory=lambda: array("q"))

    def add(self, name: str, offset: int, size: int) -> None:
        self.names.append(name)
        self.offsets.append(offset)
        self.sizes.append(size)

    def files(self, container: str) -> pd.DataFrame:
        names = pd.Series(self.names, dtype=str)
        columns = (names, container, np.asarray(self.offsets), np.asarray(self.sizes))
        return pd.DataFrame(dict(zip(FILE_COLUMNS, columns, strict=True)))


def read_archive(path: Path, classes: Sequence[ClassFilter], spool: Path) -> list[Source]:
    """The locales of an archive, whose TSVs may stand before or after the clips.

    Nothing is unpacked by name: members are matched, and their bytes written to the file `spool`. Links, devices, names
    that lead out of the archive and all but the first of a name are rejected; an archive that is damaged, cut off or
    larger than a release can be raises `InputError`.
    """
    locales: dict[str, _Locale] = defaultdict(_Locale)
    rejects: Rejects = []
    rows = table_bytes = 0
    with open_archive(path) as members, open(spool, "wb") as spool_file:
        for member, content in members:
            match = MEMBER.fullmatch(member.name)
            if unsafe := _unsafe(member):
                rejects.append((printable(member.name), f"unsafe archive member: {unsafe}"))
                _check_number(rejects, path)
            elif not match or not member.isreg() or "/." in f"/{member.name.removeprefix('./')}":  # hidden
                continue
            elif len(locales) > MAX_LOCALES or rows > MAX_MEMBERS:
                raise InputError(f"{path}: {len(locales):,} locales with {rows:,} clips. {NO_RELEASE}")
            elif name := match["clip"]:
                locale = locales[match["folder"]]
                locale.add(name, spool_file.tell(), member.size)
                # Until the table has come, any clip may be one that is wanted.
                wanted = locale.rows is None or name in locale.wanted
                if wanted and member.size <= MAX_CLIP_BYTES:  # of the others, only name and size are looked at
                    spool_file.write(content.read())
            elif (locale := locales[match["folder"]]).rows is not None:
                rejects.append((member.name, "repeated: a second table of the same name in one archive"))
                _check_number(rejects, path)
            else:
                table_bytes += member.size
                text = open_table(io.BufferedReader(content, 2**16), table_bytes, f"{path}: {member.name}")
                locale.rows, more = read_tsv(text, f"{path}: {member.name}", match["locale"])
                locale.wanted = set(locale.rows["path"][_in_any_class(locale.rows, classes)])
                rows += len(locale.rows)
                rejects += more
                _check_number(rejects, path)
    sources = []
    for folder in sorted(folder for folder, locale in locales.items() if locale.rows is not None):
        files = locales[folder].files(str(spool))
        repeated = files["path"].duplicated()
        rejects += [(name, "repeated: a second clip of that name in one archive") for name in files["path"][repeated]]
        _check_number(rejects, path)
        sources.append(Source(f"{path}: {folder}", locales[folder].rows, files[~repeated]))
    if not sources:
        raise InputError(f"{path}: no LOCALE/{TSV} in this archive. Is it a Common Voice release?")
    sources[0].rejects = rejects
    return sources


def _check_number(rejects: Rejects, where: Path | str) -> None:
    if len(rejects) > MAX_REJECTS:
        raise InputError(f"{where}: over {MAX_REJECTS:,} rejected ({count_kinds(rejects)}). {NO_RELEASE}")


def open_table(file: IO[bytes], size: int, where: str) -> IO[str]:
    """The text of a table of that many bytes, for `read_tsv`; raises `InputError` for more than a release has."""
    if size > MAX_TABLE_BYTES:
        raise InputError(f"{where}: {size:,} bytes of tables, at most {MAX_TABLE_BYTES:,}. {NO_RELEASE}")
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _unsafe(member: TarInfo) -> str:
    """Why a member is not to be touched, or ""."""
    if member.issym() or member.islnk():
        return "a link"
    if not member.isreg() and not member.isdir():
        return "neither a file nor a folder"
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return "its name leads out of the archive"
    if UNPRINTABLE.search(member.name):
        return BAD_NAME
    return ""


def read_tsv(file: IO[str], where: str, locale: str) -> tuple[pd.DataFrame, Rejects]:
    r"""Rows of a `validated.tsv` with `COLUMNS`, and the malformed rows as rejects.

    Tabs without quoting, `\` escapes, as the corpus's writer does it (csv.QUOTE_NONE). `locale` fills that column
    where the release has none. Raises `InputError` for what is no such table, or larger than one can be.
    """
    lines = _Lines(file)
    reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
    tables, rows, rejects = [], [], []
    try:
        header = [OLD_NAMES.get(name, name) for name in next(reader, [])]
        _check_header(header, where)
        speaker, path = header.index("client_id"), header.index("path")
        lines.begin_row()
        for row in reader:
            not_utf8 = lines.not_utf8
            lines.begin_row()
            if not row:
                continue
            if not_utf8:
                reason = "malformed row: not UTF-8"
            elif len(row) != len(header):
                reason = f"malformed row: {len(row)} fields where the header has {len(header)}"
            elif UNPRINTABLE.search(row[speaker]) or UNPRINTABLE.search(row[path]):
                reason = "malformed row: a control character in its client_id or path"
            else:
                rows.append(row)
                if len(rows) == ROWS_AT_ONCE:
                    tables.append(_table(header, rows, locale))
                    rows = []
                    if len(tables) * ROWS_AT_ONCE > MAX_MEMBERS:
                        raise InputError(f"{where}: over {MAX_MEMBERS:,} rows. {NO_RELEASE}")
                continue
            rejects.append((f"{where} line {reader.line_num}", reason))
            _check_number(rejects, where)
    except csv.Error as error:
        raise InputError(f"{where} after line {reader.line_num}: {error}. Is it the {TSV} of a release?") from None
    tables.append(_table(header, rows, locale))
    return pd.concat(tables, ignore_index=True), rejects


class _Lines(Iterator[str]):
    """The lines of a file for csv.reader, which would read one of any length, with what is to be known of a row.

    `room` is what the row may still have, `not_utf8` whether a byte of it is none.
    """

    def __init__(self, file: IO[str]):
        self.file = file
        self.begin_row()

    def begin_row(self) -> None:
        self.room, self.not_utf8 = MAX_ROW, False

    def __next__(self) -> str:
        line = self.file.readline(self.room)
        self.room -= len(line)
        if not self.room:
            raise csv.Error(f"a row of over {MAX_ROW:,} characters")
        if not line:
            raise StopIteration
        self.not_utf8 = self.not_utf8 or (not line.isascii() and bool(NOT_UTF8.search(line)))
        return line


def _check_header(header: list[str], where: str) -> None:
    found = f"(found: {', '.join(header)[:300] or 'an empty file'}). Is it the {TSV} of a Common Voice release?"
    if absent := [name for name in NEEDED if name not in header]:
        raise InputError(f"{where}: no column {', '.join(absent)} {found}")
    if repeated := [name for name in NEEDED if header.count(name) > 1]:
        raise InputError(f"{where}: more than one column {', '.join(repeated)} {found}")
    if len(header) > MAX_COLUMNS:
        raise InputError(f"{where}: {len(header):,} columns, at most {MAX_COLUMNS} {found}")


def _table(header: list[str], rows: list[list[str]], locale: str) -> pd.DataFrame:
    """Rows under a release's own header as a table with `COLUMNS`."""
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    table = pd.DataFrame(dict.fromkeys(COLUMNS, ""), index=range(len(rows)), dtype=str)
    for name, values in zip(header, columns, strict=True):
        if name in COLUMNS:  # a column that stands twice: the first value that is not empty
            values = pd.Series(values, dtype=str)
            table[name] = table[name].where(table[name] != "", values)
    for name in VOTES:
        votes = pd.to_numeric(table[name], errors="coerce").fillna(0)
        table[name] = votes.clip(-MAX_VOTES, MAX_VOTES).astype("int64")
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
    yield "locale", (rows["locale"] == wanted.locale) | (not wanted.locale)
    if wanted.accents:
        names = {_separated(name) for name in wanted.accents}
        matching = [cell for cell in rows["accents"].unique() if any(name in _separated(cell) for name in names)]
        yield "accents", rows["accents"].isin(matching)
    for column in ("variant", "age"):
        if names := getattr(wanted, column):
            yield column, rows[column].isin(names)
    if wanted.gender:  # "male" of the older releases is "male_masculine" in the newer ones
        yield "gender", rows["gender"].str.split("_").str[0].isin(wanted.gender) | rows["gender"].isin(wanted.gender)
    if wanted.min_up_votes:
        yield "up_votes", rows["up_votes"] >= wanted.min_up_votes
    if wanted.max_down_votes is not None:
        yield "down_votes", rows["down_votes"] <= wanted.max_down_votes


def _separated(accents: str) -> str:
    """A cell of `accents`, or a name to look for in one: "|" before and after each of the names in it.

    A speaker may state several, separated by "," or, in later releases, by "|"; what stands in brackets is one name.
    """
    return f"|{NAME_SEPARATOR.sub('|', accents.casefold().strip())}|"


def gender_of(word: str) -> str:
    """`female`, `male`, `other`, or "" where it is not stated, for a word of any release of Common Voice.

    Until release 16 they were female, male and other; since then female_feminine, male_masculine, intersex,
    transgender, non-binary and do_not_wish_to_say.
    """
    stated = word.lower().split("_")[0]
    return "" if stated in ("", "do") else stated if stated in (FEMALE, MALE) else OTHER
