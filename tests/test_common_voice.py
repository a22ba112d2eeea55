import io
import shutil
import tarfile
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from accent.core.errors import InputError
from accent.corpus.common_voice import COLUMNS, ClassFilter, assign_classes, read_releases, read_tsv
from tests.helpers import EXCLUSIONS, NEW, OLD, read_rejects, set_params, stage, write_locale, write_release

CLASSES = [ClassFilter(locale="fr"), ClassFilter(locale="en")]


def read(text: str) -> tuple[pd.DataFrame, list]:
    return read_tsv(io.StringIO(text, newline=""), "validated.tsv", "fr")


def pack(release: Path, archive: Path, tsv_first: bool = False) -> Path:
    """Pack a release as the distributor does: cv-corpus-.../LOCALE/..., its clips before or after its TSVs."""
    files = sorted(path for path in release.rglob("*") if path.is_file())
    files.sort(key=lambda path: (path.suffix == ".tsv") != tsv_first)
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as tar:
        for path in files:
            tar.add(path, f"cv-corpus-99.0-2026-01-01/{path.relative_to(release)}")
    return archive


@pytest.mark.parametrize("header", [NEW, OLD, "client_id path sentence up_votes down_votes age gender accents accents"])
def test_old_and_new_columns_become_the_same(header):
    values = {"client_id": "a", "path": "x.mp3", "sentence": "Oui.", "up_votes": "3", "down_votes": "1"}
    values |= {"accent": "france", "accents": "france"}
    table, rejects = read("\t".join(header.split()) + "\n" + "\t".join(values.get(n, "") for n in header.split()))
    assert not rejects
    assert tuple(table.columns) == COLUMNS
    row = table.iloc[0]
    assert (row["accents"], row["up_votes"], row["down_votes"], row["locale"]) == ("france", 3, 1, "fr")


def test_a_column_that_stands_twice_gives_its_first_value():
    table, _ = read("client_id\tpath\tsentence\taccents\taccents\na\tx.mp3\ts\t\tcanada\nb\ty.mp3\ts\tfrance\tcanada\n")
    assert list(table["accents"]) == ["canada", "france"]


def test_quotes_tabs_and_other_alphabets_in_sentences():
    sentences = ['Il a dit : "non', "l\u2019été à Œuilly", 'a "b" c', "日本語", "NA", "null", "a\tb"]
    lines = [f"s{n}\tc{n}.mp3\t{text.replace(chr(9), chr(92) + chr(9))}" for n, text in enumerate(sentences)]
    table, rejects = read("client_id\tpath\tsentence\n" + "\n".join(lines) + "\n")
    assert list(table["sentence"]) == sentences
    assert not rejects


def test_malformed_rows_are_rejects_and_the_rest_is_read():
    table, rejects = read(
        "client_id\tpath\tsentence\na\tx.mp3\ts\nb\ty.mp3\nc\tz.mp3\ts\tone too many\n\nd\tw.mp3\ts\r\n"
    )
    assert list(table["path"]) == ["x.mp3", "w.mp3"]
    assert [where for where, _ in rejects] == ["validated.tsv line 3", "validated.tsv line 4"]
    assert rejects[0][1] == "malformed row: 2 fields where the header has 3"


def test_a_tsv_without_a_needed_column_names_it():
    with pytest.raises(InputError, match=r"no column client_id, sentence \(found: path, foo\)"):
        read("path\tfoo\nx.mp3\t1\n")
    with pytest.raises(InputError, match="an empty file"):
        read("")


def test_a_line_without_end_is_refused():
    with pytest.raises(InputError, match="after line 1: a row of over 16,384 characters"):
        read("client_id\tpath\tsentence\na\tb\t" + "x" * 200_000)


def test_names_without_ending_get_it():
    table, _ = read("client_id\tpath\tsentence\na\tabc\ts\n")
    assert list(table["path"]) == ["abc.mp3"]


