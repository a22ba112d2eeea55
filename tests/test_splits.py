import shutil

import numpy as np
import pandas as pd
import pytest

from accent.core.errors import InputError
from accent.corpus.common_voice import TSV
from accent.corpus.splits import SplitParams, clips_by_voice, make_splits, sentence_key, shared_between_splits
from tests.helpers import EXCLUSIONS, set_params, stage, write_release
from tests.test_fingerprint import made_print

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

NONE_SHARED = {"speakers": 0, "sentences": 0, "recordings": 0}


def make_index(speakers: int = 60, clips: int = 10, sentences: int = 400, seed: int = 0) -> pd.DataFrame:
    """Speakers of two classes with 1 to 2 x `clips` clips each; sentences are read by several of them."""
    generator = np.random.default_rng(seed)
    rows = []
    for speaker in range(speakers):
        label = "french" if speaker % 2 else "english"
        for clip in range(generator.integers(1, 2 * clips)):
            sentence = f"{label} {generator.integers(sentences)}"
            rows.append((f"{speaker:03d}-{clip:03d}", label, f"speaker-{speaker}", sentence))
    return pd.DataFrame(rows, columns=["clip_id", "label", "client_id", "sentence"]).assign(segment="", fingerprint=b"")


def split(index: pd.DataFrame, probes: tuple[str, ...] = (), **changes) -> pd.DataFrame:
    return make_splits(index, SplitParams(**(BASE | changes)), probes)


def test_no_speaker_and_no_sentence_is_in_two_splits():
    for fold in range(5):
        clips = split(make_index(), fold=fold)
        assert shared_between_splits(clips) == NONE_SHARED
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
    monkeypatch.setattr("accent.corpus.splits.MAX_GROUPS", 50)
    clips = split(index)
    assert shared_between_splits(clips) == NONE_SHARED
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
    french = index[index["label"] == "french"]
    with pytest.raises(InputError, match=r"one class is declared \(french\), at least two are needed"):
        split(french)
    message = (
        "no clip of class english is left, though ingest.classes declares it. The rejects.csv of ingest and decode"
    )
    with pytest.raises(InputError, match=message):
        make_splits(french, SplitParams(**BASE), classes=["english", "french"])
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
    assert shared_between_splits(clips) == NONE_SHARED
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
    assert shared_between_splits(clips) == NONE_SHARED


def with_copies(index: pd.DataFrame, labels: list[str], speakers: list[str]) -> pd.DataFrame:
    """The index, in which other clips have the recordings of its first ones, under other names and sentences."""
    generator = np.random.default_rng(3)
    prints = [made_print(generator).tobytes() for _ in range(len(index))]
    index = index.assign(fingerprint=prints)
    copies = index.head(len(labels)).assign(label=labels, client_id=speakers)
    copies["clip_id"] = "z" + copies["clip_id"]
    copies["sentence"] = "text " + copies["clip_id"]
    return pd.concat([index, copies], ignore_index=True)


def test_of_one_recording_a_single_clip_is_used_and_its_speakers_count_as_one():
    index = make_index()
    index["sentence"] = "sentence of " + index["clip_id"]
    label = index["label"].iloc[0]
    for fold in range(5):
        clips = split(with_copies(index, [label] * 3, ["a", "a", "speaker-4"]), fold=fold).set_index("clip_id")
        assert shared_between_splits(clips) == NONE_SHARED
        copies = clips[clips.index.str.startswith("z")]
        assert set(copies["split"]) == {"unused"}
        assert set(copies["reason"]) == {"recording: another clip is the same one"}
        assert list(copies["recording"]) == [clip.removeprefix("z") for clip in copies.index]
        assert (clips["split"] != "unused").sum() == len(index)
        one_voice = clips["client_id"].isin(["speaker-0", "speaker-4"])
        assert clips.loc[one_voice & (clips["split"] != "unused"), "split"].nunique() == 1
    assert split(index)["recording"].equals(split(index)["clip_id"])


def test_a_recording_in_two_classes_is_in_none_and_a_probe_keeps_its_own():
    index = make_index(sentences=100_000)
    here, other = index["label"].iloc[0], "french" if index["label"].iloc[0] == "english" else "english"
    clips = split(with_copies(index, [other, "learners"], ["a", "b"]), ["learners"]).set_index("clip_id")
    first, second = index["clip_id"][:2]
    assert list(clips.loc[[first, f"z{first}"], "reason"]) == ["recording: the same one is in two classes"] * 2
    assert clips.loc[second, "reason"] == "recording: another clip is the same one"
    assert clips.loc[f"z{second}", "split"] == "probe"
    assert here == clips.loc[second, "label"]


@pytest.mark.slow
def test_the_same_audio_under_other_names_in_one_class_and_in_both(workdir):
    """As people find it: bytes copied under another client_id and name, in the same locale and in the other one."""
    release = write_release(workdir / "raw", speakers=8, each=2)
    for number in range(3):
        source = release / "fr" / "clips" / f"common_voice_fr_{number:03d}.mp3"
        for locale in ("fr", "en") if number else ("fr",):
            name = f"copy_{locale}_{number}.mp3"
            shutil.copy(source, release / locale / "clips" / name)
            with open(release / locale / TSV, "a") as table:
                row = [f"copy{locale}{number}", name, "", f"other text {locale} {number}", "", "2", "0"]
                table.write("\t".join([*row, *[""] * 4, locale, ""]) + "\n")
    set_params(workdir, {"split": {"folds": 3, "fold": 0, "valid_folds": 3}})
    stage("ingest", release, EXCLUSIONS, "clips", cwd=workdir)
    stage("decode", "clips", "waveforms", cwd=workdir)
    done = stage("split", "waveforms", "splits.parquet", cwd=workdir)
    assert "6 recording: the same one is in two classes" in done.stdout
    assert "1 recording: another clip is the same one" in done.stdout
    assert done.stdout.splitlines()[-1] == "in more than one split: 0 speakers, 0 sentences, 0 recordings"
    voices = pd.read_parquet(workdir / "splits.parquet").set_index("client_id")["voice"]
    assert voices["copyfr0"] == voices["fr-0"].iloc[0]  # who shares a recording is one voice, as results are counted
    assert voices["fr-7"].nunique() == 1
    clips = clips_by_voice(workdir / "splits.parquet", workdir / "waveforms")
    assert "copyfr0" not in set(clips["client_id"])
    assert {"length", "part"} < set(clips.columns)


@pytest.mark.slow
def test_what_was_declared_is_told_where_decode_refused_a_whole_class(workdir):
    release = write_release(workdir / "raw")
    for path in (release / "fr" / "clips").iterdir():
        path.write_bytes(b"")
    set_params(workdir, {"decode": {"max_reject_fraction": 0.6}})
    stage("ingest", release, EXCLUSIONS, "clips", cwd=workdir)
    stage("decode", "clips", "waveforms", cwd=workdir)
    done = stage("split", "waveforms", "splits.parquet", cwd=workdir, ok=False)
    assert done.stderr.startswith("error: split: no clip of class french is left, though ingest.classes declares it. ")
    assert done.stderr.count("\n") == 1
