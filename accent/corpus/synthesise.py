"""A release of synthetic speakers: espeak-ng reads the sentences of the ingested clips, in voices drawn at random.

Its rows have `synthetic` in Common Voice's column `segment`, by which the split stage keeps them to training.
"""

import csv
import io
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc
import soundfile as sf
from joblib import delayed
from tqdm import tqdm

from accent.audio.reencode import mp3
from accent.core.errors import InputError
from accent.core.parallel import in_parallel
from accent.corpus.common_voice import COLUMNS, SYNTHETIC, TSV
from accent.corpus.recordings import read_clips

COMMAND = "espeak-ng"
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


def list_voices(of: str) -> list[str]:
    """The files of espeak-ng's own voices for a language, or, for "variant", of its variants; without their folders.

    Voices of MBROLA, which are recordings of others and seldom installed, are left out.
    """
    try:
        done = subprocess.run([COMMAND, f"--voices={of}"], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise InputError(f"{COMMAND}: no such command. Install it, for example with 'apt install espeak-ng'") from None
    # Pty Language Age/Gender VoiceName File (Other Languages); a file with a space in its name cannot be asked for.
    lines = [line.split() for line in done.stdout.splitlines()[1:]]
    files = [cells[4] for cells in lines if len(cells) == 5 or cells[5].startswith("(")]
    return sorted({file.split("/")[-1] for file in files if not file.startswith("mb/")})


def draw_voices(languages: list[str], variants: list[str], rng: random.Random) -> Iterator[Voice]:
    """One voice after the other, each with all its properties drawn."""
    while True:
        yield Voice(rng.choice(languages), rng.choice(variants), rng.randint(*PITCHES), rng.randint(*WORDS_PER_MINUTE))


def speak(sentence: str, voice: Voice) -> bytes:
    """An MP3 file of a sentence."""
    options = ["-v", f"{voice.language}+{voice.variant}", "-p", str(voice.pitch), "-s", str(voice.pace), "--stdout"]
    done = subprocess.run([COMMAND, *options], input=sentence.encode(), capture_output=True, check=True)
    waveform, rate = sf.read(io.BytesIO(done.stdout), dtype="float32")
    return mp3(waveform, rate, KBPS)


def write_locale(folder: Path, locale: str, sentences: list[str], count: int, seed: int) -> None:
    """A locale's folder of `count` clips, whose sentences are drawn before any comes twice."""
    languages, variants = list_voices(locale), list_voices("variant")
    if not languages:
        raise InputError(f"{COMMAND}: no voice for locale {locale}. 'espeak-ng --voices' lists them")
    rng = random.Random(f"{seed}:{locale}")
    texts = [text for _ in range(-(-count // len(sentences))) for text in rng.sample(sentences, len(sentences))][:count]
    voices = draw_voices(languages, variants, rng)
    jobs = [(text, next(voices)) for text in texts]
    (folder / "clips").mkdir(parents=True)
    recordings = in_parallel([delayed(speak)(*job) for job in jobs])
    rows = []
    for number, ((text, voice), audio) in enumerate(
        zip(jobs, tqdm(recordings, total=count, unit="clip", desc=locale, mininterval=1), strict=True)
    ):
        name = f"synthetic_{locale}_{number:06d}.mp3"
        (folder / "clips" / name).write_bytes(audio)
        speaker = f"{COMMAND} {voice.language} {voice.variant} {voice.pitch}"
        row = {"client_id": speaker, "path": name, "sentence": text, "locale": locale, "segment": SYNTHETIC}
        rows.append({"up_votes": 0, "down_votes": 0} | row)
    with open(folder / TSV, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, COLUMNS, restval="", delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
