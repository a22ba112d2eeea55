"""Sentences of the corpus to read, with the recordings that native speakers made of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from accent.errors import InputError

METADATA = ["clip_id", "label", "client_id", "sentence"]


class Prompts:
    """The sentences of one class of `data/clips`, the output of the ingest stage."""

    def __init__(self, clips: Path, label: str) -> None:
        parts = sorted(clips.glob("part-*.parquet"))
        if not parts:
            raise InputError(f"{clips}: no clips here. Run 'dvc repro ingest' or 'dvc pull'")
        try:
            self.dataset = ds.dataset(parts, format="parquet")
            rows = self.dataset.to_table(columns=METADATA, filter=pc.field("label") == label).to_pandas()
        except pa.ArrowInvalid as error:
            raise InputError(f"{clips}: damaged ({error}). Run 'dvc checkout --force'") from None
        rows = rows[rows["sentence"].str.strip() != ""]
        self.clip_ids = rows.groupby("sentence")["clip_id"].apply(list).to_dict()
        self.sentences = sorted(self.clip_ids)

    def draw(self, rng: np.random.Generator) -> str:
        """A sentence, drawn evenly; "" where there is none."""
        return self.sentences[rng.integers(len(self.sentences))] if self.sentences else ""

    def recordings(self, sentence: str, at_most: int = 3) -> list[tuple[str, bytes]]:
        """(clip_id, encoded audio) of native recordings of the sentence."""
        wanted = sorted(self.clip_ids.get(sentence, []))[:at_most]
        if not wanted:
            return []
        table = self.dataset.to_table(columns=["clip_id", "audio"], filter=pc.field("clip_id").isin(wanted))
        found = dict(zip(table["clip_id"].to_pylist(), table["audio"].to_pylist(), strict=True))
        return [(clip_id, found[clip_id]) for clip_id in wanted]
