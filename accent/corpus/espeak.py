"""espeak-ng, the speech synthesiser: which voices it has, and a text spoken by one of them.

Nothing else calls it. A text is spoken by its library, in a process of its own (`accent.corpus.espeak_library`).
"""

import ctypes.util
import json
import subprocess
import sys
from typing import NamedTuple

import numpy as np

from accent.core.errors import InputError
from accent.corpus import espeak_library

NAME = "espeak-ng"
USUAL_WORDS_PER_MINUTE, USUAL_PITCH = 175, 50  # its own; the pitch is on a scale of 0 to 99
INSTALL = f"Install {NAME}, for example with 'apt install {NAME}'"


class Spoken(NamedTuple):
    """A text as it was spoken, and at which sample each mark of its SSML was reached."""

    samples: np.ndarray  # int16, mono
    rate: int
    marks: dict[str, int]


def speak(ssml: str, voice: str, words_per_minute: int = USUAL_WORDS_PER_MINUTE, pitch: int = USUAL_PITCH) -> Spoken:
    """An SSML text spoken by a voice; raises `InputError` where espeak-ng is absent or has no such voice."""
    library = ctypes.util.find_library(NAME)
    if library is None:
        raise InputError(f"{NAME}: no such library, so no text can be read. {INSTALL}")
    command = [sys.executable, "-I", espeak_library.__file__, library, voice, str(words_per_minute), str(pitch)]
    done = subprocess.run(command, input=ssml.encode(), capture_output=True)
    if done.returncode == espeak_library.NO_VOICE:
        raise InputError(f"{NAME}: no voice {voice!r}. '{NAME} --voices' lists them")
    if done.returncode:
        raise InputError(f"{library}: cannot speak (exit {done.returncode}), its voices may be missing. {INSTALL}")
    card, samples = done.stdout.split(b"\n", 1)
    told = json.loads(card)
    return Spoken(np.frombuffer(samples, np.int16), told["rate"], told["marks"])


def list_voices(of: str) -> list[str]:
    """The files of espeak-ng's own voices for a language, or, for "variant", of its variants; without their folders.

    Voices of MBROLA, which are recordings of others and seldom installed, are left out.
    """
    try:
        done = subprocess.run([NAME, f"--voices={of}"], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise InputError(f"{NAME}: no such command. {INSTALL}") from None
    # Pty Language Age/Gender VoiceName File (Other Languages); a file with a space in its name cannot be asked for.
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    files = [cells[4] for cells in lines if len(cells) == 5 or cells[5].startswith("(")]
    return sorted({file.split("/")[-1] for file in files if not file.startswith("mb/")})
