"""The frames of an MP3 file, walked header by header: how long it is, and whether it was cut off.

A header-less MP3, as in Common Voice, states no length; decoders then guess it from the first frame, and stop or go on
without a word where the file ends in the middle of a frame.
"""

import mmap
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

# ISO/IEC 11172-3 and 13818-3, layer III: kb/s by bit-rate index, Hz by sample-rate index, of MPEG 1.
KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
RATES = (44100, 48000, 32000)
MPEG_1, LAYER_III = 3, 1


class Walk(NamedTuple):
    """What the frame headers of an MP3 file tell."""

    seconds: float  # of audio in its whole frames; 0 where the walk does not get to the end
    cut_off: bool  # whether its last frame is
    length_stated: bool  # whether its first frame is an Info (or Xing) header, which states the length truly


def walk_frames(source: bytes | Path) -> Walk:
    """Walk an MP3 file. What cannot be followed to the end is for the decoder to judge."""
    if isinstance(source, bytes):
        return _walk(source)
    with open(source, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _walk(data)


def _walk(data: bytes | mmap.mmap) -> Walk:
    place = 0
    while data[place : place + 3] == b"ID3":  # a tag's size: four bytes of seven bits
        size = 0
        for byte in data[place + 6 : place + 10]:
            size = size << 7 | byte
        place += 10 + size
    first = data[place : place + 64]
    length_stated = b"Info" in first or b"Xing" in first
    seconds = 0.0
    while place + 4 <= len(data):
        if data[place : place + 3] in (b"TAG", b"APE"):  # a tag at the end
            return Walk(seconds, False, length_stated)
        frame = _frame(data[place : place + 4])
        if not frame:
            return Walk(0.0, False, length_stated)
        length, duration = frame
        if place + length > len(data):
            return Walk(seconds, True, length_stated)
        place += length
        seconds += duration
    return Walk(seconds, place != len(data), length_stated)


@lru_cache(maxsize=1024)  # a file has a handful of different headers
def _frame(header: bytes) -> tuple[int, float] | None:
    """Bytes and seconds of the layer III frame with that header; None if it is none, or one of free bit rate."""
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    kbits_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    synced = header[0] == 0xFF and header[1] >> 5 == 7
    if not synced or version == 1 or layer != LAYER_III or kbits_index in (0, 15) or rate_index == 3:
        return None
    kbits = (KBITS_1 if version == MPEG_1 else KBITS_2)[kbits_index]
    rate = RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version]  # MPEG 2 and 2.5 halve and quarter it
    samples = 1152 if version == MPEG_1 else 576
    return samples // 8 * kbits * 1000 // rate + padding, samples / rate
