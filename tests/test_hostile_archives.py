"""Archives and folders made to do harm: refused or rejected with a reason, and nothing written but the spool."""

import gzip
import os
import shutil
import tarfile
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from accent.core.errors import InputError, printable
from accent.core.parts import write_rejects
from accent.corpus import archive as archive_module
from accent.corpus import common_voice
from accent.corpus.common_voice import ClassFilter, Source, read_releases
from accent.corpus.selection import IngestParams, select_clips, write_clips_part
from tests.helpers import read_rejects, write_locale

FRENCH = ClassFilter(locale="fr")
TSV = "cv/fr/validated.tsv"
HEADER = b"client_id\tpath\tsentence\n"
TABLE = HEADER + b"s\ta.mp3\tOui.\ns\tb.mp3\tNon.\n"
END = bytes(1024)


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, size: int | None = None, **more) -> bytes:
    """A member as its blocks; `size` is what its header claims."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(content) if size is None else size, more.get("link", "")
    head = info.tobuf(more.get("format", tarfile.GNU_FORMAT), "utf-8", "surrogateescape")
    return head + content + bytes(-len(content) % 512)


def pax(*records: bytes) -> bytes:
    """A pax header of records `keyword=value`."""
    content = b""
    for record in records:
        length = len(record) + 3
        while len(b"%d %s\n" % (length, record)) != length:
            length += 1
        content += b"%d %s\n" % (length, record)
    return member("././@PaxHeader", content, tarfile.XHDTYPE)


SOUND = member(TSV, TABLE) + member("cv/fr/clips/a.mp3", b"A") + member("cv/fr/clips/b.mp3", b"B")


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class Ingest:
    """The stage's reading of a folder of releases, its memory, time and what it leaves in the folder around."""

    def __init__(self, folder: Path):
        self.folder, self.raw, self.out = folder, folder / "in" / "raw", folder / "out"
        self.raw.mkdir(parents=True)
        self.out.mkdir()

    def __call__(self, *blocks: bytes, name: str = "cv.tar") -> tuple[dict[str, bytes], dict[str, str]]:
        """The recordings by clip and the rejects of an archive of those blocks, or of what is in the folder."""
        if blocks:
            data = b"".join(blocks)
            (self.raw / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
        shutil.rmtree(self.out / "spool", ignore_errors=True)
        before = listing(self.folder)
        tracemalloc.start()
        began = time.monotonic()
        try:
            sources = read_releases(self.raw, [FRENCH], self.out / "spool")
            return self.select(sources)
        finally:
            self.seconds, self.peak = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            ours = {"out/spool", "out/spool/00000", "out/part.parquet", "out/rejects.csv"}
            assert set(listing(self.folder)) - set(before) <= ours

    def select(self, sources: list[Source]) -> tuple[dict[str, bytes], dict[str, str]]:
        params = IngestParams(
            releases=self.raw,
            classes={"french": FRENCH},
            max_clips_per_class=0,
            max_clips_per_speaker=0,
            seed=0,
            clips_per_part=256,
            max_reject_fraction=0.99,
        )
        rows, rejects, passed_over = select_clips(sources, params, {}, {})
        write_clips_part(rows, self.out / "part.parquet")
        write_rejects(self.out, rejects + passed_over)
        table = common_voice.pd.read_parquet(self.out / "part.parquet")
        return dict(zip(table["clip_id"], table["audio"], strict=True)), read_rejects(self.out)

    def refused(self, *blocks: bytes, name: str = "cv.tar") -> str:
        """The one line with which an archive is refused."""
        with pytest.raises(InputError) as error:
            self(*blocks, name=name)
        line = printable(str(error.value))
        assert str(self.raw) in line
        assert len(line) < 1000
        return line


@pytest.fixture
def ingest(tmp_path) -> Ingest:
    return Ingest(tmp_path)


def test_what_is_no_file_or_leads_out_is_rejected_and_the_rest_read(ingest):
    kinds = {"soft": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE}
    kinds |= {"fifo": tarfile.FIFOTYPE, "unknown": b"?"}
    harm = [member(f"cv/fr/clips/{name}", b"", kind, link="/etc/passwd") for name, kind in kinds.items()]
    harm += [
        member(name, b"evil") for name in ("../../up.mp3", "/tmp/accent-hostile.mp3", "cv/fr/clips/../../../up.mp3")
    ]
    harm += [member("././@LongLink", b"../long.mp3\0", tarfile.GNUTYPE_LONGNAME) + member("cv/fr/clips/a.mp3", b"evil")]
    harm += [pax(b"path=../pax.mp3") + member("cv/fr/clips/a.mp3", b"evil")]
    clips, rejects = ingest(*harm, SOUND, END)
    assert clips == {"a": b"A", "b": b"B"}
    unsafe = {name: reason.removeprefix("unsafe archive member: ") for name, reason in rejects.items()}
    assert unsafe.pop("cv/fr/clips/soft") == unsafe.pop("cv/fr/clips/hard") == "a link"
    for name in ("char", "block", "fifo", "unknown"):
        assert unsafe.pop(f"cv/fr/clips/{name}") == "neither a file nor a folder"
    assert set(unsafe.values()) == {"its name leads out of the archive"}
    assert sorted(unsafe) == sorted(
        ["../../up.mp3", "/tmp/accent-hostile.mp3", "cv/fr/clips/../../../up.mp3", "../long.mp3", "../pax.mp3"]
    )
    assert not Path("/tmp/accent-hostile.mp3").exists()


def test_names_with_newlines_nuls_and_bytes_that_are_no_text_are_rejected(ingest):
    names = [
        "new\nline.mp3",
        "return\r.mp3",
        "esc\x1b[2J.mp3",
        "latin\udce9.mp3",
        "cesu\udced\udca0\udc80.mp3",
        "\u2028.mp3",
    ]
    harm = [member(f"cv/fr/clips/{name}", b"evil") for name in names]
    harm += [pax(b"path=cv/fr/clips/nul\0.mp3") + member("x", b"evil"), member("cv\udce9/fr/validated.tsv", TABLE)]
    # In the header itself a NUL ends the name.
    clips, rejects = ingest(*harm, SOUND, member("cv/fr/clips/c.mp3\0.mp3", b"C"), END)
    assert clips == {"a": b"A", "b": b"B"}
    assert rejects.pop("c.mp3").startswith("no row")
    assert len(rejects) == len(harm)
    assert {reason.split(": ")[1] for reason in rejects.values()} == {common_voice.BAD_NAME}
    assert {"cv/fr/clips/new\\nline.mp3", "cv/fr/clips/latin\\udce9.mp3", "cv/fr/clips/nul\\x00.mp3"} <= set(rejects)


def test_the_first_of_a_name_counts_and_the_others_are_rejected(ingest):
    again = member("cv/fr/clips/a.mp3", b"other") + member(TSV, HEADER + b"s\tc.mp3\tOui.\n")
    clips, rejects = ingest(SOUND, again, END)
    assert clips == {"a": b"A", "b": b"B"}
    assert rejects == {
        "a.mp3": "repeated: a second clip of that name in one archive",
        TSV: "repeated: a second table of the same name in one archive",
    }


@pytest.mark.parametrize("name", ["cv.tar", "cv.tar.gz"])
@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        (member("cv/fr/clips/a.mp3", size=10**12), "it ends in the middle of a member"),
        (member("cv/fr/README", size=2**50), "it ends in the middle of a member"),  # ext4 seeks up to 2**44
        (member("cv/fr/clips/a.mp3", size=2**50 + 1), "a member of 1,125,899,906,842,625 bytes"),
        (member(TSV, size=10**12), "bytes of tables, at most 2,147,483,648"),
        (pax(b"size=1000000000000") + member(TSV), "bytes of tables, at most 2,147,483,648"),
        (pax(b"size=-1") + member(TSV), "a size that is no number"),
        (pax(b"size=" + b"9" * 5000) + member(TSV), "a size that is no number"),
        (member("cv/fr/clips/a.mp3", size=-512), "a member of -512 bytes"),  # tarfile goes round in circles
        (member("x", b"", tarfile.GNUTYPE_LONGNAME, size=2**30), "an extended header of 1,073,741,824 bytes"),
        (member("x", b"", tarfile.XHDTYPE, size=2**30), "an extended header of 1,073,741,824 bytes"),
        (member("x", b"long", tarfile.GNUTYPE_LONGNAME) * 2000, "over 8 extended headers of one member"),
        (pax(b"a=b") * 2000, "over 8 extended headers of one member"),
        (member("x", b"9" * 60000, tarfile.XHDTYPE), "a damaged extended header"),
        (member("x", b"0 a=b\n", tarfile.XHDTYPE), "a damaged extended header"),
        (member("cv/fr/clips/a.mp3", b"", tarfile.GNUTYPE_SPARSE), "a sparse member"),
        (
            pax(b"GNU.sparse.major=1", b"GNU.sparse.minor=0") + member("cv/fr/clips/a.mp3", b"9" * 512),
            "a sparse member",
        ),
        (member("cv/fr/clips/a.mp3", b"A")[:-600] + b"damage" + bytes(600), "checksum"),
    ],
)
def test_what_no_tar_has_is_refused_in_little_time_and_memory(ingest, name, blocks, reason):
    assert reason in ingest.refused(blocks, SOUND, END, name=name)
    assert ingest.seconds < 5
    assert ingest.peak < 20 * 2**20


