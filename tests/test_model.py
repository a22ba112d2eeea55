import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.windows import cut, even_starts
from accent.core.errors import InputError
from accent.core.params import load_params
from accent.network.model import build_model, load_model, save_model, window_logits
from tests.helpers import ROOT

CLIPS = [
    np.random.default_rng(n).integers(0, 256, (length, 64)).astype(np.uint8) for n, length in enumerate((90, 150, 470))
]


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_model("resnet18", 2).eval()


def card(**changes) -> dict:
    values = {
        "arch": "resnet18",
        "width": 64,
        "antialias": False,
        "classes": ["english", "french"],
        "audio": {"silence_db": 40, "margin_seconds": 0.05, "min_seconds": 0.8, "max_seconds": 30},
        "spectrogram": asdict(load_params("spectrogram", SpectrogramParams, ROOT / "params.yaml")),
        "window_seconds": 1.5,
        "window_hop_seconds": 0.5,
        "temperature": 1.5,
    }
    return values | changes


def test_a_saved_model_is_the_same_when_loaded(tmp_path, model):
    save_model(tmp_path, model, card())
    loaded, loaded_card = load_model(tmp_path)
    assert loaded_card.classes == ("english", "french")
    assert (loaded_card.window, loaded_card.window_hop) == (150, 50)
    for one, other in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_no_file_of_a_model_is_a_pickle(tmp_path, model):
    save_model(tmp_path, model, card())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accent.json", "accent.safetensors"]
    data = (tmp_path / "accent.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert "1.conv1.weight" in header


def damage_json(folder: Path) -> None:
    (folder / "accent.json").write_text("{")


def foreign_key(folder: Path) -> None:
    document = json.loads((folder / "accent.json").read_text())
    (folder / "accent.json").write_text(json.dumps(document | {"colour": "red"}))


def other_network(folder: Path) -> None:
    path = folder / "accent.json"
    path.write_text(path.read_text().replace("resnet18", "vgg"))


def other_weights(folder: Path) -> None:
    path = folder / "accent.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def one_class_more(folder: Path) -> None:
    document = json.loads((folder / "accent.json").read_text())
    (folder / "accent.json").write_text(json.dumps(document | {"classes": ["a", "b", "c"]}))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (damage_json, "not valid JSON"),
        (other_network, "accent.json.arch: no network 'vgg'. Known: "),
        (foreign_key, "accent.json.colour: no such parameter. Known here: arch, width"),
        (other_weights, "not the weights that accent.json describes"),
        (one_class_more, "does not fit resnet18"),
        (lambda folder: (folder / "accent.safetensors").unlink(), "'dvc repro' or 'dvc pull' brings the model"),
    ],
)
def test_a_model_that_was_tampered_with_is_one_clear_line(tmp_path, model, damage, expected):
    save_model(tmp_path, model, card())
    damage(tmp_path)
    with pytest.raises(InputError, match=expected) as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)


def test_window_logits_are_those_of_each_window_alone(model):
    starts, logits = window_logits(model, CLIPS, 150, 50, batch_size=4)
    assert [len(clip) for clip in starts] == [len(clip) for clip in logits] == [1, 1, 8]
    for clip, clip_starts, clip_logits in zip(CLIPS, starts, logits, strict=True):
        np.testing.assert_array_equal(clip_starts, even_starts(len(clip), 150, 50))
        for start, expected in zip(clip_starts, clip_logits, strict=True):
            window = torch.from_numpy(cut(clip, start, 150)[np.newaxis]).float() / 255
            with torch.inference_mode():
                np.testing.assert_allclose(model(window)[0].numpy(), expected, rtol=1e-4, atol=1e-4)


def test_networks_take_one_channel_and_any_window(model):
    for arch in ("resnet18", "resnet34", "resnet50"):
        assert build_model(arch, 3).eval()(torch.rand(2, 1, 64, 100)).shape == (2, 3)
    with pytest.raises(InputError, match=r"train.arch: no network 'vgg'. Known: .*resnet18"):
        build_model("vgg", 2)
    assert len(model[1].conv1.weight[0]) == 1