def rows(**columns: list) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    defaults = {name: [""] * count for name in COLUMNS} | {"up_votes": [2] * count, "down_votes": [0] * count}
    return pd.DataFrame(defaults | {"locale": ["fr"] * count} | columns)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"accents": ("united_kingdom", "Français du Royaume-Uni")}, [1, 2, 3]),
        ({"accents": "India and South Asia (India, Pakistan, Sri Lanka)"}, [4]),
        ({"accents": "southern african (South Africa, Zimbabwe, Namibia)"}, [6]),
        ({"accents": "New Zealand English"}, [6]),
        ({"accents": "Slavic, mostly"}, [7]),
        ({"accents": ["slavic", "Français de Paris"]}, [7]),
        ({"gender": "male"}, [0, 1]),
        ({"gender": ["female"]}, [2]),
        ({"age": "twenties"}, [5]),
        ({"variant": "fr-x"}, [5]),
        ({"min_up_votes": 3}, [5]),
        ({"max_down_votes": 0}, [0, 1, 2, 3, 4, 6, 7]),
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_filters(wanted, expected):
    table = rows(
        accents=[
            "france",
            "united_kingdom",
            "Français de France,Français du Royaume-Uni",
            "Français du Royaume-Uni|autre",
            "India and South Asia (India, Pakistan, Sri Lanka)",
            "",
            "Southern African (South Africa, Zimbabwe, Namibia),New Zealand English",
            "Slavic, mostly | Filipino",
        ],
        gender=["male", "male_masculine", "female_feminine", "other", "", "", "", ""],
        age=["", "", "", "", "", "twenties", "", ""],
        variant=["", "", "", "", "", "fr-x", "", ""],
        up_votes=[2, 2, 2, 2, 2, 3, 2, 2],
        down_votes=[0, 0, 0, 0, 0, 1, 0, 0],
    )
    labels = assign_classes(table, {"wanted": ClassFilter(locale="fr", **wanted)}, "ingest.classes")
    assert list(labels.index[labels == "wanted"]) == expected


@pytest.mark.parametrize("part", ["Zimbabwe", "South Africa", "African", "Namibia)", "Southern African"])
def test_a_part_of_an_accent_s_name_is_not_that_accent(part):
    table = rows(accents=["Southern African (South Africa, Zimbabwe, Namibia)", "", "Zulu"])
    with pytest.raises(InputError, match=r"no clip with accents .* Values that occur: "):
        assign_classes(table, {"wanted": ClassFilter(locale="fr", accents=part)}, "ingest.classes")


def test_a_class_without_clips_names_the_values_that_occur():
    table = rows(accents=["france", "canada", "france"])
    with pytest.raises(InputError) as error:
        assign_classes(table, {"belgian": ClassFilter(locale="fr", accents="belgium")}, "ingest.classes")
    assert "ingest.classes.belgian: no clip with accents ('belgium',)" in str(error.value)
    assert "Values that occur: france (2), canada (1)" in str(error.value)
    with pytest.raises(InputError, match=r"no clip with locale 'de'. Values that occur: fr \(3\)"):
        assign_classes(table, {"german": ClassFilter(locale="de")}, "ingest.classes")
    with pytest.raises(InputError, match=r"no clip with up_votes 9. Values that occur: 2 \(3\)"):
        assign_classes(table, {"praised": ClassFilter(locale="fr", min_up_votes=9)}, "ingest.classes")


@pytest.mark.parametrize("depth", ["", "cv-corpus-27.0-2026-06-12", "fr-only"])
def test_releases_are_found_as_locale_folder_release_or_folder_of_releases(tmp_path, depth):
    if depth == "fr-only":
        root = write_release(tmp_path / "raw") / "fr"
        classes = [ClassFilter(locale="fr")]
    else:
        root, classes = tmp_path / "raw", CLASSES
        write_release(root / depth)
    sources = read_releases(root, classes, tmp_path / "spool")
    assert sum(len(source.rows) for source in sources) == 8 * len(classes)


def ingest(workdir: Path, releases: Path, name: str = "clips", ok: bool = True):
    return stage("ingest", releases, EXCLUSIONS, workdir / name, cwd=workdir, ok=ok)


