import numpy as np
import pandas as pd
import pytest

from accent.errors import InputError
from accent.splits import SplitParams, make_splits, sentence_key, shared_between_splits

BASE = {
    "folds": 5,
    "fold": 0,
    "valid_folds": 5,
    "group_by": "speaker",
    "train_segments": (),
    "max_clips_per_speaker": 0,
    "balance": False,
    "seed": 1,
}


def make_index(speakers: int = 60, clips: int = 10, sentences: int = 400, seed: int = 0) -> pd.DataFrame:
    """Speakers of two classes with 1 to 2 x `clips` clips each; sentences are read by several of them."""
    generator = np.random.default_rng(seed)
    rows = []
    for speaker in range(speakers):
        label = "french" if speaker % 2 else "english"
        for clip in range(generator.integers(1, 2 * clips)):
            sentence = f"{label} {generator.integers(sentences)}"
            rows.append((f"{speaker:03d}-{clip:03d}", label, f"speaker-{speaker}", sentence))
    return pd.DataFrame(rows, columns=["clip_id", "label", "client_id", "sentence"]).assign(segment="")


def split(index: pd.DataFrame, probes: tuple[str, ...] = (), **changes) -> pd.DataFrame:
    return make_splits(index, SplitParams(**(BASE | changes)), probes)


def test_no_speaker_and_no_sentence_is_in_two_splits():
    for fold in range(5):
        clips = split(make_index(), fold=fold)
        assert shared_between_splits(clips) == {"speakers": 0, "sentences": 0}
        used = clips[clips["split"] != "unused"]
        for column in ("client_id", "sentence"):
            members = [set(rows[column]) for _, rows in used.groupby("split")]
            assert len(set.union(*members)) == sum(map(len, members))


def test_over_the_folds_every_clip_is_tested_once():
    index = make_index()
    tested = pd.concat([split(index, fold=fold).query("split == 'test'") for fold in range(5)])
    assert sorted(tested["clip_id"]) == sorted(index["clip_id"])


def test_the_fractions_hold_in_every_class():
    index = make_index(speakers=300, sentences=100_000)
    clips = split(index, folds=10)
    shares = pd.crosstab(clips["label"], clips["split"], normalize="index")
    for label in ("english", "french"):
        assert shares.loc[label, "test"] == pytest.approx(0.1, abs=0.02)
        assert shares.loc[label, "valid"] == pytest.approx(0.18, abs=0.03)


def test_speakers_beyond_what_scikit_learn_divides_in_time_are_divided_in_bundles(monkeypatch):
    index = make_index(speakers=300, sentences=100_000)
    monkeypatch.setattr("accent.splits.MAX_GROUPS", 50)
    clips = split(index)
    assert shared_between_splits(clips) == {"speakers": 0, "sentences": 0}
    shares = pd.crosstab(clips["label"], clips["split"], normalize="index")
    assert shares["test"].between(0.17, 0.23).all()
    assert shares["valid"].between(0.13, 0.19).all()
    bundle = pd.factorize(clips["client_id"], sort=True)[0] % 50
    tested = (clips["split"] == "test").groupby(bundle)
    assert tested.nunique().eq(1).all()
    assert tested.first().sum() == pytest.approx(10, abs=2)


def test_dropped_clips_have_a_reason_and_test_has_none_dropped():
    clips = split(make_index(), max_clips_per_speaker=5, balance=True)
    assert (clips.loc[clips["split"] == "unused", "reason"] != "").all()
    assert (clips.loc[clips["split"] != "unused", "reason"] == "").all()
    kinds = set(clips["reason"].str.split(":").str[0]) - {""}
    assert kinds == {"sentence", "speaker", "balance"}
    for name in ("train", "valid"):
        rows = clips[clips["split"] == name]
        assert rows["client_id"].value_counts().max() <= 5
        assert rows["label"].value_counts().nunique() == 1


def test_without_groups_speakers_are_shared_and_every_clip_is_used():
    clips = split(make_index(), group_by="none")
    assert shared_between_splits(clips)["speakers"] > 40
    assert (clips["split"] != "unused").all()


