"""Lengths that containers state, checked where FFmpeg trusts them or does not report that a file was cut off."""

from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

from accent.core.errors import Reject

# From which size on, by its width in bytes, it only says that it was not known, as where a program writes to a pipe:
# SoX states 0x7FFFF000, others up to 2^32 - 1 or 2^64 - 1.
UNKNOWN_SIZE = {4: 0x7FFFF000, 8: 2**62}
W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
EBML = b"\x1a\x45\xdf\xa3"
EBML_LISTS = (0x18538067, 0x1F43B675)  # of Matroska and WebM: segment and cluster, which hold others
MAX_ELEMENTS = 10_000_000  # blocks of 20 ms: 55 hours


class Layout(NamedTuple):
    """Layout of a container of chunks: each is an identifier, a size, and that many bytes."""

    first: int  # byte of the first chunk
    id_bytes: int
    size_bytes: int
    order: str  # of the bytes of a size
    size_of_all: bool  # whether a size counts the identifier and itself
    align: int
    data: bytes  # identifier of the chunk with the samples


WAV = Layout(12, 4, 4, "little", False, 2, b"data")
AIFF = Layout(12, 4, 4, "big", False, 2, b"SSND")
W64 = Layout(40, 16, 8, "little", True, 8, W64_DATA)
CAF = Layout(8, 4, 8, "big", False, 1, b"data")


def _layout(data: bytes | mmap) -> Layout | None:
    head = data[:12]
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:] == b"WAVE":
        return WAV
    if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        return AIFF
    return W64 if head == b"riff.\x91\xcf\x11\xa5\xd6(\xdb" else CAF if head[:4] == b"caff" else None


def true_length(data: bytes | mmap) -> bytes | mmap:
    """The file with its header corrected, where that states fewer samples than there are.

    In such a file the bytes after the samples are no chunks: the program that wrote it crashed, or wrote more than
    4 GB. A memory map is changed in place. Raises `Reject` where the header states more than is there.
    """
    layout = _layout(data)
    if not layout:
        if (stated := _stated_bytes(data)) > len(data):
            raise Reject(f"truncated: {len(data):,} of {stated:,} bytes are there")
        return data
    place, ds64 = layout.first, 0
    head = layout.id_bytes + layout.size_bytes
    while place + head <= len(data):
        identifier = data[place : place + layout.id_bytes]
        at, width = place + layout.id_bytes, layout.size_bytes
        if identifier == b"ds64" and layout is WAV:
            ds64 = place + 16  # where the size of the samples stands, in eight bytes
        if identifier == layout.data and ds64 and data[at : at + 4] == b"\xff" * 4:
            at, width = ds64, 8
        size = int.from_bytes(data[at : at + width], layout.order) - head * layout.size_of_all
        end = place + head + max(size, 0)
        if identifier == layout.data:
            if end > len(data) and size < UNKNOWN_SIZE[width]:
                raise Reject(f"truncated: {len(data):,} of {end:,} bytes are there")
            if end < len(data) and not _are_chunks(data, end + -end % layout.align, layout):
                size = len(data) - place - head + head * layout.size_of_all
                stated = min(size, 256**width - 1).to_bytes(width, layout.order)
                return _changed(data, at, stated)
            return data
        place = end + -end % layout.align
    return data


def _stated_bytes(data: bytes | mmap) -> int:
    """The size that the header of an AVI or ASF (WMA) file states, 0 where it states none."""
    if data[:4] == b"RIFF":
        size = int.from_bytes(data[4:8], "little") + 8
        return size if size < UNKNOWN_SIZE[4] else 0
    properties = data.find(ASF_PROPERTIES, 0, 4096) if data[:16] == ASF else -1
    if properties < 0 or data[properties + 88 : properties + 89] != b"\2":  # not seekable: a live stream
        return 0
    return int.from_bytes(data[properties + 40 : properties + 48], "little")


def second_file(data: bytes | mmap) -> int:
    """Offset of a second AMR, AU, MP4 or WebM file that was joined to the first; 0 if there is none."""
    if data[:4] == b".snd":
        end = int.from_bytes(data[4:8]) + int.from_bytes(data[8:12])
        return end if data[end : end + 4] == b".snd" else 0
    if data[:5] == b"#!AMR":
        return max(data.find(b"#!AMR", 5), 0)
    if data[4:8] == b"ftyp":
        return next((end for end in _boxes(data) if data[end + 4 : end + 8] == b"ftyp"), 0)
    if data[:4] == EBML:
        return next((end for end in _elements(data) if data[end : end + 4] == EBML), 0)
    return 0


def _are_chunks(data: bytes | mmap, place: int, layout: Layout) -> bool:
    """Whether there are chunks, tags or another file of the kind from there to the end of the file."""
    head = layout.id_bytes + layout.size_bytes
    while len(data) - place >= head:
        identifier = data[place : place + layout.id_bytes]
        if identifier == data[: layout.id_bytes] or identifier[:3] in (b"ID3", b"TAG") or identifier[:3] == b"APE":
            return True
        if layout is not W64 and not (identifier.isascii() and identifier.decode().isprintable()):
            return False
        size = int.from_bytes(data[place + layout.id_bytes : place + head], layout.order)
        place += size + head * (not layout.size_of_all)
        place += -place % layout.align
        if size < head * layout.size_of_all or place > len(data) + layout.align:
            return False
    return True


def _changed(data: bytes | mmap, at: int, new: bytes) -> bytes | mmap:
    if isinstance(data, bytes):
        return data[:at] + new + data[at + len(new) :]
    data[at : at + len(new)] = new
    return data


def ends_amid(data: bytes | mmap) -> bool:
    """Whether an Ogg, MP4 or WebM file ends in the middle of a page, a box or an element."""
    if data[:4] == b"OggS":
        ends = _ogg_pages(data)
    elif data[4:8] == b"ftyp":
        ends = _boxes(data)
    elif data[:4] == EBML:
        ends = _elements(data)
    else:
        return False
    return max(ends, default=0) > len(data)


def _ogg_pages(data: bytes | mmap) -> Iterator[int]:
    """Where each page ends (RFC 3533, 6)."""
    place = 0
    while data[place : place + 4] == b"OggS":
        table = place + 27
        segments = data[table - 1] if table <= len(data) else 0
        place = table + segments + sum(data[table : table + segments])
        yield place


def _boxes(data: bytes | mmap) -> Iterator[int]:
    """Where each box of the top level ends (ISO/IEC 14496-12, 4.2)."""
    place = 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4])
        size = int.from_bytes(data[place + 8 : place + 16]) if size == 1 else size
        if size < 8:  # 0: to the end of the file
            return
        place += size
        yield place


def _elements(data: bytes | mmap) -> Iterator[int]:
    """Where each element of Matroska ends that holds no others of interest (RFC 8794, 4 to 6)."""
    place = 0
    for _ in range(MAX_ELEMENTS):
        if place >= len(data):
            return
        id_bytes = 9 - data[place].bit_length()
        at = place + id_bytes
        size_bytes = 9 - data[at].bit_length() if at < len(data) else 9
        if id_bytes > 4 or size_bytes > 8:
            return
        size = int.from_bytes(data[at : at + size_bytes]) & (1 << 7 * size_bytes) - 1
        place = at + size_bytes
        if int.from_bytes(data[at - id_bytes : at]) not in EBML_LISTS:
            if size == (1 << 7 * size_bytes) - 1:  # not known: a live stream's
                return
            place += size
        yield place
