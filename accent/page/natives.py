"""Sentences of the corpus that a learner may read, with the recordings that native speakers made of them."""

import re
from pathlib import Path
from urllib.parse import quote

import pyarrow.compute as pc

from accent.corpus.common_voice import SYNTHETIC
from accent.corpus.recordings import read_clips, read_recordings

SENTENCES, RECORDINGS = 300, 3  # at most, and of each
# Written to be read aloud: some words, from a capital to a full stop. The names of files, which the embedded sample
# has for sentences, are not.
SENTENCE = re.compile(r"[A-ZÀ-Ý«“\"].*\s.*\s.*[.!?…»”\"]")


class Natives:
    """Sentences of one class of `data/clips`: addresses of recordings by sentence, and audio by address."""

    def __init__(self, clips: Path, label: str) -> None:
        self.clips = clips
        native = (pc.field("label") == label) & (pc.field("segment") != SYNTHETIC)
        rows = read_clips(clips, ["clip_id", "label", "sentence"], native).to_pandas()
        rows = rows[rows["sentence"].str.fullmatch(SENTENCE)].sort_values("clip_id")
        by_sentence = rows.groupby("sentence")["clip_id"].apply(list)
        self.clip_ids = {sentence: by_sentence[sentence][:RECORDINGS] for sentence in spread(list(by_sentence.index))}

    def addresses(self) -> dict[str, list[str]]:
        """What the page reads as natives.json."""
        return {text: [f"natives/{quote(clip_id)}" for clip_id in ids] for text, ids in self.clip_ids.items()}

    def audio(self, clip_id: str) -> bytes | None:
        """The encoded recording of that name, None where it is not one of these."""
        if not any(clip_id in ids for ids in self.clip_ids.values()):
            return None
        return read_recordings(self.clips, [clip_id])[clip_id]


def spread(sentences: list[str]) -> list[str]:
    """Up to `SENTENCES` of them, evenly from the shortest to the longest."""
    ordered = sorted(sentences, key=lambda sentence: (len(sentence), sentence))
    count = min(len(ordered), SENTENCES)
    return [ordered[number * len(ordered) // count] for number in range(count)]