def test_the_order_of_the_index_does_not_matter_and_the_seed_does():
    index = make_index()
    shuffled = index.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(split(index), split(shuffled))
    assert (split(index)["split"] != split(index, seed=2)["split"]).any()


def test_too_few_speakers_is_a_clear_error():
    index = make_index(speakers=8)
    with pytest.raises(InputError, match="class english has 4 speakers; split.folds=5 needs at least 5"):
        split(index)
    with pytest.raises(
        InputError, match="split: Cannot have number of splits n_splits=50 greater than the number of groups"
    ):
        split(make_index(speakers=12), valid_folds=50, folds=3)
    with pytest.raises(InputError, match=r"there is one class \(french\), at least two are needed"):
        split(index[index["label"] == "french"])
    with pytest.raises(InputError, match=r"split.fold: 5, must be below split.folds \(5\)"):
        split(make_index(), fold=5)


def test_a_class_that_loses_all_its_sentences_is_a_clear_error():
    index = make_index()
    index.loc[index["label"] == "french", "sentence"] = "always the same"
    with pytest.raises(InputError, match="class french has no clip in (train|valid)"):
        split(index)


def test_what_is_the_same_sentence():
    texts = pd.Series(
        ["L\u2019été, déjà !", "l'été déjà", "Lete deja", "", " . ", "L' e\u0301te\u0301 de\u0301ja\u0300"]
    )
    keys = sentence_key(texts)
    assert keys[0] == keys[1] == keys[5] != keys[2]
    assert keys[3] == keys[4] == ""


def test_clips_without_a_sentence_are_not_one_group():
    index = make_index()
    index["sentence"] = ""
    clips = split(index)
    assert set(clips["split"]) == {"train", "valid", "test"}


def test_three_classes():
    index = make_index(speakers=90)
    index["label"] = index["client_id"].str.split("-").str[1].astype(int).mod(3).map({0: "de", 1: "en", 2: "fr"})
    clips = split(index, balance=True)
    counts = pd.crosstab(clips["split"], clips["label"])
    assert (counts.loc[["train", "valid"]].nunique(axis=1) == 1).all()
    assert (counts.loc["test"] > 0).all()


def test_a_probe_takes_no_part_in_training_nor_do_its_speakers_and_sentences():
    index = make_index(sentences=2000)
    learners = index["client_id"].isin([f"speaker-{number}" for number in range(0, 60, 9)])
    index.loc[learners & (np.arange(len(index)) % 2 == 0), "label"] = "learners"
    clips = split(index, ["learners"])
    probed = clips[clips["split"] == "probe"]
    assert set(probed["label"]) == {"learners"}
    assert (clips.loc[clips["label"] == "learners", "split"] == "probe").all()
    taught = clips[clips["split"].isin(["train", "valid"])]
    assert not set(taught["client_id"]) & set(probed["client_id"])
    assert not set(taught["sentence"]) & set(probed["sentence"])
    assert "speaker: also in probe" in set(clips["reason"])
    assert shared_between_splits(clips) == {"speakers": 0, "sentences": 0}
    assert ((clips["split"] == "test") & clips["client_id"].isin(probed["client_id"])).any()  # these may be judged


def test_clips_of_a_segment_for_training_are_nowhere_else_and_change_no_fold():
    index, more = make_index(), make_index(speakers=70)
    more = more[more["client_id"].str.removeprefix("speaker-").astype(int) >= 55]  # five of them also in the folds
    more = more.assign(clip_id="s" + more["clip_id"], segment="synthetic")
    alone = split(index)
    clips = split(pd.concat([index, more]), train_segments=("synthetic",))
    made = clips["clip_id"].str.startswith("s")
    assert set(clips.loc[made, "split"]) == {"train", "unused"}
    pd.testing.assert_series_equal(
        alone.set_index("clip_id")["split"], clips[~made].set_index("clip_id")["split"].reindex(alone["clip_id"])
    )
    assert shared_between_splits(clips) == {"speakers": 0, "sentences": 0}
