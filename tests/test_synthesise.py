"""Synthetic speakers: a release like any other, the same for the same seed, and for training only."""

import os
import random
import sys

import pandas as pd
import pytest

from accent.audio.waveform import AudioParams, decode_clip
from accent.corpus.common_voice import read_tsv
from accent.corpus.espeak import list_voices
from accent.corpus.synthesise import draw_voices
from tests.helpers import EXCLUSIONS, ROOT, run, stage, write_release

pytestmark = pytest.mark.slow

AUDIO = AudioParams(silence_db=40, margin_seconds=0.05, min_seconds=0.3, max_seconds=30)


@pytest.fixture
def ingested(workdir):
    """A folder with `data/clips` of a small release in `raw/corpus`."""
    write_release(workdir / "raw" / "corpus", speakers=6)
    stage("ingest", workdir / "raw", EXCLUSIONS, "clips", cwd=workdir)
    return workdir


def synthesise(folder, *arguments, ok=True, **environment):
    command = [sys.executable, "-m", "accent.synthesise", *map(str, arguments)]
    return run(*command, cwd=folder, ok=ok, PYTHONPATH=str(ROOT), **environment)


def test_a_release_of_speech_that_is_only_trained_on(ingested):
    done = synthesise(ingested, "clips", "raw/synthetic", "--count", "5")
    assert "raw/synthetic: 5 clips each of en, fr" in done.stdout
    again = synthesise(ingested, "clips", "again", "--count", "5", LOKY_MAX_CPU_COUNT="1")
    assert "again: 5 clips" in again.stdout
    recordings = sorted((ingested / "raw" / "synthetic").rglob("*.mp3"))
    assert len(recordings) == 10
    for path in recordings:
        assert path.read_bytes() == (ingested / "again" / path.relative_to(ingested / "raw" / "synthetic")).read_bytes()
        waveform, measures = decode_clip(path, AUDIO)
        assert measures["speech_s"] > 0.3
        assert len(waveform)
    with open(ingested / "raw" / "synthetic" / "fr" / "validated.tsv", newline="", encoding="utf-8") as file:
        table, rejects = read_tsv(file, "fr", "fr")
    assert rejects == []
    assert table["client_id"].nunique() == 5
    assert set(table["segment"]) == {"synthetic"}
    assert set(table["sentence"]) <= {f"fr text {number}" for number in range(12)}

    stage("ingest", "raw", EXCLUSIONS, "all", cwd=ingested)
    stage("decode", "all", "waveforms", cwd=ingested)
    stage("split", "waveforms", "splits.parquet", cwd=ingested)
    splits = pd.read_parquet(ingested / "splits.parquet")
    made = splits["clip_id"].str.startswith("synthetic_")
    assert made.sum() == 10
    assert set(splits.loc[made, "split"]) <= {"train", "unused"}
    assert "train" in set(splits.loc[made, "split"])


def test_the_seed_decides_on_the_voices():
    drawn = [
        [next(draw_voices(["fr", "fr-BE"], ["f1", "m2"], random.Random(seed))) for _ in "abc"] for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_voices_are_espeak_s_own():
    assert {"fr", "fr-BE", "fr-CH"} <= set(list_voices("fr"))
    assert len(list_voices("variant")) > 50
    assert not [name for name in list_voices("en") if name.startswith("mb")]


def test_what_cannot_be_is_one_line(ingested):
    assert (
        "error: --count: 0, must be at least 1" in synthesise(ingested, "clips", "new", "--count", "0", ok=False).stderr
    )
    assert "error: raw: is there already" in synthesise(ingested, "clips", "raw", ok=False).stderr
    assert "error: nowhere: no clips here" in synthesise(ingested, "nowhere", "new", ok=False).stderr
    without = os.path.dirname(sys.executable)
    done = synthesise(ingested, "clips", "new", ok=False, PATH=without)
    assert "error: espeak-ng: no such command. Install espeak-ng" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (ingested / "new").exists()