def write_bomb(path: Path, head: bytes, block: bytes, times: int) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(times):
            file.write(block)


def bombs() -> Iterable[tuple[str, bytes, bytes]]:
    """Kinds of a bomb: what stands first in it, and what is repeated."""
    yield "a clip of zeros", member("cv/fr/clips/a.mp3", size=2**40), bytes(2**20)
    yield "a file of another name", member("cv/fr/README", size=2**40), bytes(2**20)
    yield "clips of zeros", b"", member("cv/fr/clips/a.mp3", bytes(2**20))
    yield "headers", b"", member("cv/fr/clips/a.mp3") * 2048
    yield "after the end", SOUND + END, bytes(2**20)


@pytest.mark.parametrize(("head", "block"), [bomb[1:] for bomb in bombs()], ids=[bomb[0] for bomb in bombs()])
def test_a_decompression_bomb_is_refused_before_it_goes_off(ingest, monkeypatch, head, block):
    monkeypatch.setattr(archive_module, "FREE_BYTES", 2**20)
    write_bomb(ingest.raw / "cv.tar.gz", head, block, 50)
    line = ingest.refused()
    assert "bytes of it expand to over" in line
    assert "more than 20 times as many" in line
    assert (ingest.out / "spool" / "00000").stat().st_size < 8 * 2**20
    assert ingest.peak < 20 * 2**20


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (HEADER + b"s\ta.mp3\t" + b"x" * 2**23, "after line 1: a row of over 16,384 characters"),
        (b"x" * 2**23, "after line 0: a row of over 16,384 characters"),
        (HEADER + b"s\ta.mp3\t" + b"\t\t\t\\\n" * 2**20, "a row of over 16,384 characters"),
        (HEADER[:-1] + b"\tx" * 200 + b"\n", "203 columns, at most 100"),
        (b"path\t" + HEADER, "more than one column path"),
        (HEADER + b"x\n" * 200, "over 100 rejected (101 malformed row)"),
        (HEADER + b"s\ta.mp3\t\n" * 200, "over 100 rows"),
        (b"\xff\xfe" + "".join(map(chr, HEADER)).encode("utf-16-le"), "no column client_id, path, sentence"),
    ],
)
def test_a_table_that_is_none_is_refused_in_little_memory(ingest, monkeypatch, table, reason):
    for name, value in (("MAX_REJECTS", 100), ("ROWS_AT_ONCE", 10), ("MAX_MEMBERS", 100)):
        monkeypatch.setattr(common_voice, name, value)
    assert reason in ingest.refused(member(TSV, table), SOUND, END)
    assert ingest.peak < 2 * len(table) + 20 * 2**20  # the archive itself is made in memory here
    write_locale(ingest.raw / "fr", "x", [], {})
    (ingest.raw / "cv.tar").unlink()
    (ingest.raw / "fr" / "validated.tsv").write_bytes(table)
    assert reason in ingest.refused()


