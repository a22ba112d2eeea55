"""The second pipeline: every stage on a few clips with a teacher of random weights; its errors; the shipped trunk."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import yaml
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from accent.audio.spectrogram import SpectrogramParams
from accent.core.errors import InputError
from accent.core.params import load_params
from accent.core.parts import Parts, read_index
from accent.evaluation.metrics import auc
from accent.grading.encoder import Encoder, encode
from accent.grading.store import load_ear
from accent.network.resnet import ResNet
from accent.network.trunk import load_trunk
from accent.pretraining.banks import NativesFilter, is_native
from accent.pretraining.lessons import hold_out, teach
from accent.pretraining.listen import out_of_fold, pooled_features
from accent.pretraining.sources import corpora, release_of
from accent.pretraining.teacher import BASE, TeachParams, load_teacher
from tests.helpers import EXCLUSIONS, ROOT, sample_clips, set_params, stage, stage_here, write_locale

pytestmark = pytest.mark.slow

PRETRAINING = ROOT / "pretraining"
OUTPUTS = ("student.safetensors", "distilled", "distilled.json")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A folder with an encoder of Whisper-base's shapes and random weights."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(0)
    state = WhisperEncoder(WhisperConfig(**BASE)).state_dict()
    safetensors.torch.save_file(
        {name: tensor.half().contiguous() for name, tensor in state.items()}, folder / "encoder.safetensors"
    )
    return folder


def write_speech(folder: Path, locales: dict[str, int], clips: int = 12, speakers: int = 6, known: bool = True) -> None:
    """A release of unlabelled speech: the sample's recordings under names of their own, from a place in its list."""
    for locale, first in locales.items():
        recordings = sample_clips("fr" if locale == "fr" else "en")[first : first + clips]
        rows, files = [], {}
        for number, recording in enumerate(recordings):
            name = f"speech_{locale}_{first}_{number}.mp3"
            speaker = f"{locale}-{number % speakers}" if known else ""
            rows.append({"client_id": speaker, "path": name, "sentence": f"{locale} {number}", "locale": locale})
            files[name] = recording.read_bytes()
        write_locale(folder / "a-release" / locale, "client_id path sentence up_votes down_votes locale", rows, files)


@pytest.fixture(scope="module")
def speech(tmp_path_factory, teacher):
    """A folder in which `distil` can run: waveforms and spectrograms of 25 clips, one of which is all of its locale."""
    folder = tmp_path_factory.mktemp("speech")
    write_speech(folder / "speech", {"fr": 0, "en": 0})
    write_speech(folder / "speech", {"it": 60}, clips=1)
    write_speech(folder / "labelled", {"fr": 40, "en": 40}, clips=8, speakers=8)
    shutil.copy(PRETRAINING / "params.yaml", folder)
    settings = {
        "ingest": {"releases": "speech"},
        "decode": {"max_reject_fraction": 0.9},
        "teach": {"teacher": str(teacher), "layers": [1, 2], "context_seconds": 2, "batch_size": 16},
        "distil": {
            "width": 8,
            "epochs": 2,
            "windows_per_clip": 1,
            "batch_size": 4,
            "held_out_locales": [],
            "held_out_share": 0.3,
        },
        "banks": {
            "layers": 2,
            "dimensions": 16,
            "natives": {"fr": {}},
            "native_clips": 8,
            "takes": 4,
            "other_clips": 6,
        },
        "listen": {"sets": {"labelled": "labelled"}, "licences": {"a-release": "CC0-1.0"}, "context_seconds": 2},
        "evaluate": {"resamples": 20},
    }
    set_params(folder, settings)
    stage("ingest", EXCLUSIONS, "clips", cwd=folder)
    stage("decode", "clips", "waveforms", cwd=folder)
    stage("spectrogram", "waveforms", "spectrograms", cwd=folder)
    return folder


def distil_arguments(name: str) -> list[str]:
    """The arguments of the distil stage in such a folder, with all that it writes below `name`."""
    return ["waveforms", "spectrograms", *(f"{name}/{output}" for output in OUTPUTS), "--state", f"{name}/state"]


