"""Sentences of the corpus to read, with the recordings that native speakers made of them."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from accent.corpus.common_voice import SYNTHETIC
from accent.corpus.recordings import read_clips, read_recordings

METADATA = ["clip_id", "label", "client_id", "sentence"]


class Prompts:
    """The sentences of one class of `data/clips`, the output of the ingest stage."""

    def __init__(self, clips: Path, label: str) -> None:
        self.clips = clips
        rows = read_clips(
            clips, METADATA, (pc.field("label") == label) & (pc.field("segment") != SYNTHETIC)
        ).to_pandas()
        rows = rows[rows["sentence"].str.strip() != ""]
        self.clip_ids = rows.groupby("sentence")["clip_id"].apply(list).to_dict()
        self.sentences = sorted(self.clip_ids)

    def draw(self, rng: np.random.Generator) -> str:
        """A sentence, drawn evenly; "" where there is none."""
        return self.sentences[rng.integers(len(self.sentences))] if self.sentences else ""

    def recordings(self, sentence: str, at_most: int = 3) -> list[tuple[str, bytes]]:
        """(clip_id, encoded audio) of native recordings of the sentence."""
        wanted = sorted(self.clip_ids.get(sentence, []))[:at_most]
        found = read_recordings(self.clips, wanted) if wanted else {}
        return [(clip_id, found[clip_id]) for clip_id in wanted]