def test_more_members_locales_or_rejects_than_a_release_has_are_refused(ingest, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 50)
    monkeypatch.setattr(common_voice, "MAX_LOCALES", 5)
    monkeypatch.setattr(common_voice, "MAX_REJECTS", 20)
    many = b"".join(member(f"cv/fr/clips/{number}.mp3") for number in range(60))
    assert "over 50 members" in ingest.refused(many, SOUND, END)
    many = b"".join(member(f"cv/{number}/clips/a.mp3") for number in range(10))
    assert "6 locales" in ingest.refused(many, SOUND, END)
    links = b"".join(member(f"cv/fr/clips/{number}.mp3", kind=tarfile.SYMTYPE) for number in range(30))
    assert "over 20 rejected (21 unsafe archive member)" in ingest.refused(links, SOUND, END)
    again = b"".join(member("cv/fr/clips/a.mp3") for _ in range(30))
    assert "over 20 rejected (30 repeated)" in ingest.refused(SOUND, again, END)


def test_invalid_text_and_numbers_in_a_table_are_read_or_rejected(ingest):
    rows = [
        b"s\ta.mp3\tcaf\xe9 \xed\xa0\x80\t9" + b"9" * 400,
        b"s\tb.mp3\tOui.\\\nNon.\x00\t1e400",
        b"s\tnew\\\nline.mp3\t\t1",
        b"esc\x1b\tc.mp3\t\t1",
        b"s\t../../../etc/passwd\t\t1",
    ]
    table = HEADER[:-1] + b"\tup_votes\n" + b"\n".join(rows)
    clips, rejects = ingest(member(TSV, table), SOUND[-2048:], END)
    assert clips == {"b": b"B"}
    assert rejects.pop("a.mp3").startswith("no row")
    assert sorted(rejects.values()) == [
        "malformed row: a control character in its client_id or path",
        "malformed row: a control character in its client_id or path",
        "malformed row: not UTF-8",
        "missing: no such file in clips/",
    ]
    votes = common_voice.pd.read_parquet(ingest.out / "part.parquet")["up_votes"]
    assert list(votes) == [common_voice.MAX_VOTES]


