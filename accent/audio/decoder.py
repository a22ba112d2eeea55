"""Encoded bytes -> blocks of samples, by FFmpeg's decoders (PyAV): one way for every format.

A recording is read to the end of its file, whatever its header states: joined files one after the other, and files
whose header was written before their end. A file that holds less than it states, or ends in the middle of a frame, is
reported.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from mmap import ACCESS_COPY, MADV_DONTNEED, mmap
from pathlib import Path

import av
import numpy as np
from av.buffer import Buffer

from accent.audio.containers import ends_amid, second_file, true_length
from accent.audio.mp3 import Frames, find_frames
from accent.core.errors import Reject

BLOCK_SECONDS = 10
MAX_BLOCK = 2**22  # numbers in a block: 16 MB, whatever the rate and the channels
FORGET = 2**24  # bytes of a mapped file
SOURCE_RATES = range(4000, 384001)
MAX_CHANNELS = 64
# Demuxers that FFmpeg may use: without this list, a playlist inside a "clip" could make it open other files or hosts.
# None of these opens anything but the bytes that it is given.
FFMPEG_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,gsm,iff,ircam,loas,matroska,webm,"
    "mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,nistsphere,ogg,oma,qcp,rm,sox,tak,tta,voc,w64,wav,wv"
)
GUESSES = ("aac", "ac3", "amr", "dts", "eac3", "mp3", "mpegts", "voc")  # a length from the bit rate of the first frames
# Those that end where their first header says, though another file may follow.
ENDS_EARLY = ("aiff", "asf", "caf", "flv", "tta", "voc", "w64", "wav")


@dataclass
class Stream:
    """Audio as it comes out of a decoder: `blocks` of float32 (channels, samples) at `sample_rate` Hz.

    `blocks` may raise `Reject`.
    """

    sample_rate: int
    codec: str
    seconds: float  # that the file states; 0 where it states none
    blocks: Iterator[np.ndarray]
    cut_off: bool = False  # whether the file ends in the middle of a frame; known when `blocks` are at their end


def open_audio(source: bytes | Path) -> Stream:
    """Open audio of any format that FFmpeg reads; the format is recognised by the content.

    Raises `Reject` for what FFmpeg cannot read, and for files with fewer samples than their header states.
    """
    data = source if isinstance(source, bytes) else _mapped(source)
    if not len(data):
        raise Reject("empty: 0 bytes")
    frames = find_frames(data)
    if frames:
        return _open_mp3(data, frames)
    if second := second_file(data):
        stream = _open_container(data[:second])
        stream.blocks = chain(stream.blocks, _following(stream, data[second:]))
        return stream
    return _open_container(true_length(data))


def _mapped(path: Path) -> bytes | mmap:
    """The file's bytes, which can be changed without changing the file."""
    with open(path, "rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_COPY) if path.stat().st_size else b""


def _open_mp3(data: bytes | mmap, frames: Frames) -> Stream:
    """An MP3 file by its frames, since a demuxer trusts the first header, and takes twice as long."""
    codec = av.CodecContext.create("mp3float", "r")
    codec.thread_type = "NONE"

    def decoded() -> Iterator[av.AudioFrame]:
        interleaved = av.AudioResampler(format="flt")
        try:
            for first, end in frames.runs:
                for frame in codec.decode(av.Packet(data[first:end])):
                    if frame.layout.nb_channels == 1:
                        yield frame
                    else:
                        yield from interleaved.resample(frame)
        except (av.FFmpegError, ValueError) as error:
            raise Reject(f"broken: {_ffmpeg_says(error)}") from None

    added = frames.delay + frames.padding
    seconds = max(frames.seconds, frames.stated_seconds) - added / frames.sample_rate
    length = round(frames.seconds * frames.sample_rate) - added
    blocks = _between(_blocks(decoded(), frames.sample_rate), frames.delay, length)
    return Stream(frames.sample_rate, "MP3", seconds, blocks, frames.cut_off)


def _between(blocks: Iterator[np.ndarray], delay: int, length: int) -> Iterator[np.ndarray]:
    """So many samples of the blocks (channels, samples), after the first of them: what players and browsers play."""
    place = -delay
    for block in blocks:
        inside = block[:, max(-place, 0) : max(length - place, 0)]
        if inside.size:
            yield inside
        place += block.shape[1]


class _Reader:
    """Bytes as a file for FFmpeg. It has no name, so that the format is told by content alone."""

    def __init__(self, data: bytes | mmap) -> None:
        self.data, self.place, self.kept = data, 0, 0

    def read(self, size: int) -> bytes:
        piece = self.data[self.place : self.place + size]
        self.place += len(piece)
        if piece and isinstance(self.data, mmap) and self.place >= self.kept + FORGET:  # heard: not needed in memory
            self.data.madvise(MADV_DONTNEED, self.kept, FORGET)
            self.kept += FORGET
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self.place = max((0, self.place, len(self.data))[whence] + offset, 0)
        return self.place

    def tell(self) -> int:
        return self.place


def _open_container(data: bytes | mmap) -> Stream:
    options = {"format_whitelist": FFMPEG_FORMATS, "protocol_whitelist": ""}
    if data[8:12] == b"WAVE":  # else FFmpeg looks for 11 ms whether it is DTS, surround sound in the guise of PCM
        options["max_probe_packets"] = "1"
    try:
        container = av.open(_Reader(data), options=options)
        if not container.streams.audio:
            raise Reject("not audio: a file without a sound track")
        track = container.streams.audio[0]
        if track.codec_context is None:
            raise Reject("not audio: a codec that FFmpeg does not know")
        if not track.rate:
            raise ValueError("no sample rate")
        if track.rate not in SOURCE_RATES:
            raise Reject(f"sample rate: {track.rate} Hz, allowed {SOURCE_RATES[0]} to {SOURCE_RATES[-1]}")
        if not 1 <= track.channels <= MAX_CHANNELS:
            raise Reject(f"channels: {track.channels}, at most {MAX_CHANNELS}")
    except (av.FFmpegError, ValueError) as error:
        raise Reject(f"not audio: FFmpeg cannot read it ({_ffmpeg_says(error)})") from None
    seconds = float((track.duration or 0) * track.time_base)
    if container.format.name in GUESSES:
        seconds = 0.0
    elif not seconds and len(container.streams) == 1:
        seconds = (container.duration or 0) / av.time_base
    stream = Stream(track.rate, track.codec_context.codec.canonical_name.upper(), seconds, iter(()), ends_amid(data))
    stream.blocks = _container_blocks(container, stream, data)
    return stream


def _container_blocks(
    container: av.container.InputContainer, stream: Stream, data: bytes | mmap
) -> Iterator[np.ndarray]:
    """The blocks of a file, and of one that follows in the same bytes where two were joined."""
    end = 0  # of the last packet

    def decoded() -> Iterator[av.AudioFrame]:
        nonlocal end
        interleaved = av.AudioResampler(format="flt")  # the sample format alone; rate and channels stay
        try:
            for packet in container.demux(container.streams.audio[0]):
                if packet.size and packet.pos is not None:
                    end = max(end, packet.pos + packet.size)
                for frame in packet.decode():
                    yield from interleaved.resample(frame)
        except (av.FFmpegError, ValueError) as error:
            if end < len(data):
                raise Reject(f"broken: {_ffmpeg_says(error)}") from None
            stream.cut_off = True  # it is the last frame that cannot be decoded

    heard = 0
    with container:
        for block in _blocks(decoded(), stream.sample_rate):
            heard += block.shape[1]
            yield block
    if end and container.format.name in ENDS_EARLY and (second := data.find(data[:4], end)) >= 0:
        stream.seconds = heard / stream.sample_rate  # some of these formats guess it from the size of all
        yield from _following(stream, data[second:])


def _following(stream: Stream, data: bytes | mmap) -> Iterator[np.ndarray]:
    """The blocks of a file that was joined to that of `stream`."""
    rest = open_audio(data)
    if rest.sample_rate != stream.sample_rate:
        raise Reject(f"broken: {stream.sample_rate} Hz, and in a second file joined to it {rest.sample_rate} Hz")
    yield from rest.blocks
    stream.seconds += rest.seconds
    stream.cut_off = rest.cut_off


def _blocks(frames: Iterable[av.AudioFrame], sample_rate: int) -> Iterator[np.ndarray]:
    """The samples of interleaved float frames, joined to blocks of about `BLOCK_SECONDS`, or `MAX_BLOCK` numbers.

    Interleaved, since PyAV reads beyond the planes of a frame with eight or more. Bytes are joined and not arrays,
    which takes half the time where frames are short.
    """
    parts: list[Buffer] = []
    channels = length = limit = 0
    for frame in frames:
        found, samples = frame.layout.nb_channels, frame.samples
        if not channels:
            channels, limit = found, min(sample_rate * BLOCK_SECONDS, MAX_BLOCK // found)
        if frame.sample_rate != sample_rate or found != channels:
            first, then = f"{sample_rate} Hz in {channels} channels", f"{frame.sample_rate} Hz in {found}"
            raise Reject(f"broken: {first}, and later {then}")
        (plane,) = frame.planes
        size = 4 * samples * channels
        parts.append(plane if plane.buffer_size == size else memoryview(plane)[:size])  # without padding
        length += samples
        if length >= limit:
            yield np.frombuffer(b"".join(parts), np.float32).reshape(-1, channels).T
            parts, length = [], 0
    if parts:
        yield np.frombuffer(b"".join(parts), np.float32).reshape(-1, channels).T


def _ffmpeg_says(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
