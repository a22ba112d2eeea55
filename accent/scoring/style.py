"""How the project's pictures look: readable on a light and on a dark page, mid-grey lines on nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

INK = "#808080"  # 4.0:1 against white, 5.3:1 against black
FOR, AGAINST = "#3f8ad8", "#e0702a"  # told apart by the colour-blind too
STYLE = {
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # names and accents are free text, in which a $ is a $
}
UNITS = {"s": "s", "db": "dB", "dbfs": "dBFS", "hz": "Hz", "khz": "kHz", "kbps": "kb/s"}
WORDS = {"roc": "ROC", "auc": "AUC", "snr": "SNR", "sd": "SD", "mp3": "MP3", "p95": "95th percentile of"}
WIDTH = 5.8  # inches: on a phone, where a picture is as broad as the screen, its text can still be read


_one_thread = RLock()


def in_words(name: str) -> str:
    """A metric's name for people: `snr_db` is "SNR (dB)", `noise_20_db` is "noise 20 dB"."""
    *words, last = name.split("_")
    unit = UNITS.get(last)
    if unit and words and not words[-1].isdigit():
        unit = f"({unit})"
    return " ".join([*(WORDS.get(word, word) for word in words), unit or WORDS.get(last, last)])


@contextmanager
def drawing(settings: Mapping[str, Any] = STYLE) -> Iterator[None]:
    """matplotlib's settings while a picture is drawn. They are the process's, so other threads wait."""
    with _one_thread, mpl.rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; what is drawn on it is drawn within `drawing`."""
    with drawing():
        return Figure(figsize=(width, height), layout="constrained", dpi=150)
