"""Files that hold more or less than they state, and formats that recorders write: heard to their end, or said."""

import io
import itertools
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from accent.audio.decoder import open_audio
from accent.audio.mp3 import find_frames
from accent.audio.waveform import SAMPLE_RATE, read_pieces, read_recording
from accent.core.errors import CutOff, Reject
from tests.helpers import ROOT, run, sample_clips
from tests.test_audio import with_ffmpeg, with_soundfile, without_info_frame

RATE = 48000
SECONDS = 3


def signal(seconds: float = SECONDS, rate: int = RATE) -> np.ndarray:
    """A tone and noise, which no codec makes much smaller."""
    generator = np.random.default_rng(0)
    time = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 440 * time) + 0.05 * generator.standard_normal(len(time))).astype(np.float32)


class Pipe(io.RawIOBase):
    """What cannot be gone back in, so that a header keeps the lengths of its first writing."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += bytes(data)
        return len(data)

    def writable(self) -> bool:
        return True


WHOLE = {
    "wav": lambda: with_soundfile(signal(), RATE, "WAV", "PCM_16"),
    "wav adpcm": lambda: with_soundfile(signal(), RATE, "WAV", "IMA_ADPCM"),
    "rf64": lambda: with_soundfile(signal(), RATE, "RF64", "PCM_16"),
    "w64": lambda: with_soundfile(signal(), RATE, "W64", "PCM_16"),
    "aiff": lambda: with_soundfile(signal(), RATE, "AIFF", "PCM_16"),
    "au": lambda: with_soundfile(signal(), RATE, "AU", "PCM_16"),
    "caf": lambda: with_soundfile(signal(), RATE, "CAF", "PCM_16"),
    "caf alac": lambda: with_ffmpeg(signal(), RATE, "caf", "alac"),
    "flac": lambda: with_soundfile(signal(), RATE, "FLAC", "PCM_16"),
    "ogg vorbis": lambda: with_soundfile(signal(), RATE, "OGG", "VORBIS"),
    "ogg opus": lambda: with_soundfile(signal(), RATE, "OGG", "OPUS"),
    "mp3": lambda: with_soundfile(signal(), RATE, "MP3", "MPEG_LAYER_III"),
    "m4a": lambda: with_ffmpeg(signal(), RATE, "mp4", "aac"),
    "qta": lambda: with_ffmpeg(signal(), RATE, "mov", "aac"),
    "webm": lambda: with_ffmpeg(signal(), RATE, "webm", "libopus"),
    "wma": lambda: with_ffmpeg(signal(), RATE, "asf", "wmav2"),
    "aac": lambda: with_ffmpeg(signal(), RATE, "adts", "aac"),
    "amr": lambda: b"#!AMR\n" + b"".join(b"\x3c" + np.random.default_rng(n).bytes(31) for n in range(50 * SECONDS)),
}


def seconds_of(source: bytes | Path) -> float:
    return len(read_recording(source, 300).waveform) / SAMPLE_RATE


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_heard_by_their_content_whatever_their_name(tmp_path, name):
    data = WHOLE[name]()
    assert seconds_of(data) == pytest.approx(SECONDS, abs=0.1)
    for suffix in ("", ".txt", ".mp3", ".m3u8"):
        path = tmp_path / f"take{suffix}"
        path.write_bytes(data)
        assert seconds_of(path) == seconds_of(data)
        assert path.read_bytes() == data


@pytest.mark.parametrize("name", WHOLE)
def test_joined_files_are_heard_to_the_end(tmp_path, name):
    data = WHOLE[name]()
    path = tmp_path / "take"
    path.write_bytes(data + data)
    assert seconds_of(data + data) == seconds_of(path) == pytest.approx(2 * SECONDS, abs=0.2)
    assert seconds_of(data + data + data) == pytest.approx(3 * SECONDS, abs=0.3)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_cut_files_are_rejected(name, share):
    data = WHOLE[name]()
    for cut in (data[: int(share * len(data)) + 5], data + data[: int(share * len(data)) + 5]):
        with pytest.raises(Reject, match="^(truncated|not audio)"):
            seconds_of(cut)


@pytest.mark.parametrize(
    ("container", "subtype", "most"), [("WAV", "PCM_24", 64), ("WAV", "FLOAT", 64), ("FLAC", "PCM_16", 8)]
)
def test_every_channel_comes_out_as_it_went_in(container, subtype, most):
    for channels in (number for number in (1, 2, 3, 6, 7, 8, 9, 16, 64) if number <= most):
        samples = np.outer(signal(11, 16000), np.arange(1, channels + 1) / channels).astype(np.float32)
        stream = open_audio(with_soundfile(samples, 16000, container, subtype))
        np.testing.assert_allclose(np.concatenate(list(stream.blocks), axis=1).T, samples, atol=4e-5)


def test_joined_files_of_other_rates_are_rejected():
    for first, second in itertools.permutations((RATE, 16000), 2):
        for container, subtype in (("WAV", "PCM_16"), ("MP3", "MPEG_LAYER_III")):
            files = [with_soundfile(signal(1, rate), rate, container, subtype) for rate in (first, second)]
            with pytest.raises(Reject, match=f"broken: {first} Hz"):
                seconds_of(b"".join(files))


def stated(data: bytes, at: bytes, size: int, width: int = 4, order: str = "little", skip: int = 0) -> bytes:
    """The file with another size in the chunk of that name."""
    place = data.index(at) + len(at) + skip
    return data[:place] + size.to_bytes(width, order) + data[place + width :]


SECOND = 2 * RATE  # bytes


@pytest.mark.parametrize("size", [0, SECOND, 2 * SECOND + 1, 0x7FFFF000, 2**32 - 1])
def test_a_wav_whose_header_was_never_updated_is_heard_to_the_end(tmp_path, size):
    for data in (WHOLE["wav"](), WHOLE["wav"]() + b"\0" * 99):
        (tmp_path / "take.wav").write_bytes(stated(data, b"data", size))
        assert seconds_of(tmp_path / "take.wav") == pytest.approx(SECONDS, abs=0.01)
        assert seconds_of(stated(data, b"data", size)) == pytest.approx(SECONDS, abs=0.01)


def test_other_headers_that_were_never_updated():
    for data in (
        stated(WHOLE["aiff"](), b"SSND", SECOND + 8, 4, "big"),
        stated(WHOLE["caf"](), b"data", SECOND + 4, 8, "big"),
        stated(WHOLE["w64"](), bytes.fromhex("64617461f3acd3118cd100c04f8edb8a"), SECOND + 24, 8),
        stated(WHOLE["rf64"](), b"ds64", SECOND, 8, skip=12),
    ):
        assert seconds_of(data) == pytest.approx(SECONDS, abs=0.01)


def test_what_follows_the_samples_is_no_sound():
    """Chunks of metadata, odd ones with their padding, and tags."""
    wav = WHOLE["wav"]()
    chunk = b"LIST" + struct.pack("<I", 30001) + b"x" * 30002
    for rest in (chunk, chunk + chunk, b"ID3\x04" + b"y" * 20000, b"TAG" + b"z" * 125):
        assert seconds_of(wav + rest) == pytest.approx(SECONDS, abs=1e-3)


def test_sizes_modulo_4_gb():
    """5.9 seconds less than 4 GB and 200 MB of samples: all are counted, without the time to hear them."""
    size = 2**32 + 200 * 2**20
    header = b"RIFF" + struct.pack("<I", (size + 36) % 2**32) + b"WAVEfmt " + struct.pack("<I", 16)
    header += struct.pack("<HHIIHH", 1, 2, 192000, 768000, 4, 16) + b"data" + struct.pack("<I", size % 2**32)
    path = Path("/tmp") / f"accent-{os.getpid()}.wav"
    try:
        path.write_bytes(header)
        os.truncate(path, len(header) + size)  # sparse
        stream = open_audio(path)
        heard = 0
        for block in stream.blocks:
            heard += block.shape[1]
            if heard > 300 * 192000:  # the 200 MB that the header states are 273 s
                break
        assert heard > 300 * 192000
    finally:
        path.unlink()


def test_a_flac_and_an_ogg_from_a_pipe_are_whole():
    for container, codec in (("flac", "flac"), ("ogg", "libopus"), ("webm", "libopus"), ("wav", "pcm_s16le")):
        pipe = Pipe()
        with_ffmpeg(signal(), RATE, container, codec, pipe)
        assert seconds_of(pipe.data) == pytest.approx(SECONDS, abs=0.1)


def test_an_mp3_whose_header_states_no_or_too_few_frames_is_whole():
    data = WHOLE["mp3"]()
    place = max(data.find(b"Xing"), data.find(b"Info")) + 8
    for frames in (0, 10):
        changed = data[:place] + frames.to_bytes(4) + data[place + 4 :]
        assert seconds_of(changed) == pytest.approx(SECONDS, abs=0.1)
    with pytest.raises(Reject, match=r"truncated: 3\.0 of 23\.. s are there"):
        seconds_of(data[:place] + (23 * RATE // 1152).to_bytes(4) + data[place + 4 :])


def test_mp3_frames_are_found_between_tags_and_padding():
    data = without_info_frame(WHOLE["mp3"]())
    alone = find_frames(data)
    id3 = b"ID3\x04\0\0" + bytes([0, 0, 2, 1]) + b"\xff" * 257
    ape = b"APETAGEX" + (2000).to_bytes(4, "little") + (40).to_bytes(4, "little") + b"\xff" * 56
    tagged = find_frames(id3 + data + ape + b"TAG" + b"\xff" * 125 + id3 + data + bytes(5000) + data + b"\n")
    assert tagged.seconds == pytest.approx(3 * alone.seconds)
    assert not tagged.cut_off
    assert find_frames(data[:-10]).cut_off
    assert find_frames(data + data[:2]).cut_off
    assert find_frames(data + b"something else") == alone
    assert find_frames(data + b"something else" + data) is None  # for a decoder that looks for the next one
    assert find_frames(b"something else" + data) is None


def test_a_file_that_ends_amid_a_frame_is_read_as_far_as_it_goes():
    """`read_pieces` gives all that is there, and then says so; `read_recording` takes no such file."""
    clip = sample_clips("fr")[0].read_bytes()
    files = [WHOLE[name]() for name in ("mp3", "ogg vorbis", "ogg opus", "flac", "webm", "aac")]
    for data in (clip, without_info_frame(clip), *files):
        cut = data[: len(data) * 2 // 3 + 41]
        whole = seconds_of(data)
        pieces = []
        with pytest.raises(CutOff, match=r"truncated: it ends in the middle of a frame, after [0-9.]+"):
            pieces.extend(read_pieces(cut, 1.0))
        heard = sum(len(piece.waveform) for piece in pieces) / SAMPLE_RATE
        assert 0.3 * whole < heard < 0.8 * whole  # a page of Ogg is a second long
        with pytest.raises(Reject, match="truncated: it ends in the middle of a frame"):
            read_recording(cut, 30)


def test_playlists_open_nothing(tmp_path):
    """By content, whatever a file is called, and whatever it names."""
    other = tmp_path / "other.wav"
    other.write_bytes(WHOLE["wav"]())
    lists = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{other}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }
    for name, text in lists.items():
        for suffix in (".wav", ".m3u8", ".ffconcat", ".sdp"):
            path = tmp_path / f"{name}{suffix}"
            path.write_text(text)
            with pytest.raises(Reject, match="^not audio"):
                read_recording(path, 30)


def test_nothing_is_printed_about_a_damaged_recording(tmp_path):
    """libmpg123 and FFmpeg write to the process's own stderr, which only another process can look at."""
    data = bytearray(without_info_frame(WHOLE["mp3"]()))
    for place in range(500, len(data), 700):
        data[place : place + 40] = bytes(40)
    joined = WHOLE["mp3"]() * 2
    for number, content in enumerate((bytes(data), joined, WHOLE["flac"]()[:-3000], WHOLE["ogg vorbis"]()[:-3000])):
        (tmp_path / f"{number}").write_bytes(content)
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from accent.audio.waveform import read_recording\nfrom accent.core.errors import Reject\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try:\n        read_recording(path, 30)\n"
        "    except Reject:\n        pass\n"
    )
    done = run("python", "-c", code, str(tmp_path), cwd=ROOT)
    assert done.stdout == done.stderr == ""


def test_a_file_is_not_changed_by_reading(tmp_path):
    """Its header is mended in memory alone."""
    path = tmp_path / "stale.wav"
    data = stated(WHOLE["wav"](), b"data", SECOND)
    path.write_bytes(data)
    seconds_of(path)
    assert path.read_bytes() == data
    sf.read(io.BytesIO(data))


@pytest.mark.parametrize("rate", [16000, 32000, 48000])
def test_what_an_mp3_encoder_adds_at_both_ends_is_not_heard(tmp_path, rate):
    """So that Python hears the moments at which players and browsers play them."""
    samples = np.zeros(2 * rate, np.float32)
    samples[rate // 2] = 0.9
    path = tmp_path / "click.mp3"
    sf.write(path, samples, rate)
    decoded = np.concatenate([block[0] for block in open_audio(path).blocks])
    assert len(decoded) == len(samples)
    assert abs(np.abs(decoded).argmax() - rate // 2) <= 1
