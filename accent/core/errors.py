"""Errors that the user can fix, each reported in one line."""

import errno
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

# Control characters, line separators and halves of surrogate pairs (which stand for bytes that are not UTF-8): what
# breaks a line, a CSV file, a terminal or an encoder.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Scoring needs few libraries, so the others are extras (pyproject.toml).
INSTALL = "pip install 'accent[plot]' for pictures of takes, 'accent[pipeline]' for everything else"

BROKEN_PIPE = 141  # what a shell says of a program that SIGPIPE ended


class InputError(Exception):
    """A fault in the input, the parameters or the environment that the user can fix.

    The message says what, where, the value found, the values allowed and what to do next, in one line.
    """


class Reject(Exception):
    """A single clip that cannot be used; the message is the reason that `rejects.csv` gets."""


class CutOff(Reject):
    """A recording that ends in the middle of a frame: the part before it was read, and may be enough for a take."""


def printable(text: str) -> str:
    """The text with all `UNPRINTABLE` characters escaped as in Python: a newline as a backslash and an n."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def damaged(path: Path, what: object) -> InputError:
    """The `InputError` for a stage's output that was damaged after the stage wrote it.

    Neither `dvc checkout --force` nor `dvc repro` looks into a file whose size and time are what they were.
    """
    mend = f"rm -f {shlex.quote(str(path))} && dvc repro"
    return InputError(
        f"{path}: missing or damaged ({' '.join(str(what).split())}). Run '{mend}'; "
        'if it comes again, DVC\'s cache is damaged too: docs/robustness.md, "Damaged files, and what mends them"'
    )


def run(main: Callable[[], None]) -> None:
    """Call a command's `main`; an `InputError` or a failing file system becomes one line and exit code 1.

    The commands declare their arguments with argparse. fastcore's `call_parse` runs a command where it is defined,
    before this could catch its errors, and has no list of at least one argument; typer prints errors in boxes.
    """
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read what is printed, such as `head`, has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        sys.exit(BROKEN_PIPE)
    except (InputError, OSError) as error:
        sys.exit(f"error: {printable(one_line(error))}")
    except ModuleNotFoundError as error:
        if not error.name or error.name.split(".")[0] in ("accent", "stages"):
            raise
        sys.exit(f"error: {error.name}: not installed, since only a part needs it. Run {INSTALL}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def one_line(error: InputError | OSError) -> str:
    """An error as one line: what is wrong, and what to do next."""
    if isinstance(error, InputError):
        return str(error)
    what = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    full = error.errno == errno.ENOSPC or "No space left" in what
    advice = "Free some space" if full else "Mend that"
    return f"{what}. {advice}, then run the same command again."
