"""A copy of the embedded sample with faults in it, of which one knows where they are."""

import csv
import shutil
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, sosfiltfilt

from tests.helpers import SAMPLE

OTHER = {"fr": "en", "en": "fr"}


def muffle(waveform: np.ndarray, rate: int) -> np.ndarray:
    return sosfiltfilt(butter(8, 2000, fs=rate, output="sos"), waveform)


def hush(waveform: np.ndarray, rate: int) -> np.ndarray:
    return waveform * 10 ** (-40 / 20)


def plant(target: Path, each: int) -> dict[str, set[str]]:
    """Write the release: `each` clips moved to the other locale, as many muffled to 2 kHz, as many 40 dB quieter.

    Returns the clip names of each kind. They are drawn from both locales alike, by a fixed seed.
    """
    tables, planted = {}, {"label": set(), "muffled": set(), "near-silent": set()}
    generator = np.random.default_rng(1)
    for locale in OTHER:
        shutil.copytree(SAMPLE / locale, target / locale)
        with open(target / locale / "validated.tsv", newline="", encoding="utf-8") as file:
            tables[locale] = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    moved = {locale: [] for locale in OTHER}
    for locale, rows in tables.items():
        drawn = [rows[number] for number in generator.permutation(len(rows))[: 3 * each // 2]]
        for number, row in enumerate(drawn):
            kind = list(planted)[number % 3]
            planted[kind].add(Path(row["path"]).stem)
            path = target / locale / "clips" / row["path"]
            if kind == "label":
                moved[locale].append(row)
            else:
                waveform, rate = soundfile.read(path)
                soundfile.write(path, {"muffled": muffle, "near-silent": hush}[kind](waveform, rate), rate)
    for locale, rows in moved.items():
        for row in rows:
            tables[locale].remove(row)
            tables[OTHER[locale]].append({**row, "locale": OTHER[locale]})
            (target / locale / "clips" / row["path"]).rename(target / OTHER[locale] / "clips" / row["path"])
    for locale, rows in tables.items():
        lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
        (target / locale / "validated.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return planted
