"""Damaged recordings, tables and archives: read, or refused with a reason in one line, and nothing else.

FUZZ_INPUTS sets how many of each are tried. hypothesis draws a number for each input, and `Random` of that number makes
it, which is several times as fast as drawing its parts; the number in a failure's report makes the same input again.
"""

import csv
import gzip
import io
import os
import signal
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accent.audio.containers import ASF, EBML
from accent.audio.waveform import SAMPLE_RATE, decode_clip
from accent.core.errors import UNPRINTABLE, InputError, Reject
from accent.core.parts import write_rejects
from accent.corpus.common_voice import FILE_COLUMNS, ClassFilter, Source, open_table, read_archive, read_tsv
from accent.corpus.selection import IngestParams, select_clips, write_clips_part
from accent.scoring.scorer import Scorer
from tests.helpers import NEW, OLD, sample_clips
from tests.test_audio import FORMATS, PARAMS
from tests.test_decoder import WHOLE

pytestmark = pytest.mark.slow

INPUTS = int(os.environ.get("FUZZ_INPUTS", "250"))
SECONDS = 10  # of CPU time: more for one input is too slow
WAIT_SECONDS = 60  # on a clock: more is a hang, on a busy machine too
SELECT = 32  # one in so many tables and archives goes on to the selection, which takes ten times as long as reading it
CLASSES = {"french": ClassFilter(locale="fr"), "british": ClassFilter(locale="en", accents="united_kingdom")}
INGEST = IngestParams(
    releases=Path("raw"),
    classes=CLASSES,
    max_clips_per_class=0,
    max_clips_per_speaker=3,
    seed=0,
    clips_per_part=256,
    max_reject_fraction=1,
)


def fuzz(inputs: int):
    """Call a test with the seeds of so many inputs, the same ones each time."""

    def decorate(test):
        options = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
        return settings(max_examples=inputs, **options)(given(seed=st.integers(0, 2**48))(test))

    return decorate


