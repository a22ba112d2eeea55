"""The frames of an MP3 file, found header by header.

Walking them tells what no decoder says: how long a file without a header is, whether its first header states more or
less than is there, and whether the file ends in the middle of a frame.
"""

from functools import lru_cache
from mmap import mmap
from typing import NamedTuple

# ISO/IEC 11172-3 and 13818-3, layer III: kb/s by bit-rate index, Hz by sample-rate index, of MPEG 1.
KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
RATES = (44100, 48000, 32000)
MPEG_1, LAYER_III, MONO = 3, 1, 3
DECODER_DELAY = 528 + 1  # samples by which every decoder of layer III is late
ENCODERS = (b"LAME", b"Lavf", b"Lavc")  # that state their own delay
MAX_RUN = 2**16  # bytes of frames that are decoded at once: about eight seconds


class Frames(NamedTuple):
    """The frames of a whole MP3 file. Tags, and the frames that state a length instead of sound, are left out."""

    runs: list[tuple[int, int]]  # first byte and end of whole frames in a row, `MAX_RUN` or a little more together
    seconds: float  # of audio in them
    stated_seconds: float  # in the Info or Xing headers of the file, or of the files that were joined; 0: not stated
    cut_off: bool  # whether the file ends in the middle of a frame
    sample_rate: int  # of the first frame
    delay: int  # samples at the beginning that encoder and decoder added, by the first Info or Xing header
    padding: int  # and at the end


class Frame(NamedTuple):
    """What the header of a layer III frame says."""

    length: int  # bytes
    samples: int
    sample_rate: int
    info: int  # where an encoder writes Info or Xing if the frame is none of audio: after the side information


def find_frames(data: bytes | mmap) -> Frames | None:
    """The frames of an MP3 file; None where it does not begin with one, or has something between them but tags."""
    place, seconds, stated, cut_off, first = 0, 0.0, 0.0, False, None
    runs: list[tuple[int, int]] = []
    delay = padding = 0
    begin = 0  # of the present run
    lengths_stated = False
    while place < len(data):
        frame = _frame(data[place : place + 4])
        if frame:
            end = place + frame.length
            if end > len(data):
                cut_off = True
                break
            if not first:
                first, lengths_stated = frame, data.find(b"Info") >= 0 or data.find(b"Xing") >= 0
            if not lengths_stated or data[place + frame.info : place + frame.info + 4] not in (b"Info", b"Xing"):
                seconds += frame.samples / frame.sample_rate
                if end - begin < MAX_RUN:
                    place = end
                    continue
                _add(runs, begin, end)
            else:
                _add(runs, begin, place)
                if not runs:
                    delay, padding = _delay_and_padding(data, place + frame.info)
                stated += _stated_frames(data, place + frame.info) * frame.samples / frame.sample_rate
        else:
            end = place + _tag_length(data, place)
            if end == place:
                if not first or _frames_follow(data, place):
                    return None
                end, cut_off = len(data), len(data) - place < 4 and data[place] == 0xFF  # the beginning of a header
            _add(runs, begin, place)
        place = begin = end
    _add(runs, begin, min(place, len(data)))
    if not first or not runs:
        return None
    whole = abs(stated - seconds) < 0.5 * first.samples / first.sample_rate  # else the end is another than stated
    return Frames(runs, seconds, stated, cut_off, first.sample_rate, delay, padding if whole else 0)


def _add(runs: list[tuple[int, int]], begin: int, end: int) -> None:
    if end > begin:
        runs.append((begin, end))


def _stated_frames(data: bytes | mmap, place: int) -> int:
    """The number of frames in an Info or Xing header, 0 where it states none (LAME's revision of Xing's format)."""
    flags = int.from_bytes(data[place + 4 : place + 8])
    return int.from_bytes(data[place + 8 : place + 12]) if flags & 1 else 0


def _delay_and_padding(data: bytes | mmap, place: int) -> tuple[int, int]:
    """Samples before and after the sound, by LAME's extension of an Info or Xing header; 0 where it has none."""
    extension = data[place + 120 : place + 144]
    if len(extension) < 24 or not extension.startswith(ENCODERS):
        return 0, 0
    delay, padding = divmod(int.from_bytes(extension[21:24]), 2**12)
    return delay + DECODER_DELAY, max(padding - DECODER_DELAY, 0)


def _frames_follow(data: bytes | mmap, place: int) -> bool:
    """Whether there are two frames in a row somewhere after that place."""
    while (place := data.find(b"\xff", place + 1)) >= 0:
        frame = _frame(data[place : place + 4])
        if frame and _frame(data[place + frame.length : place + frame.length + 4]):
            return True
    return False


def _tag_length(data: bytes | mmap, place: int) -> int:
    """Bytes of the tag that begins there: ID3v2, ID3v1, APE, or padding with zeros; 0 where there is none."""
    start = data[place : place + 16]
    if start.startswith(b"\0"):
        start = data[place : place + MAX_RUN]
        return len(start) - len(start.lstrip(b"\0"))
    if start.startswith(b"ID3") and len(start) >= 10:
        return 10 + sum((byte & 127) << shift for byte, shift in zip(start[6:10], (21, 14, 7, 0), strict=True))
    if start.startswith(b"TAG"):
        return 128
    if start.startswith(b"APETAGEX"):  # its size is without the header, which some leave out and write a footer alone
        return 32 + int.from_bytes(start[12:16], "little")
    return 0


@lru_cache(maxsize=1024)  # a file has a handful of different headers
def _frame(header: bytes) -> Frame | None:
    """The layer III frame with that header; None if it is none, or one of free bit rate."""
    if len(header) < 4 or header[0] != 0xFF or header[1] >> 5 != 7:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    kbits_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer != LAYER_III or kbits_index in (0, 15) or rate_index == 3:
        return None
    kbits = (KBITS_1 if version == MPEG_1 else KBITS_2)[kbits_index]
    rate = RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version]  # MPEG 2 and 2.5 halve and quarter it
    samples = 1152 if version == MPEG_1 else 576
    mono = header[3] >> 6 == MONO
    side = (17 if mono else 32) if version == MPEG_1 else (9 if mono else 17)
    return Frame(samples // 8 * kbits * 1000 // rate + padding, samples, rate, 4 + side)