KILLED_IN_THE_SECOND_EPOCH = """
import os, runpy, signal, sys
from accent.training.checkpoint import Checkpoint

def kill(self):
    if self.epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)

Checkpoint.after_step = kill
runpy.run_module("stages.distil", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def distilled(speech):
    """The same folder after `distil`, whose outputs are below `one`; and what the stage said."""
    return speech, stage("distil", *distil_arguments("one"), cwd=speech).stdout


def test_distil_killed_in_the_middle_goes_on_and_gives_the_same_bytes(distilled):
    folder, said = distilled
    command = [sys.executable, "-c", KILLED_IN_THE_SECOND_EPOCH, *distil_arguments("two")]
    killed = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert [
        path.name for path in (folder / "two").iterdir() if path.name in ("student.safetensors", "distilled.json")
    ] == []
    again = stage("distil", *distil_arguments("two"), cwd=folder)
    assert "continuing after epoch 1 of 2" in again.stdout
    assert again.stdout.splitlines()[-1].split(": ", 1)[1] == said.splitlines()[-1].split(": ", 1)[1]
    for name in ("student.safetensors", "distilled.json"):
        assert (folder / "two" / name).read_bytes() == (folder / "one" / name).read_bytes()


def test_every_stage_runs_on_a_few_clips(distilled, capsys):
    speech, said = distilled
    assert "explained_clips_layer1" in said
    metrics = json.loads((speech / "one/distilled.json").read_text())
    assert metrics["clips"] + 1 < 25
    assert set(metrics["explained_by_locale"]) <= {"fr", "en", "it"}
    outputs = ["one/student.safetensors", "one/distilled.json", "trunk", "listen.json"]
    stage_here("listen", "waveforms", "spectrograms", *outputs, cwd=speech)
    assert "ROC AUC of linear probes" in capsys.readouterr().out
    card = json.loads((speech / "trunk/trunk.json").read_text())
    assert card["data"][0]["release"] == "a-release"
    assert card["data"][0]["locales"] == ["en", "fr", "it"]
    assert set(card["metrics"]["probes"]) == {"trunk", "random", "teacher"}
    assert card["width"] == 8
    assert card["teacher"]["layers"] == [1, 2]
    names = safetensors.torch.load_file(speech / "trunk/trunk.safetensors")
    assert names["conv1.weight"].dtype == torch.float16
    assert not any(name.startswith("fc.") for name in names)
    stage_here("banks", "waveforms", "encoder", "banks.json", cwd=speech)
    assert "correlation of its grades with the teacher's: fr" in capsys.readouterr().out
    ear, card = load_ear(speech / "encoder")
    assert ear.project.out_features == 16
    assert card.others == ("en", "it")
    assert card.natives["fr"].takes == 4
    assert [(corpus.release, corpus.clips) for corpus in card.data] == [("a-release", 14)]
    teacher = safetensors.torch.load_file(speech_teacher(speech) / "encoder.safetensors")["layers.0.fc1.weight"].float()
    assert (ear.encoder.layers[0].fc1.weight - teacher).abs().max() < teacher.abs().max() / 200


def speech_teacher(folder: Path) -> Path:
    return Path(yaml.safe_load((folder / "params.yaml").read_text())["teach"]["teacher"])


def test_a_clip_that_grades_are_tried_on_is_in_no_bank(speech, tmp_path):
    folder = copy_inputs(speech, tmp_path / "same", {"listen": {"sets": {"known": "speech"}}})
    with pytest.raises(
        InputError, match=r"listen.sets.known: speech_en_0_0 may be in a bank. Take it out of the speech"
    ):
        stage_here("banks", "waveforms", "encoder", "banks.json", cwd=folder)
    assert not (folder / "encoder").exists()


def copy_inputs(speech: Path, folder: Path, settings: dict) -> Path:
    """What `distil` and `banks` read, with other settings."""
    for name in ("speech", "waveforms", "spectrograms"):
        shutil.copytree(speech / name, folder / name)
    shutil.copy(speech / "params.yaml", folder)
    set_params(folder, settings)
    return folder


def test_natives_are_those_who_state_no_other_accent():
    accents = ["", "Irish English", "Irish English|Scottish English", "Irish English, Dutch", "Irish English"]
    clips = pd.DataFrame({"label": "en", "accents": accents, "client_id": ["a", "b", "c", "d", "unknown:e"]})
    who = NativesFilter(accents=("Irish English", "Scottish English"))
    assert is_native(clips, "en", who).tolist() == [False, True, True, False, False]
    assert is_native(clips, "en", NativesFilter()).all()
    assert not is_native(clips, "fr", NativesFilter()).any()


def read_lessons(folder: Path) -> tuple[pd.DataFrame, Parts, Parts]:
    clips = read_index(folder / "spectrograms")
    waveforms = read_index(folder / "waveforms")
    clips = clips.merge(waveforms[["clip_id", "label", "client_id"]], on="clip_id")
    return clips, Parts(folder / "spectrograms", clips), Parts(folder / "waveforms", waveforms)


class Recorder:
    """A teacher whose frames say which clip they are of; after `until` calls it fails."""

    sha256, params, width, bfloat16 = "0", "none", 4, False

    def __init__(self, until: int) -> None:
        self.calls, self.until = 0, until

    def frames(self, waveforms):
        self.calls += 1
        if self.calls > self.until:
            raise InputError("stopped")
        return [np.full((len(waveform) // 320, 4), len(waveform) % 97, np.float16) for waveform in waveforms]


def test_teaching_goes_on_where_it_was_broken_off(speech, tmp_path, monkeypatch):
    monkeypatch.setattr("accent.pretraining.lessons.CLIPS_AT_ONCE", 5)
    lessons = read_lessons(speech)
    whole = teach(*lessons, Recorder(99), tmp_path / "whole")
    with pytest.raises(InputError, match="stopped"):
        teach(*lessons, Recorder(2), tmp_path / "broken")
    again = Recorder(99)
    continued = teach(*lessons, again, tmp_path / "broken")
    assert again.calls == -(-len(lessons[0]) // 5) - 2
    assert torch.equal(whole.frames, continued.frames)
    assert torch.equal(whole.spectrograms, continued.spectrograms)
    for row in (0, len(whole.clips) - 1):
        first, length = whole.clips["first"].iat[row], whole.clips["length"].iat[row]
        expected = lessons[1][row][:length]
        assert np.array_equal(whole.spectrograms[first : first + length].numpy(), expected)
        assert (whole.frames[first // 2 : (first + length) // 2] == len(lessons[2][row]) % 97).all()


def test_a_full_disk_is_told_before_anything_is_taught(speech, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    teacher = Recorder(99)
    with pytest.raises(OSError, match=r"No space left.*spectrograms\.npy"):
        teach(*read_lessons(speech), teacher, tmp_path)
    assert not teacher.calls
    assert not list(tmp_path.glob("*.npy"))


def make_teacher(folder: Path, **changes) -> TeachParams:
    settings = {"teacher": str(folder), "layers": (2,), "context_seconds": 4, "batch_size": 2}
    return TeachParams(**settings | changes)


def test_the_encoder_in_plain_torch_is_transformers_own(teacher):
    state = safetensors.torch.load_file(teacher / "encoder.safetensors")
    encoder = Encoder(2, 4 * 50).eval()
    state["embed_positions.weight"] = state["embed_positions.weight"][: 4 * 50]
    encoder.load_state_dict({name: state[name].float() for name in encoder.state_dict()})
    rng = np.random.default_rng(0)
    waveforms = [(rng.normal(0, 3000, size)).astype(np.int16) for size in (50000, 64000 * 2)]  # two pieces of 4 s
    expected = load_teacher(make_teacher(teacher), "cpu").frames(waveforms)
    for waveform, frames in zip(waveforms, expected, strict=True):
        found = encode(encoder, waveform, 4)
        assert found.shape == frames.shape
        assert torch.allclose(found, torch.from_numpy(frames).float(), atol=0.01)


def test_a_teacher_in_bfloat16_says_nearly_the_same(teacher):
    waveform = np.random.default_rng(0).normal(0, 3000, 50000).astype(np.int16)
    exact, rounded = (
        load_teacher(make_teacher(teacher), "cpu", bfloat16).frames([waveform])[0].astype(float)
        for bfloat16 in (False, True)
    )
    assert 0 < np.abs(rounded - exact).mean() < 0.05 * np.abs(exact).mean()


def test_a_teacher_has_one_hash_whatever_it_is_asked(teacher):
    asked = make_teacher(teacher), make_teacher(teacher, context_seconds=2, layers=(1,))
    assert len({load_teacher(params, "cpu").sha256 for params in asked}) == 1


def test_what_is_wrong_with_a_teacher_is_told_in_a_line(teacher, tmp_path):
    with pytest.raises(InputError, match="no encoder.safetensors here. Put the teacher's weights there"):
        load_teacher(make_teacher(tmp_path), "cpu")
    weights = (teacher / "encoder.safetensors").read_bytes()
    (tmp_path / "encoder.safetensors").write_bytes(weights[:-100])
    with pytest.raises(InputError, match="encoder.safetensors: damaged"):
        load_teacher(make_teacher(tmp_path), "cpu")
    state = safetensors.torch.load(weights)
    tiny = {name: tensor[..., :384].contiguous() for name, tensor in state.items()}
    safetensors.torch.save_file(tiny, tmp_path / "encoder.safetensors")
    with pytest.raises(InputError, match="not the encoder of Whisper-base"):
        load_teacher(make_teacher(tmp_path), "cpu")
    state["layers.0.fc1.bias"][0] = float("nan")
    safetensors.torch.save_file(state, tmp_path / "encoder.safetensors")
    with pytest.raises(InputError, match="the teacher's output is no finite number"):
        load_teacher(make_teacher(tmp_path), "cpu").frames([np.ones(16000, np.int16)])


def test_what_is_wrong_with_the_speech_is_told_in_a_line(speech, tmp_path):
    clips = read_lessons(speech)[0]
    with pytest.raises(InputError, match="held_out_locales: no clip of 'xx'. There are: en, fr"):
        hold_out(clips, ("xx",), 0.1, 1)
    kinds = hold_out(clips, ("fr",), 0.5, 1)
    assert set(kinds[clips["label"] == "fr"]) == {"locales"}
    assert (kinds.groupby(clips["client_id"]).nunique() == 1).all()  # whole speakers
    assert hold_out(clips, ("it",), 0, 1).value_counts().to_dict() == {"train": len(clips) - 1, "locales": 1}
    for locales, share, expected in (
        ((), 0, "hold nothing out"),
        (("en", "fr", "it"), 0, "leave nothing to learn from"),
    ):
        with pytest.raises(InputError, match=f"distil.held_out_share and held_out_locales {expected}"):
            hold_out(clips, locales, share, 1)
    folder = copy_inputs(speech, tmp_path / "long", {"distil": {"window_seconds": 29}})
    with pytest.raises(InputError, match=r"^spectrograms: no clip of 29 s. Lower distil.window_seconds$"):
        stage_here("distil", *distil_arguments("out"), cwd=folder)
    assert not (folder / "out").exists()
    rows = read_index(speech / "waveforms")
    with pytest.raises(InputError, match="listen.licences: nothing for the release a-release. State its licence"):
        corpora(rows, release_of(speech / "speech", rows), {})


def test_a_clip_without_a_client_id_is_a_speaker_of_its_own(tmp_path):
    write_speech(tmp_path / "speech", {"en": 0}, known=False)
    shutil.copy(PRETRAINING / "params.yaml", tmp_path)
    set_params(tmp_path, {"ingest": {"releases": "speech", "max_clips_per_speaker": 1}})
    done = stage("ingest", EXCLUSIONS, "clips", cwd=tmp_path)
    assert "clips: 12 clips (12 en)" in done.stdout
    rows = pd.concat(map(pd.read_parquet, sorted((tmp_path / "clips").glob("part-*.parquet"))))
    assert rows["client_id"].nunique() == 12
    assert rows["client_id"].str.startswith("unknown:").all()


def test_the_shipped_trunk_is_the_one_of_the_lock():
    locked = yaml.safe_load((PRETRAINING / "dvc.lock").read_text())["stages"]["listen"]["outs"]
    for out in locked:
        if out["path"].startswith("../"):
            data = (PRETRAINING / out["path"]).read_bytes()
            assert hashlib.md5(data, usedforsecurity=False).hexdigest() == out["md5"], out["path"]
    assert sum(path.stat().st_size for path in (ROOT / "models/trunk").iterdir()) < 25e6


def test_both_pipelines_hear_alike():
    first, second = (yaml.safe_load((folder / "params.yaml").read_text()) for folder in (ROOT, PRETRAINING))
    assert first["decode"] == second["decode"]
    assert first["spectrogram"] == second["spectrogram"]
    assert {name: first["train"][name] for name in ("arch", "width", "antialias", "augment")} == {
        name: second["distil"][name] for name in ("arch", "width", "antialias", "augment")
    }


@pytest.mark.parametrize("project", [ROOT, PRETRAINING])
def test_bytecode_is_no_input(project):
    assert "__pycache__/" in (project / ".dvcignore").read_text().split()


def test_the_trunk_hears_french_from_english_and_random_weights_do_not(tmp_path):
    """Linear probes by folds of speakers on clips of the sample, which took no part in the pre-training."""
    train = yaml.safe_load((ROOT / "params.yaml").read_text())["train"]
    shutil.copy(ROOT / "params.yaml", tmp_path)
    set_params(tmp_path, {"ingest": {"max_clips_per_speaker": 5}})
    for name, *arguments in (
        ("ingest", ROOT / "data/sample", EXCLUSIONS, "clips"),
        ("decode", "clips", "waveforms"),
        ("spectrogram", "waveforms", "spectrograms"),
    ):
        stage(name, *arguments, cwd=tmp_path)
    index = read_index(tmp_path / "spectrograms")
    clips = index.merge(read_index(tmp_path / "waveforms")[["clip_id", "label", "client_id"]], on="clip_id")
    french = (clips["label"] == "french").to_numpy()
    spectrogram = load_params("spectrogram", SpectrogramParams, ROOT / "params.yaml")
    shape = train["arch"], train["width"], train["antialias"]
    trunk = load_trunk(ROOT / "models/trunk", *shape, spectrogram)
    torch.manual_seed(0)
    found = {}
    for name in ("random", "trunk"):
        network = ResNet(*shape, channels=1).eval()
        if name == "trunk":
            network.load_state_dict(network.state_dict() | trunk)
        features = pooled_features(network, Parts(tmp_path / "spectrograms", index), 150, 75)
        found[name] = auc(french, out_of_fold(features, clips, 1))
    assert found["trunk"] > 0.95 > found["random"] + 0.05, found
