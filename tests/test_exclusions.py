"""The list of clips that take no part: what it does to `ingest`, and what is no such list."""

import pytest

from accent.core.errors import InputError
from accent.corpus.exclusions import read_exclusions, write_exclusions
from tests.helpers import EXCLUSIONS, read_rejects, set_params, stage, write_release

HEADER = b"clip_id,reason\n"


def test_the_project_s_own_list_begins_empty():
    assert read_exclusions(EXCLUSIONS) == {}


def test_what_was_written_is_read(tmp_path):
    rows = [("b", 'label: given french, sounds "english"'), ("a", "deux voix, dont une d'enfant\nà la fin"), ("c", "é")]
    write_exclusions(tmp_path / "list.csv", rows)
    assert read_exclusions(tmp_path / "list.csv") == dict(rows)


def test_a_spreadsheet_s_byte_order_mark_line_ends_and_empty_lines_do_no_harm(tmp_path):
    (tmp_path / "list.csv").write_bytes("\ufeffclip_id,reason\r\na, two voices\r\n\r\nb,é\r\n".encode())
    assert read_exclusions(tmp_path / "list.csv") == {"a": "two voices", "b": "é"}


@pytest.mark.parametrize(
    ("data", "line", "what"),
    [
        (b"", 1, "'' is not the header"),
        (b"clip_id;reason\na;b\n", 1, "'clip_id;reason' is not the header"),
        (HEADER + b"a,x\n,y\n", 3, "no clip_id"),
        (HEADER + b"a,x\nb, \n", 3, "no reason for 'b'"),
        (HEADER + b"a\n", 2, "no reason for 'a'"),
        (HEADER + b'a,"x\ny"\n\nb,x\na,z\n', 6, "'a' stands further up already"),
        (HEADER + b"a,two voices, a child\n", 2, "3 columns (a reason with a comma in it needs double quotes)"),
        (HEADER + b"a,x\nb,\xe9\n", 3, "not UTF-8"),
        (HEADER + b'a,x\nb,"y\n', 3, "not CSV (unexpected end of data)"),
    ],
)
def test_what_is_no_such_list_is_told_with_its_line(tmp_path, data, line, what):
    (tmp_path / "list.csv").write_bytes(data)
    with pytest.raises(InputError) as error:
        read_exclusions(tmp_path / "list.csv")
    assert str(error.value).startswith(f"{tmp_path}/list.csv: line {line}: {what}")
    assert "\n" not in str(error.value)


def test_excluded_clips_are_left_out_without_counting_as_faults(workdir):
    release = write_release(workdir / "raw")
    set_params(workdir, {"ingest": {"max_reject_fraction": 0}})
    gone = {"common_voice_fr_000": "two voices, one a child's", "common_voice_en_003": "music"}
    write_exclusions(workdir / "list.csv", [*gone.items(), ("common_voice_xx_1", "of another release")])
    done = stage("ingest", release, "list.csv", "clips", cwd=workdir)
    assert (
        "14 clips (7 french, 7 english); 0 rejected (-); 2 passed over (2 excluded); 1 of 3 exclusions" in done.stdout
    )
    assert read_rejects(workdir / "clips") == {clip: f"excluded: {reason}" for clip, reason in gone.items()}


@pytest.mark.slow
def test_a_clip_that_is_excluded_is_no_longer_a_fault(workdir):
    release = write_release(workdir / "raw")
    (release / "fr" / "clips" / "common_voice_fr_000.mp3").unlink()
    set_params(workdir, {"ingest": {"max_reject_fraction": 0}})
    stage("ingest", release, EXCLUSIONS, "clips", cwd=workdir, ok=False)
    write_exclusions(workdir / "list.csv", [("common_voice_fr_000", "its file is gone")])
    assert (
        "15 clips (7 french, 8 english); 0 rejected"
        in stage("ingest", release, "list.csv", "clips", cwd=workdir).stdout
    )


def test_a_class_whose_clips_are_all_excluded_and_a_missing_list_are_one_line(workdir):
    release = write_release(workdir / "raw")
    write_exclusions(workdir / "list.csv", [(f"common_voice_fr_{number:03d}", "noise") for number in range(8)])
    done = stage("ingest", release, "list.csv", "clips", cwd=workdir, ok=False)
    assert done.stderr.count("\n") == 1
    assert "french: no clip of this class is left (of all: 8 excluded)" in done.stderr
    done = stage("ingest", release, "absent.csv", "clips", cwd=workdir, ok=False)
    assert done.stderr.startswith("error: absent.csv: no such file. ")
    assert done.stderr.count("\n") == 1
