"""A release of synthetic speakers: espeak-ng reads the sentences of the ingested clips, in voices drawn at random.

Its rows have `synthetic` in Common Voice's column `segment`, by which the split stage keeps them to training.
"""

import csv
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import pyarrow.compute as pc
from joblib import delayed
from tqdm import tqdm

from accent.audio.reencode import mp3
from accent.audio.waveform import FULL_SCALE
from accent.core.errors import UNPRINTABLE, InputError
from accent.core.parallel import in_parallel
from accent.corpus.common_voice import COLUMNS, SYNTHETIC, TSV
from accent.corpus.espeak import NAME, list_voices, speak
from accent.corpus.recordings import read_clips

PITCHES, WORDS_PER_MINUTE = (10, 95), (120, 200)  # espeak-ng's scale of 0 to 99, of which the ends are caricatures
KBPS = 64  # as most clips of the corpus


class Voice(NamedTuple):
    """How espeak-ng is to speak: a language of the locale, a variant of the voice, pitch and pace."""

    language: str
    variant: str
    pitch: int
    pace: int


def sentences_of(clips: Path) -> dict[str, list[str]]:
    """The sentences of every locale in `data/clips`, sorted, but for those that only synthetic speakers have read."""
    rows = read_clips(clips, ["locale", "sentence"], pc.field("segment") != SYNTHETIC).to_pandas()
    rows = rows[rows["sentence"].str.strip() != ""]
    return {locale: sorted(set(texts)) for locale, texts in rows.groupby("locale")["sentence"]}


def draw_voices(languages: list[str], variants: list[str], rng: random.Random) -> Iterator[Voice]:
    """One voice after the other, each with all its properties drawn."""
    while True:
        yield Voice(rng.choice(languages), rng.choice(variants), rng.randint(*PITCHES), rng.randint(*WORDS_PER_MINUTE))


def record(sentence: str, voice: Voice) -> bytes:
    """An MP3 file of a sentence."""
    spoken = speak(
        f"<speak>{escape(UNPRINTABLE.sub(' ', sentence))}</speak>",
        f"{voice.language}+{voice.variant}",
        voice.pace,
        voice.pitch,
    )
    return mp3(spoken.samples / np.float32(FULL_SCALE), spoken.rate, KBPS)


def write_locale(folder: Path, locale: str, sentences: list[str], count: int, seed: int) -> None:
    """A locale's folder of `count` clips, whose sentences are drawn before any comes twice."""
    languages, variants = list_voices(locale), list_voices("variant")
    if not languages:
        raise InputError(f"{NAME}: no voice for locale {locale}. 'espeak-ng --voices' lists them")
    rng = random.Random(f"{seed}:{locale}")
    texts = [text for _ in range(-(-count // len(sentences))) for text in rng.sample(sentences, len(sentences))][:count]
    voices = draw_voices(languages, variants, rng)
    jobs = [(text, next(voices)) for text in texts]
    (folder / "clips").mkdir(parents=True)
    recordings = in_parallel([delayed(record)(*job) for job in jobs])
    rows = []
    for number, ((text, voice), audio) in enumerate(
        zip(jobs, tqdm(recordings, total=count, unit="clip", desc=locale, mininterval=1), strict=True)
    ):
        name = f"synthetic_{locale}_{number:06d}.mp3"
        (folder / "clips" / name).write_bytes(audio)
        speaker = f"{NAME} {voice.language} {voice.variant} {voice.pitch}"
        row = {"client_id": speaker, "path": name, "sentence": text, "locale": locale, "segment": SYNTHETIC}
        rows.append({"up_votes": 0, "down_votes": 0} | row)
    with open(folder / TSV, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, COLUMNS, restval="", delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
