"""Exclusions: the list of clips that take no part, with reasons. People keep it; `accent.cull` proposes lines."""

import csv
import io
from pathlib import Path

from accent.core.errors import InputError
from accent.core.parts import Rejects

HEADER = ["clip_id", "reason"]


def read_exclusions(path: Path) -> dict[str, str]:
    """The reason of each excluded clip. Raises `InputError`, with the line, for what is no such list."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file. 'git restore {path}' brings it back, or make one with the line {_text(HEADER)}"
        ) from None
    except UnicodeDecodeError as error:
        raise _wrong(path, data[: error.start].count(b"\n") + 1, "not UTF-8") from None
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    reasons: dict[str, str] = {}
    line = 1  # where a row begins: one with a reason in quotes may go on over several
    try:
        if (header := next(rows, [])) != HEADER:
            raise _wrong(path, line, f"{_text(header)!r:.60} is not the header")
        line = rows.line_num + 1
        for row in rows:
            if row:  # an empty line has none
                clip, reason = _entry(row, path, line)
                if clip in reasons:
                    raise _wrong(path, line, f"{clip!r} stands further up already")
                reasons[clip] = reason
            line = rows.line_num + 1
    except csv.Error as error:
        raise _wrong(path, line, f"not CSV ({error})") from None
    return reasons


def write_exclusions(path: Path, rows: Rejects) -> None:
    """Write a list that `read_exclusions` reads."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *rows])


def _entry(row: list[str], path: Path, line: int) -> list[str]:
    row = [cell.strip() for cell in row]
    if not row[0]:
        raise _wrong(path, line, "no clip_id")
    if not any(row[1:]):
        raise _wrong(path, line, f"no reason for {row[0]!r}")
    if len(row) > 2:
        raise _wrong(path, line, f"{len(row)} columns (a reason with a comma in it needs double quotes)")
    return row


def _text(row: list[str]) -> str:
    return ",".join(row)


def _wrong(path: Path, line: int, what: str) -> InputError:
    return InputError(f"{path}: line {line}: {what}. Needed: the header {_text(HEADER)}, then a line a clip. Mend it")
