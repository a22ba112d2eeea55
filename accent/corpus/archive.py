"""Tar archives as a stream of members, read in one pass, with bounds on memory and time for any content.

`tarfile` parses the headers, but does not walk them: it reads names of any length into memory, recurses from one
extended header to the next, turns back on negative sizes for ever (CVE-2025-8194), and takes a damaged header for the
end. Nothing here goes back, and nothing is unpacked by name.
"""

import gzip
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tarfile import BLOCKSIZE, GNUTYPE_LONGLINK, GNUTYPE_LONGNAME, SOLARIS_XHDTYPE, XGLTYPE, XHDTYPE, TarInfo
from typing import IO

from tqdm import tqdm

from accent.core.errors import InputError

ARCHIVES = (".tar.gz", ".tgz", ".tar")
# 7,000 hours of clips of 5 s, where Common Voice 25 has 42,000 hours in all of its 290 locales.
MAX_MEMBERS = 5_000_000
# Encoded audio hardly compresses, and the tables of a release to a third: more than this in sum is a bomb.
MAX_EXPANSION = 20
FREE_BYTES = 2**26  # that a small archive, of tables alone for instance, may expand to all the same
MAX_SIZE = 2**50  # of a member; larger numbers do not fit where sizes are kept
BUFFER = 2**20  # of an archive: gzip reads 8 kB at a time, each of which would be a call to the system
MAX_HEADER_BYTES = 2**16  # of an extended header, which holds a name and some dates
MAX_EXTENDED = 8  # such headers before a member; GNU tar and pax write two at most
CUT_OFF = "it ends in the middle of a member"
PAX_RECORD = re.compile(rb"(\d{1,5}) ([^=\n]+)=")  # its length, keyword and, up to a newline, value (POSIX.1-2001)


class Content(io.RawIOBase):
    """The content of a member; read it before you ask for the next member."""

    def __init__(self, stream: "_Stream", size: int):
        self.stream, self.left = stream, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        data = self.stream.read(min(len(buffer), self.left))
        buffer[: len(data)] = data
        self.left -= len(data)
        return len(data)

    def readall(self) -> bytes:
        data, self.left = self.stream.read(self.left), 0
        return data


class _Stream:
    """Bytes from first to last, `EOFError` where some are missing, `InputError` where too few make too many."""

    def __init__(self, file: IO[bytes], raw: IO[bytes]):
        self.file, self.raw = file, raw
        self.bytes = os.fstat(raw.fileno()).st_size
        self.position, self.allowed = 0, FREE_BYTES

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        if len(data) != size:
            raise EOFError(CUT_OFF)
        self._count(size)
        return data

    def skip(self, size: int) -> None:
        if self.file is self.raw:  # a plain file; no file system seeks as far as a header can state
            if size > self.bytes - self.raw.tell():
                raise EOFError(CUT_OFF)
            self.file.seek(size, io.SEEK_CUR)
            return
        while size:
            size -= len(self.read(min(size, 2**20)))

    def read_checksum(self) -> None:
        """Go on to the end, where gzip compares its own."""
        while self.file is not self.raw and (data := self.file.read(2**20)):
            self._count(len(data))

    def _count(self, size: int) -> None:
        self.position += size
        if self.position > self.allowed:
            self.allowed = FREE_BYTES + MAX_EXPANSION * self.raw.tell()
            if self.position > self.allowed:
                raise InputError(
                    f"{self.raw.name}: {self.raw.tell():,} bytes of it expand to over {self.position:,}, more than "
                    f"{MAX_EXPANSION} times as many. No release does; is it a decompression bomb? Download it again"
                )


@contextmanager
def open_archive(path: Path) -> Iterator[Iterator[tuple[TarInfo, Content]]]:
    """The members of an archive in its order, each with its content; unread content is skipped.

    Raises `InputError` for an archive that is damaged or cut off, or larger in any way than a release can be.
    """
    try:
        with (
            open(path, "rb", BUFFER) as raw,
            nullcontext(raw) if path.suffix == ".tar" else gzip.open(raw) as file,
            tqdm(total=path.stat().st_size, desc=path.name, mininterval=1, unit="B", unit_scale=True) as progress,
        ):
            yield _members(_Stream(file, raw), progress)
    except (EOFError, tarfile.TarError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: cut off or damaged ({error}). Download it again") from None


def _members(stream: _Stream, progress: tqdm) -> Iterator[tuple[TarInfo, Content]]:
    count = 0
    while member := _next_member(stream):
        count += 1
        if count > MAX_MEMBERS:
            raise InputError(f"{stream.raw.name}: over {MAX_MEMBERS:,} members. Is it a Common Voice release?")
        # Links, devices and folders have no content, whatever size they state.
        size = member.size if member.isreg() or member.type not in tarfile.SUPPORTED_TYPES else 0
        content = Content(stream, size)
        yield member, content
        stream.skip(content.left + -size % BLOCKSIZE)
        progress.update(min(stream.raw.tell(), progress.total) - progress.n)
    stream.read_checksum()
    progress.update(stream.raw.tell() - progress.n)


def _next_member(stream: _Stream) -> TarInfo | None:
    """The next header with the name and size that extended headers before it give; None at the end's mark."""
    changes: dict[str, str | int] = {}
    for _ in range(MAX_EXTENDED + 1):
        block = stream.read(BLOCKSIZE)
        if not any(block):
            if changes or any(stream.read(BLOCKSIZE)):
                raise tarfile.ReadError("no end-of-archive mark")
            return None
        member = TarInfo.frombuf(block, "utf-8", "surrogateescape")
        extended = member.type in (GNUTYPE_LONGNAME, GNUTYPE_LONGLINK, XHDTYPE, SOLARIS_XHDTYPE, XGLTYPE)
        if not extended:
            for name, value in changes.items():
                setattr(member, name, value)
        if not 0 <= member.size <= (MAX_HEADER_BYTES if extended else MAX_SIZE):
            raise tarfile.ReadError(f"a{'n extended header' if extended else ' member'} of {member.size:,} bytes")
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("a sparse member")
        if not extended:
            return member
        data = stream.read(member.size + -member.size % BLOCKSIZE)[: member.size]
        if member.type == GNUTYPE_LONGNAME:
            changes["name"] = _text(data.partition(b"\0")[0])
        elif member.type in (XHDTYPE, SOLARIS_XHDTYPE):
            changes |= _pax_changes(data)
    raise tarfile.ReadError(f"over {MAX_EXTENDED} extended headers of one member")


def _pax_changes(data: bytes) -> dict[str, str | int]:
    """What the records of a pax header change in the header that follows, as far as it matters here."""
    changes: dict[str, str | int] = {}
    place = 0
    while match := PAX_RECORD.match(data, place):
        place += int(match[1])
        value = data[match.end() : place - 1]
        if place <= match.end() or data[place - 1 : place] != b"\n":
            raise tarfile.ReadError("a damaged extended header")
        if match[2].startswith(b"GNU.sparse"):
            raise tarfile.ReadError("a sparse member")
        if match[2] == b"path":
            changes["name"] = _text(value)
        elif match[2] == b"size":
            if not re.fullmatch(rb"\d{1,19}", value):
                raise tarfile.ReadError("a size that is no number")
            changes["size"] = int(value)
    if place != len(data):
        raise tarfile.ReadError("a damaged extended header")
    return changes


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