@contextmanager
def in_time() -> Iterator[None]:
    """Fail where the block takes longer than an input may; a loop in Python is broken off."""

    def stop(*_) -> None:
        raise AssertionError(f"still at work after {WAIT_SECONDS} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(WAIT_SECONDS)
    began = time.process_time()
    try:
        yield
    finally:
        signal.alarm(0)
    assert time.process_time() - began < SECONDS


def damage(data: bytes, random: Random) -> bytes:
    """Data with up to six changes, most often in its head, and perhaps cut off."""
    data = bytearray(data)
    for _ in range(random.randrange(7)):
        first = int((random.random() * (0.02 if random.random() < 0.5 else 1)) * len(data))
        new = random.randbytes(random.randint(1, 8))
        data[first : first + (len(new) if random.random() < 0.5 else 0)] = new
    return bytes(data[: int(random.random() * len(data))] if random.random() < 0.3 else data)


def recordings() -> list[bytes]:
    seconds = np.arange(48000) / 48000
    tone = (0.5 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
    ours = [*(encode(tone, 48000) for _, encode, _ in FORMATS), *(make() for make in WHOLE.values())]
    return [*ours, *(path.read_bytes() for path in sample_clips("fr")[:3])]


RECORDINGS = recordings()
MAGIC = [b"RIFF", b"ID3", b"OggS", b"fLaC", b"\xff\xfb", b"FORM", b"caff", b"#!AMR\n", EBML, ASF, b""]


def recording(random: Random) -> bytes:
    if random.random() < 0.1:  # bytes that never were one
        return random.choice(MAGIC) + random.randbytes(random.randrange(400))
    joined = random.choice(RECORDINGS) if random.random() < 0.1 else b""
    return damage(random.choice(RECORDINGS), random) + damage(joined, random)


@fuzz(INPUTS)
def test_a_damaged_recording_is_decoded_or_rejected(seed):
    with in_time():
        try:
            waveform, measures = decode_clip(recording(Random(seed)), PARAMS)
        except Reject as reject:
            reason = str(reject)
        else:
            reason = "none: it was decoded"
            assert PARAMS.min_seconds <= len(waveform) / SAMPLE_RATE <= PARAMS.max_seconds + 1
            assert all(np.isfinite(value) for value in measures.values() if not isinstance(value, str))
    assert reason
    assert not UNPRINTABLE.search(reason)


@pytest.fixture(scope="module")
def scorer(trained) -> Scorer:
    return Scorer.load(trained / "models")


@fuzz(min(INPUTS, 5000))  # each runs the network
def test_a_damaged_recording_is_scored_or_rejected(scorer, tmp_path, seed):
    path: Path = tmp_path / "take"
    path.write_bytes(recording(Random(seed)))
    with in_time():
        try:
            score = scorer.score(path)
        except Reject as reject:
            reason = str(reject)
        else:
            reason = score.reason or "none: it was judged"
            assert score.probability is None or 0 <= score.probability <= 1
            assert all(np.isfinite(window.probability) for window in score.windows)
    assert reason
    assert "\n" not in reason


CELLS = [
    *("", "fr", "en", "a.mp3", "b.mp3", "b", "../../c.mp3", "x" * 300, "NA", "2", "-1", "1e400", "9" * 30, "nan"),
    *("united_kingdom", "female_feminine", '"', "\\", "\\\t", "\\\n", "\\\r", "\x00", "\r", "\n", "\u2028", "\ufeff"),
    *("Français,|", "日本", "\U0001f600", "\x1b[31m"),
]
BYTES = [b"\xff", b"\xed\xa0\x80", b"\xc3", b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b"\t" * 40, b"\n", b"\\\n" * 20]


def table(random: Random) -> bytes:
    """A validated.tsv, of any release or of none, with cells that may be anything."""
    header = random.choice([NEW, OLD, "client_id path sentence locale"]).split()
    for _ in range(random.choice([0, 0, 0, 1, 3])):
        header.insert(random.randrange(len(header) + 1), random.choice([*header, "", "new"]))
    lines = [header]
    for number in range(random.randrange(12)):
        row = {"client_id": f"s{number % 3}", "path": f"{random.choice('abcdefgh')}.mp3", "locale": "fr"}
        cells = [random.choice(CELLS) if random.random() < 0.2 else row.get(name, "") for name in header]
        lines.append(cells + [random.choice(CELLS)] * random.choice([0, 0, 0, 0, 1]))
    data = "\n".join("\t".join(line) for line in lines).encode() + random.choice([b"", b"\n", b"\r\n"])
    if random.random() < 0.5:
        for _ in range(random.randint(1, 3)):
            first = random.randrange(len(data) + 1)
            data = data[:first] + random.choice(BYTES) + data[first + random.randrange(4) :]
        data = damage(data, random) if random.random() < 0.3 else data
    return data


GOOD = [
    Source(
        locale,
        read_tsv(io.StringIO(f"client_id\tpath\tsentence\taccents\n1\t{locale}.mp3\t\t{accent}"), "", locale)[0],
        pd.DataFrame([(f"{locale}.mp3", os.devnull, 0, 0)], columns=FILE_COLUMNS),
    )
    for locale, accent in (("fr", ""), ("en", "united_kingdom"))
]
NAMES = [
    *(
        "cv/fr/clips/../../x.mp3",
        "/tmp/accent-fuzz.mp3",
        "../accent-fuzz.mp3",
        "cv/fr/clips/a\nb.mp3",
        "cv/fr/clips/\x1b.mp3",
    ),
    *(
        "cv/en/validated.tsv",
        "cv/fr/validated.tsv",
        "./cv/fr/clips/a.mp3",
        "cv/fr/clips/",
        "cv/fr/" + "d/" * 150 + "e",
        "",
    ),
    *("cv/\udcff/validated.tsv", "cv/fr/clips/\udce9.mp3", "fr/validated.tsv", "cv/fr/clips/" + "n" * 300 + ".mp3"),
]
SIZES = [-1, -512, -(2**40), 1, 511, 10**12, 2**33, 2**63, 2**80, 17 * 2**20]
TYPES = [bytes([kind]) for kind in b"0123456789\0SLKxgXDMVNAZ"]
RECORDS = [
    *(b"path=cv/fr/clips/a.mp3", b"path=../x", b"path=\xff\0", b"size=-1", b"size=99", b"size=" + b"9" * 50, b"size=x"),
    *(
        b"GNU.sparse.map=0,1",
        b"GNU.sparse.major=1",
        b"GNU.sparse.size=x",
        b"mtime=nan",
        b"hdrcharset=BINARY",
        b"a" * 999,
    ),
]


def header(name: str, size: int, kind: bytes, random: Random) -> bytes:
    """A header as tar writes it, perhaps with changed bytes, most often under a checksum that fits them."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, "/etc/passwd"
    plain = 0 <= size < 2**33 and len(name) < 100
    blocks = bytearray(info.tobuf(random.randrange(3) if plain else tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
    if random.random() < 0.1:
        for _ in range(random.randint(1, 4)):
            blocks[random.randrange(len(blocks))] = random.choice(
                [0, 0x2F, 0x30, 0x37, 0x80, 0xFF, random.randrange(256)]
            )
        if random.random() < 0.8:
            last = blocks[-512:]
            last[148:156] = b" " * 8
            blocks[-364:-357] = b"%06o\0" % sum(last)
    return bytes(blocks)


def extended(random: Random) -> bytes:
    """A pax or GNU header, whose content may be anything."""
    kind = random.choice([b"x", b"x", b"g", b"X", b"L", b"K"])
    content = b""
    for record in random.choices(RECORDS, k=random.randint(1, 3)):
        length = len(record) + 2 + len(str(len(record) + 4)) + random.choice([0, 0, 0, 1, -5])
        content += b"%d %s\n" % (length, record)
    size = random.choice([len(content)] * 8 + SIZES)
    return header("././@LongLink", size, kind, random) + content + bytes(-len(content) % 512)


def archive(random: Random) -> bytes:
    """A small release as a tar, plain or by gzip, with whatever can be wrong with its members or its bytes."""
    members = [("cv/fr/validated.tsv", table(random))]
    members += [(f"cv/fr/clips/{name}.mp3", random.randbytes(random.randrange(600))) for name in "abcdef"]
    random.shuffle(members)
    oddity = random.choice([0, 0.02, 0.1, 0.3])
    data = b""
    for name, content in members:
        for _ in range(random.choice([1, 1, 2, 12]) if random.random() < oddity else 0):
            data += extended(random)
        name = random.choice(NAMES) if random.random() < oddity else name
        size = random.choice(SIZES) if random.random() < oddity / 2 else len(content)
        kind = random.choice(TYPES) if random.random() < oddity else tarfile.REGTYPE
        data += header(name, size, kind, random) + content + bytes(-len(content) % 512)
    data += bytes(random.choice([1024, 1024, 1024, 10240, 512, 0]))
    data = damage(data, random) if random.random() < 0.1 else data
    if random.random() < 0.5:
        data = gzip.compress(data, 1)
        data = damage(data, random) if random.random() < 0.2 else data
    return data


def ingest(sources: list[Source], folder: Path) -> None:
    """What the stage does with sources, beside a class of each kind that is sound."""
    rows, rejects, passed_over = select_clips([*sources, *GOOD], INGEST, {}, {"a": "bad"})
    write_clips_part(rows, folder / "part-00000.parquet")
    write_rejects(folder, rejects + passed_over)
    with open(folder / "rejects.csv", newline="", encoding="utf-8") as file:
        assert all(len(row) == 2 for row in csv.reader(file))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """An empty folder, which has to stay without a stranger, as the folder that it is in."""
    folder = tmp_path_factory.mktemp("fuzz") / "in" / "here"
    folder.mkdir(parents=True)
    yield folder
    names = sorted(str(path.relative_to(folder.parents[1])) for path in folder.parents[1].rglob("*"))
    ours = {"cv.tar", "cv.tar.gz", "spool", "part-00000.parquet", "rejects.csv"}
    assert set(names) <= {"in", "in/here", *(f"in/here/{name}" for name in ours)}
    assert not Path("/tmp/accent-fuzz.mp3").exists()


@fuzz(INPUTS)
def test_a_damaged_table_is_read_or_refused(place, seed):
    data = table(Random(seed))
    with in_time(), suppress(InputError):
        text = open_table(io.BytesIO(data), len(data), "validated.tsv")
        rows, rejects = read_tsv(text, "validated.tsv", "fr")
        if seed % SELECT == 0:
            files = pd.DataFrame([(f"{name}.mp3", os.devnull, 0, 0) for name in "abcd"], columns=FILE_COLUMNS)
            ingest([Source("fuzzed", rows, files, rejects)], place)


@fuzz(INPUTS)
def test_a_damaged_archive_is_read_or_refused(place, seed):
    data = archive(Random(seed))
    path = place / ("cv.tar.gz" if data[:2] == b"\x1f\x8b" else "cv.tar")
    path.write_bytes(data)
    spool = place / "spool"
    with in_time(), suppress(InputError):
        sources = read_archive(path, list(CLASSES.values()), spool)
        assert spool.stat().st_size <= 20 * len(data)
        if seed % SELECT == 0:
            ingest(sources, place)
