"""Errors that are the user's to mend, told in one line."""

import errno
import sys
from collections.abc import Callable


class InputError(Exception):
    """Something in the input, the parameters or the surroundings that the user can put right.

    The message says what, where, the value found, the values allowed and what to do next, in one line.
    """


class Reject(Exception):
    """A single clip that cannot be used; the message is the reason that `rejects.csv` gets."""


def run(main: Callable[[], None]) -> None:
    """Call a command's `main`; an `InputError` or a failing file system becomes one line and exit code 1."""
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"error: {one_line(error)}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def one_line(error: InputError | OSError) -> str:
    """What is wrong, and what to do next."""
    if isinstance(error, InputError):
        return str(error)
    what = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    full = error.errno == errno.ENOSPC or "No space left" in what
    advice = "Free some space" if full else "Mend that"
    return f"{what}. {advice}, then run the same command again."