@pytest.mark.parametrize("ending", [".tar.gz", ".tar"])
@pytest.mark.parametrize("tsv_first", [True, False])
def test_an_archive_gives_the_same_bytes_as_its_folder(workdir, tsv_first, ending):
    release = write_release(workdir / "release")
    ingest(workdir, release, "from_folder")
    archives = workdir / "archives"
    archives.mkdir()
    pack(release, archives / f"cv-corpus-99.0-2026-01-01{ending}", tsv_first)
    ingest(workdir, archives, "from_archive")
    assert sorted(path.name for path in (workdir / "from_archive").iterdir()) == ["part-00000.parquet", "rejects.csv"]
    for name in ("part-00000.parquet", "rejects.csv"):
        assert (workdir / "from_archive" / name).read_bytes() == (workdir / "from_folder" / name).read_bytes()
    table = pq.read_table(workdir / "from_archive" / "part-00000.parquet").to_pandas()
    name, audio = table.loc[0, ["path", "audio"]]
    assert audio == (release / "en" / "clips" / name).read_bytes()


def test_an_archive_that_was_cut_off_is_refused_and_leaves_nothing(workdir):
    release = write_release(workdir / "release")
    whole = pack(release, workdir / "whole.tar.gz").read_bytes()
    plain = pack(release, workdir / "whole.tar").read_bytes()
    for number, (ending, data) in enumerate(
        [
            (".tar.gz", whole[: len(whole) // 2]),
            (".tar.gz", whole[:-4]),
            (".tar", plain[: len(plain) // 2 // 512 * 512]),
        ]
    ):
        folder = workdir / f"raw{number}"
        folder.mkdir()
        (folder / f"cv{ending}").write_bytes(data)
        done = ingest(workdir, folder, ok=False)
        assert f"cv{ending}: cut off or damaged" in done.stderr.splitlines()[-1]
        assert not (workdir / "clips").exists()
        assert not list(workdir.glob(".*partial"))


def test_members_that_could_do_harm_are_rejected_and_write_nothing(workdir):
    release = write_release(workdir / "release")
    archives = workdir / "in" / "raw"
    archives.mkdir(parents=True)
    with open(release / "fr" / "validated.tsv", "a") as file:
        file.write("\t".join(["x", "huge.mp3", *[""] * 9, "fr", ""]) + "\n")
    archive = pack(release, archives / "cv.tar")
    with tarfile.open(archive, "a") as tar:
        for name in ("../../escaped.mp3", "/tmp/accent-absolute.mp3", "cv/fr/clips/../../../up.mp3"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"evil"))
        for name, kind in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("dev", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(f"cv/fr/clips/{name}.mp3")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        member = tarfile.TarInfo("cv-corpus-99.0-2026-01-01/fr/clips/huge.mp3")
        member.size = 17 * 2**20
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    before = sorted(path for path in workdir.rglob("*") if "clips" not in path.parts)
    set_params(workdir, {"ingest": {"max_reject_fraction": 0.5}})
    ingest(workdir, archives)
    rejects = read_rejects(workdir / "clips")
    unsafe = {name: reason for name, reason in rejects.items() if reason.startswith("unsafe archive member")}
    assert len(unsafe) == 6
    assert unsafe["cv/fr/clips/soft.mp3"].endswith("a link")
    assert unsafe["cv/fr/clips/dev.mp3"].endswith("neither a file nor a folder")
    assert unsafe["../../escaped.mp3"].endswith("its name leads out of the archive")
    assert rejects["huge"] == "too large: over 16,777,216 bytes"
    assert not Path("/tmp/accent-absolute.mp3").exists()
    assert sorted(path for path in workdir.rglob("*") if "clips" not in path.parts) == before


def test_no_release_no_tsv_no_clips_each_say_so(workdir):
    assert "raw: no such folder. Set ingest.releases" in ingest(workdir, Path("raw"), ok=False).stderr
    (workdir / "raw" / "fr").mkdir(parents=True)
    assert "raw: no validated.tsv and no cv-corpus-*.tar.gz here" in ingest(workdir, Path("raw"), ok=False).stderr
    (workdir / "raw" / "fr" / "validated.tsv").write_text("client_id\tpath\tsentence\n")
    assert "raw/fr: validated.tsv but no clips/ folder" in ingest(workdir, Path("raw"), ok=False).stderr


def test_missing_duplicate_ambiguous_and_unnamed_clips_are_counted_and_listed(workdir):
    release = write_release(workdir / "raw" / "first")
    (release / "fr" / "clips" / "common_voice_fr_000.mp3").unlink()
    (release / "fr" / "clips" / "stranger.mp3").write_bytes(b"x")
    rows = [{"client_id": "again", "path": "common_voice_fr_001.mp3", "sentence": "again", "locale": "fr"}]
    her = {"client_id": "her", "sentence": "f", "gender": "female_feminine", "locale": "fr"}
    rows += [her | {"path": "f.mp3"}, her | {"path": "g.mp3", "down_votes": 1}]
    clips = {row["path"]: b"other bytes" for row in rows}
    write_locale(workdir / "raw" / "second" / "fr", NEW, rows, clips)
    women = {"locale": "fr", "gender": "female"}
    classes = {"french": {"locale": "fr", "max_down_votes": 0}, "english": {"locale": "en"}, "women": women}
    set_params(workdir, {"ingest": {"classes": classes, "max_reject_fraction": 0.5}})
    done = ingest(workdir, workdir / "raw")
    rejects = read_rejects(workdir / "clips")
    assert rejects == {
        "common_voice_fr_000": "missing: no such file in clips/",
        "common_voice_fr_001": "duplicate: named before",
        "f": "in two classes: french and women",
        "stranger.mp3": f"no row: validated.tsv of {release / 'fr'} does not name it",
    }
    assert "2 rejected (1 in two classes, 1 missing); 2 passed over (1 no row, 1 duplicate)" in done.stdout
    table = pq.read_table(workdir / "clips" / "part-00000.parquet").to_pandas()
    assert list(table["clip_id"]) == sorted(table["clip_id"])
    assert table.set_index("clip_id").loc["common_voice_fr_001", "client_id"] == "fr-0"  # the first release's


@pytest.mark.slow
def test_a_release_and_its_successor_are_one_corpus(workdir):
    """Releases are cumulative: nearly all of the older one stands in the newer one again."""
    release = write_release(workdir / "raw" / "cv-corpus-1", speakers=3)
    shutil.copytree(release, workdir / "raw" / "cv-corpus-2")
    ingest(workdir, release, "first")
    done = ingest(workdir, workdir / "raw", "both")
    assert "0 rejected (-); 12 passed over (12 duplicate)" in done.stdout
    name = "part-00000.parquet"
    assert (workdir / "both" / name).read_bytes() == (workdir / "first" / name).read_bytes()


def test_the_limit_of_rejects_is_a_share_of_what_clips_are_drawn_from(workdir):
    release = write_release(workdir / "raw", speakers=10)
    (release / "fr" / "clips" / "common_voice_fr_000.mp3").unlink()
    set_params(workdir, {"ingest": {"max_clips_per_class": 2, "max_reject_fraction": 0.05}})
    assert "4 clips (2 french, 2 english); 1 rejected" in ingest(workdir, release).stdout


def test_a_class_that_lost_all_its_clips_is_an_error(workdir):
    release = write_release(workdir / "raw")
    for path in (release / "fr" / "clips").iterdir():
        path.unlink()
    set_params(workdir, {"ingest": {"max_reject_fraction": 1}})
    done = ingest(workdir, release, ok=False)
    assert "french: no clip of this class is left (of all: 8 missing)" in done.stderr


def test_clips_before_the_table_in_a_folder_of_another_name_keep_their_own_audio(workdir):
    release = write_release(workdir / "release")
    (release / "fr").rename(release / "francais")
    ingest(workdir, release, "from_folder")
    (workdir / "raw").mkdir()
    pack(release, workdir / "raw" / "cv.tar.gz", tsv_first=False)
    ingest(workdir, workdir / "raw", "from_archive")
    name = "part-00000.parquet"
    assert (workdir / "from_archive" / name).read_bytes() == (workdir / "from_folder" / name).read_bytes()


def test_too_many_rejects_stop_the_stage(workdir):
    release = write_release(workdir / "raw")
    for path in sorted((release / "fr" / "clips").iterdir())[:4]:
        path.unlink()
    done = ingest(workdir, release, ok=False)
    assert "ingest: 4 of 16 clips rejected, more than max_reject_fraction=0.1 allows (4 missing;" in done.stderr
    assert not (workdir / "clips").exists()


@pytest.mark.slow
def test_a_clip_of_a_probe_is_in_no_class(workdir):
    write_release(workdir / "raw")
    table = (workdir / "raw" / "fr" / "validated.tsv").read_text().splitlines()
    cells = [line.split("\t") for line in table]
    place = cells[0].index("accents")
    for number in (1, 2, 3):
        cells[number][place] = "united_states"
    (workdir / "raw" / "fr" / "validated.tsv").write_text("\n".join("\t".join(line) for line in cells) + "\n")
    probes = {"learners": {"locale": "fr", "accents": "united_states"}}
    set_params(workdir, {"evaluate": {"probes": probes}})
    done = ingest(workdir, workdir / "raw")
    assert "16 clips (5 french, 8 english, 3 learners)" in done.stdout
    set_params(workdir, {"evaluate": {"probes": {"french": {"locale": "fr"}}}})
    done = ingest(workdir, workdir / "raw", ok=False)
    assert "error: params.yaml: evaluate.probes.french: a class has that name too" in done.stderr
    set_params(workdir, {"evaluate": {"probes": {"everyone": {"locale": "fr"}}}})
    assert (
        "error: french: no clip of this class is left (of all: evaluate.probes took them)"
        in ingest(workdir, workdir / "raw", ok=False).stderr
    )
    set_params(workdir, {"evaluate": {"probes": {"none": {"locale": "xx"}}}})
    assert "evaluate.probes.none: no clip with locale 'xx'" in ingest(workdir, workdir / "raw", ok=False).stderr


@pytest.mark.slow
def test_hidden_files_are_no_releases_and_no_clips(workdir):
    """macOS leaves a "._NAME" beside each file on a foreign disk or in an archive, and a .DS_Store in each folder."""
    release = write_release(workdir / "release")
    ingest(workdir, release, "clean")
    for name in ("fr/clips/._common_voice_fr_000.mp3", "fr/clips/.DS_Store", "fr/.DS_Store", "fr/._validated.tsv"):
        (release / name).write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
    (release / "fr" / "clips" / ".out").symlink_to(workdir)
    ingest(workdir, release, "folder")
    (release / "fr" / "clips" / ".out").unlink()
    archives = workdir / "archives"
    archives.mkdir()
    pack(release, archives / "cv-corpus-27.0-2026-06-12-fr.tar.gz")
    (archives / "._cv-corpus-27.0-2026-06-12-fr.tar.gz").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
    shutil.copytree(release, archives / ".Trash" / "cv")
    ingest(workdir, archives, "archive")
    for name in ("part-00000.parquet", "rejects.csv"):
        clean = (workdir / "clean" / name).read_bytes()
        assert (workdir / "folder" / name).read_bytes() == (workdir / "archive" / name).read_bytes() == clean


@pytest.mark.slow
def test_a_table_in_latin_1_is_counted_row_by_row_and_too_many_are_an_error(workdir):
    release = write_release(workdir / "raw", speakers=6)
    table = release / "fr" / "validated.tsv"
    text = table.read_text(encoding="utf-8").replace("fr text 3", "l'\u00e9t\u00e9")
    table.write_text(text, encoding="latin-1")
    done = ingest(workdir, release)
    assert "1 rejected (1 malformed row)" in done.stdout
    assert read_rejects(workdir / "clips")[f"{table} line 5"] == "malformed row: not UTF-8"
    table.write_text(text.replace("fr text", "l'\u00e9t\u00e9"), encoding="latin-1")
    done = ingest(workdir, release, ok=False)
    assert "12 of 24 clips rejected, more than max_reject_fraction=0.1 allows (12 malformed row; first: " in done.stderr
    assert "not UTF-8" in done.stderr
    set_params(workdir, {"ingest": {"max_reject_fraction": 0.6}})
    done = ingest(workdir, release, ok=False)
    assert done.stderr.endswith("occur: en (12); 12 rows were rejected before (12 malformed row)\n")


def test_a_clip_that_is_listed_in_two_classes_is_one_reject(workdir):
    release = write_release(workdir / "raw")
    row = (release / "fr" / "validated.tsv").read_text().splitlines()[1]
    with open(release / "en" / "validated.tsv", "a") as file:
        file.write(row.replace("\tfr\t", "\ten\t") + "\n")
    shutil.copy(release / "fr" / "clips" / "common_voice_fr_000.mp3", release / "en" / "clips")
    done = ingest(workdir, release)
    assert "15 clips (7 french, 8 english); 1 rejected (1 in two classes); 0 passed over (-)" in done.stdout
    assert read_rejects(workdir / "clips") == {"common_voice_fr_000": "in two classes: english and french"}


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("cv-corpus-9.0-2022-04-27", "cv-corpus-10.0-2022-07-04"),
        ("cv-corpus-6.1-2020-12-11", "cv-corpus-6.1-2021-01-11"),
        ("anything", "cv-corpus-1"),
        ("cv-corpus-26.0-2026-03-09", "cv-corpus-26.1-delta-2026-04-01"),
    ],
)
def test_of_a_clip_in_several_releases_the_newest_row_counts(workdir, older, newer):
    old, new = write_release(workdir / "raw" / older), write_release(workdir / "raw" / newer)
    table = new / "fr" / "validated.tsv"
    table.write_text(table.read_text().replace("fr text", "mended text"))
    (new / "fr" / "clips" / "common_voice_fr_001.mp3").unlink()  # the newest file is then the older one
    assert "16 passed over (16 duplicate)" in ingest(workdir, workdir / "raw").stdout
    clips = pq.read_table(workdir / "clips" / "part-00000.parquet").to_pandas().set_index("clip_id")
    assert list(clips.loc[clips["label"] == "french", "sentence"]) == [f"mended text {number}" for number in range(8)]
    name = "common_voice_fr_001"
    assert clips.loc[name, "audio"] == (old / "fr" / "clips" / f"{name}.mp3").read_bytes()


def test_a_clip_that_a_newer_release_moved_to_another_class_is_in_that_one(workdir):
    write_release(workdir / "raw" / "cv-corpus-1.0")
    newer = write_release(workdir / "raw" / "cv-corpus-2.0")
    table = newer / "fr" / "validated.tsv"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([*lines[:1], *lines[2:]]))
    with open(newer / "en" / "validated.tsv", "a") as file:
        file.write(lines[1].replace("\tfr\t", "\ten\t"))
    (newer / "fr" / "clips" / "common_voice_fr_000.mp3").rename(newer / "en" / "clips" / "common_voice_fr_000.mp3")
    assert "16 clips (7 french, 9 english); 0 rejected" in ingest(workdir, workdir / "raw").stdout


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({}, "params.yaml: ingest.classes: no class is declared, at least two are needed. Declare them"),
        ({"": {"locale": "fr"}, "b": {"locale": "en"}}, "params.yaml: ingest.classes: '' is no name for a class. "),
        ({" a": {"locale": "fr"}, "b": {"locale": "en"}}, "params.yaml: ingest.classes: ' a' is no name for a class. "),
    ],
)
def test_classes_that_are_none_are_told(workdir, classes, message):
    document = yaml.safe_load((workdir / "params.yaml").read_text())
    document["ingest"]["classes"] = classes
    (workdir / "params.yaml").write_text(yaml.safe_dump(document))
    done = ingest(workdir, workdir, ok=False)
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
