"""Splits: train, valid and test, with the proof that no speaker, sentence or recording is in two of them."""

import re
import unicodedata
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, NonNegativeInt
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from accent.audio.duplicates import first_linked, same_recordings
from accent.core.errors import InputError
from accent.core.params import Seed, params
from accent.core.parts import join_index
from accent.core.tables import read_frame
from accent.corpus.selection import draw

SPLITS = ("train", "valid", "test")
PROBE, UNUSED = "probe", "unused"
NOT_WORDS = re.compile(r"[\W_]+")
MAX_GROUPS = 20_000  # that StratifiedGroupKFold divides: it takes a fifth of a millisecond for each
KEPT = (("test", ["valid", "train"]), (PROBE, ["valid", "train"]), ("valid", ["train"]))  # and from what it is kept


@params
class SplitParams:
    folds: Annotated[int, Field(ge=2)]
    fold: NonNegativeInt
    valid_folds: Annotated[int, Field(ge=2)]
    group_by: Literal["speaker", "none"]
    train_segments: tuple[str, ...]
    max_clips_per_speaker: NonNegativeInt
    balance: bool
    seed: Seed


def make_splits(
    index: pd.DataFrame, params: SplitParams, probes: Collection[str] = (), classes: Collection[str] = ()
) -> pd.DataFrame:
    """The clips of `index` with their `split`, for those of split `unused` the `reason`, and their `recording`.

    `recording` is the first clip with the same recording, by its fingerprint and whatever its name. Only one clip of
    each recording is used, or none if two classes have it. Speakers that share a recording count as one, `voice`.
    `classes` are those that were declared, for the messages.

    The test part is one fold of `folds`; over all values of `fold` every clip is tested exactly once. The rest is
    divided into `valid_folds`, of which one is valid and the others are train. Speakers go whole into one split,
    with the classes in proportion (`StratifiedGroupKFold`), and in bundles where there are over `MAX_GROUPS`. Two kinds
    of clips are outside the folds: those whose label is one of `probes` get the split `probe`, and those of
    `train_segments` (Common Voice's column `segment`) are train. A speaker or sentence that several splits share stays
    in test or a probe, or else in valid; its other clips are unused. In train and valid a speaker has at most
    `max_clips_per_speaker` clips, and with `balance` every class has equally many. `group_by: none` ignores speakers
    and sentences, to show what such a split would claim.

    Raises `InputError` where a class has too few speakers to be in every split.
    """
    if params.fold >= params.folds:
        raise InputError(f"params.yaml: split.fold: {params.fold}, must be below split.folds ({params.folds})")
    index = index.sort_values("clip_id", ignore_index=True)
    clips = index[["clip_id", "label", "client_id", "sentence"]].copy()
    first = same_recordings(index["fingerprint"])
    clips["recording"] = clips["clip_id"].to_numpy()[first]
    clips["voice"] = voices = _voices(clips["client_id"], first)
    probed, only_trained = clips["label"].isin(probes), index["segment"].isin(params.train_segments)
    clips["split"] = np.where(probed, PROBE, "train")
    clips["reason"] = ""
    clips.loc[probed & only_trained, ["split", "reason"]] = [UNUSED, "probe: of a segment that is only trained on"]
    _leave_out_copies(clips, probed, only_trained)
    folded = clips[~probed & ~only_trained & (clips["split"] != UNUSED)]
    _check_speakers(folded["label"], voices[folded.index], params, classes)
    test = _fold(folded["label"], voices[folded.index], params.folds, params.fold, params)
    clips.loc[folded.index[test], "split"] = "test"
    rest = folded[~test]
    valid = _fold(rest["label"], voices[rest.index], params.valid_folds, 0, params)
    clips.loc[rest.index[valid], "split"] = "valid"
    if params.group_by == "speaker":
        _separate(clips, voices, "speaker")
        _separate(clips, sentence_key(clips["sentence"]), "sentence")
    _limit(clips, params)
    _check_classes(clips[~clips["label"].isin(probes)], params)
    return clips


def clips_by_voice(splits: Path, waveforms: Path) -> pd.DataFrame:
    """The clips of the table of splits with the columns of the waveforms' index.

    Their `client_id` is the voice: speakers that share a recording count as one, as they do in all results.
    """
    clips = join_index(read_frame(splits, ["clip_id", "split", "voice"]), waveforms)
    return clips.assign(client_id=clips["voice"])


def _voices(speakers: pd.Series, first: np.ndarray) -> pd.Series:
    """Who speaks in each clip: the first of the speakers that one recording, or a chain of them, has in common."""
    codes, names = pd.factorize(speakers, sort=True)
    linked = first_linked(np.stack([codes, codes[first]], axis=1), len(names))
    return pd.Series(names.to_numpy()[linked[codes]], index=speakers.index)