def test_a_folder_gives_nothing_but_its_own_files(ingest):
    folder = write_locale(ingest.raw / "fr", "client_id path sentence", [], {"a.mp3": b"A", "b.mp3": b"B"})
    clips = folder / "clips"
    rows = "".join(
        f"s\t{name}\t\n" for name in ("a.mp3", "b.mp3", "out.mp3", "fifo.mp3", "loop.mp3", "in.mp3", "../x.mp3")
    )
    (folder / "validated.tsv").write_bytes(HEADER + rows.encode())
    (ingest.folder / "secret").write_bytes(b"secret")
    (folder / "x.mp3").write_bytes(b"secret")
    (clips / "out.mp3").symlink_to(ingest.folder / "secret")
    (clips / "loop.mp3").symlink_to("loop.mp3")
    (clips / "in.mp3").symlink_to("a.mp3")
    os.mkfifo(clips / "fifo.mp3")
    Path(os.fsdecode(os.fsencode(clips) + b"/latin\xe9.mp3")).write_bytes(b"evil")
    (clips / "new\nline.mp3").write_bytes(b"evil")
    recordings, rejects = ingest()
    assert recordings == {"a": b"A", "b": b"B", "in": b"A"}
    assert rejects["out.mp3"] == "unsafe file: a link that leads out of clips/"
    assert rejects["fifo.mp3"] == "unsafe file: neither a file nor a folder"
    assert rejects["loop.mp3"] == "unsafe file: a link to nothing"
    assert rejects["latin\\udce9.mp3"] == rejects["new\\nline.mp3"] == f"unsafe file: {common_voice.BAD_NAME}"
    assert rejects["out"] == rejects["../x"] == "missing: no such file in clips/"


@pytest.mark.parametrize("name", ["fr/validated.tsv", "cv.tar.gz"])
def test_a_table_or_archive_that_is_a_pipe_is_refused_and_not_waited_for(ingest, name):
    (ingest.raw / "fr" / "clips").mkdir(parents=True)
    os.mkfifo(ingest.raw / name)
    assert f"{name}: not a file" in ingest.refused()


def test_a_folder_whose_name_is_no_text_is_refused(ingest):
    write_locale(Path(os.fsdecode(os.fsencode(ingest.raw) + b"/fran\xe7ais")), "client_id path sentence", [], {})
    assert "fran\\udce7ais" in ingest.refused()