def _leave_out_copies(clips: pd.DataFrame, probed: pd.Series, only_trained: pd.Series) -> None:
    """Leave of each recording one clip: of a probe, of what may be tested, or else of what is only trained on."""
    used = clips["split"] != UNUSED
    classes = clips["label"][used & ~probed].groupby(clips["recording"]).nunique()
    in_two = used & ~probed & clips["recording"].isin(classes.index[classes > 1])
    clips.loc[in_two, ["split", "reason"]] = [UNUSED, "recording: the same one is in two classes"]
    rest = clips[used & ~in_two].assign(order=np.where(probed, 0, 1 + only_trained)[used & ~in_two])
    copies = rest.sort_values("order", kind="stable")["recording"].duplicated()
    clips.loc[copies.index[copies], ["split", "reason"]] = [UNUSED, "recording: another clip is the same one"]


def _fold(labels: pd.Series, voices: pd.Series, folds: int, fold: int, params: SplitParams) -> np.ndarray:
    """Mask of one of `folds` parts, each with the classes in proportion and, if they are grouped, whole speakers."""
    kind = StratifiedGroupKFold if params.group_by == "speaker" else StratifiedKFold
    splitter = kind(folds, shuffle=True, random_state=params.seed)
    groups = None
    if params.group_by == "speaker":
        # Numbers in the order of the names: the folds are the same, and sorting them takes scikit-learn less time.
        groups = pd.factorize(voices, sort=True)[0] % MAX_GROUPS
    mask = np.zeros(len(labels), dtype=bool)
    try:
        _, chosen = next(islice(splitter.split(labels, labels, groups), fold, None))
        mask[chosen] = True
    except ValueError as error:
        raise InputError(f"split: {error}. Lower split.folds or split.valid_folds, or ingest more") from None
    return mask


def _check_speakers(labels: pd.Series, voices: pd.Series, params: SplitParams, classes: Collection[str]) -> None:
    what, units = ("speakers", voices) if params.group_by == "speaker" else ("clips", pd.Series(labels.index))
    needed = max(params.folds, 3)
    counts = units.groupby(labels.to_numpy()).nunique()
    declared = sorted({*counts.index, *classes})
    if len(declared) < 2:
        one = ", ".join(declared) or "none"
        raise InputError(
            f"split: one class is declared ({one}), at least two are needed. Declare more in ingest.classes"
        )
    if gone := [label for label in declared if label not in counts]:
        raise InputError(
            f"split: no clip of class {gone[0]} is left, though ingest.classes declares it. The rejects.csv of ingest "
            "and decode say why, unless all of its recordings are in another class too. Mend the input"
        )
    for label, count in counts.items():
        if count < needed:
            raise InputError(
                f"split: class {label} has {count} {what}; split.folds={params.folds} needs at least {needed}. "
                "Lower split.folds, or ingest more of that class"
            )


def _check_classes(clips: pd.DataFrame, params: SplitParams) -> None:
    counts = pd.crosstab(clips["label"], clips["split"]).reindex(columns=SPLITS, fill_value=0).stack()
    for label, split in counts.index[counts == 0]:
        raise InputError(
            f"split: class {label} has no clip in {split} (fold {params.fold} of {params.folds}, seed {params.seed}): "
            "too few speakers, or all of its sentences are in another split. "
            "Change split.folds, split.valid_folds or split.seed, or ingest more of that class"
        )


def _separate(clips: pd.DataFrame, keys: pd.Series, kind: str) -> None:
    """Leave each key ("" is none) in one split only: test first, so that what is tested does not depend on the rest."""
    for keep, others in KEPT:
        kept = set(keys[clips["split"] == keep]) - {""}
        shared = clips["split"].isin(others) & keys.isin(kept)
        clips.loc[shared, ["split", "reason"]] = [UNUSED, f"{kind}: also in {keep}"]


def sentence_key(sentences: pd.Series) -> pd.Series:
    """A sentence's words, by which equal texts are found: no case, punctuation or Unicode form. "" is no text."""

    codes, unique = pd.factorize(sentences)
    keys = [NOT_WORDS.sub(" ", unicodedata.normalize("NFKC", sentence).casefold()).strip() for sentence in unique]
    return pd.Series(pd.array(keys, dtype=str).take(codes), index=sentences.index)


def _limit(clips: pd.DataFrame, params: SplitParams) -> None:
    for split in ("train", "valid"):
        rows = clips[clips["split"] == split]
        capped = draw(rows, params.seed, params.max_clips_per_speaker, 0)
        smallest = int(capped["label"].value_counts().min()) if params.balance and len(capped) else 0
        balanced = draw(capped, params.seed, 0, smallest)
        clips.loc[rows.index.difference(capped.index), ["split", "reason"]] = [UNUSED, "speaker: over the limit"]
        clips.loc[capped.index.difference(balanced.index), ["split", "reason"]] = [UNUSED, "balance: class too large"]


def shared_between_splits(clips: pd.DataFrame) -> dict[str, int]:
    """How many speakers, sentences and recordings are in more than one of train, valid, and test with the probes."""
    used = clips[clips["split"] != UNUSED].replace({"split": {PROBE: "test"}})
    text = sentence_key(used["sentence"])
    return {
        "speakers": int((used.groupby("voice")["split"].nunique() > 1).sum()),
        "sentences": int((used["split"][text != ""].groupby(text).nunique() > 1).sum()),
        "recordings": int((used.groupby("recording")["split"].nunique() > 1).sum()),
    }
