import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import safetensors.torch
import torch

from accent.audio.spectrogram import SpectrogramParams
from accent.core.errors import InputError
from accent.core.params import load_params
from accent.network.model import build_model
from accent.network.resnet import ResNet
from accent.network.trunk import imagenet_trunk, load_trunk, save_trunk
from tests.helpers import ROOT, prepare_training, set_params, stage, train_arguments, write_trunk

SPECTROGRAM = load_params("spectrogram", SpectrogramParams, ROOT / "params.yaml")


def load(folder: Path, arch: str = "resnet18", width: int = 8, antialias: bool = False):
    return load_trunk(folder, arch, width, antialias, SPECTROGRAM)


def test_a_saved_trunk_is_the_same_when_loaded_but_for_float16_and_its_head(tmp_path):
    card = write_trunk(tmp_path, width=8)
    torch.manual_seed(1)
    network = ResNet("resnet18", 8, channels=1)
    network.bn1.running_mean += 1 / 3
    save_trunk(tmp_path, network, card)
    trunk = load(tmp_path)
    assert sorted(trunk) == sorted(name for name in network.state_dict() if not name.startswith("fc."))
    for name, value in trunk.items():
        given = network.state_dict()[name]
        assert value.dtype == given.dtype
        torch.testing.assert_close(value, given.half().to(given.dtype), rtol=0, atol=0)


def test_a_network_starts_from_a_trunk_and_a_random_head(tmp_path):
    write_trunk(tmp_path, width=8)
    trunk = load(tmp_path)
    network = build_model("resnet18", 3, 8, False, trunk)[1]
    assert torch.equal(network.layer4[1].conv2.weight, trunk["layer4.1.conv2.weight"])
    assert network.fc.weight.shape == (3, 64)


def change_card(folder: Path, **changes) -> None:
    document = json.loads((folder / "trunk.json").read_text())
    (folder / "trunk.json").write_text(json.dumps(document | changes))


def put_weights(folder: Path, data: bytes) -> None:
    """Other weights, to which the card is made to agree."""
    (folder / "trunk.safetensors").write_bytes(data)
    change_card(folder, weights_sha256=hashlib.sha256(data).hexdigest())


def cut_off(folder: Path) -> None:
    path = folder / "trunk.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def rename(folder: Path) -> None:
    tensors = safetensors.torch.load_file(folder / "trunk.safetensors")
    tensors["encoder.weight"] = tensors.pop("conv1.weight")
    put_weights(folder, safetensors.torch.save(tensors))


def three_colours(folder: Path) -> None:
    tensors = safetensors.torch.load_file(folder / "trunk.safetensors")
    tensors["conv1.weight"] = tensors["conv1.weight"].repeat(1, 3, 1, 1)
    put_weights(folder, safetensors.torch.save(tensors))


def other_spectrogram(folder: Path) -> None:
    card = json.loads((folder / "trunk.json").read_text())
    change_card(folder, spectrogram=card["spectrogram"] | {"n_mels": 40, "fmax_hz": 8000})


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda f: (f / "trunk.safetensors").unlink(), "trunk.safetensors: no such file. 'git restore' or"),
    "no card": (lambda f: (f / "trunk.json").unlink(), "trunk.json: no such file. 'git restore' or"),
    "cut off": (cut_off, "not the weights that trunk.json describes .cut off, or another's"),
    "not safetensors": (lambda f: put_weights(f, b"PK" * 100), "no safetensors file"),
    "card cut off": (lambda f: (f / "trunk.json").write_text("{"), "trunk.json: not valid JSON"),
    "unknown name": (lambda f: change_card(f, colour="red"), "trunk.json.colour: no such parameter. Known here: arch,"),
    "other names": (rename, "not the tensors of resnet18 of width 8: 2 are missing, unknown .*, conv1.weight for one"),
    "other shape": (three_colours, "not the tensors of resnet18 of width 8: 1 are .*, conv1.weight for one"),
    "other spectrogram": (
        other_spectrogram,
        "this trunk is for spectrogram.n_mels 40, not 64; spectrogram.fmax_hz 8000.0, not 4000.0. Change params.yaml",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_trunk_that_does_not_serve_is_one_clear_line(tmp_path, fault):
    write_trunk(tmp_path, width=8)
    damage, expected = FAULTS[fault]
    damage(tmp_path)
    with pytest.raises(InputError, match=expected) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="absent/trunk.safetensors: no such file. .* or set train.weights to none"):
        load(tmp_path / "absent")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"arch": "resnet34"}, "this trunk is for train.arch resnet18, not resnet34. Change"),
        ({"width": 64}, "this trunk is for train.width 8, not 64. Change"),
        ({"antialias": True}, "this trunk is for train.antialias False, not True. Change"),
    ],
)
def test_a_trunk_of_another_network_is_one_clear_line(tmp_path, options, expected):
    write_trunk(tmp_path, width=8)
    with pytest.raises(InputError, match=expected):
        load(tmp_path, **options)


@pytest.mark.slow
def test_loading_a_trunk_needs_neither_pickle_nor_transformers(tmp_path):
    write_trunk(tmp_path, width=8)
    data = (tmp_path / "trunk.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert header["conv1.weight"]["dtype"] == "F16"
    code = """
import pickle, sys, torch
from pathlib import Path
from accent.core.params import load_params
from accent.audio.spectrogram import SpectrogramParams
from accent.network.trunk import load_trunk

def refuse(*args, **kwargs):
    raise AssertionError("a pickle was read")

pickle.load = pickle.loads = torch.load = refuse
load_trunk(Path(sys.argv[1]), "resnet18", 8, False, load_params("spectrogram", SpectrogramParams))
print("transformers" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_train_stage_says_what_is_wrong_with_a_trunk_before_it_trains(tmp_path, prepared_data):
    folder = prepare_training(tmp_path, prepared_data, {"width": 8, "epochs": 1})
    write_trunk(folder / "models" / "trunk", width=16)
    done = stage("train", *train_arguments("out"), cwd=folder, ok=False)
    assert done.stderr.splitlines()[-1].startswith(
        "error: models/trunk/trunk.json: this trunk is for train.width 16, not 8."
    )
    assert not (folder / "out").exists()
    set_params(folder, {"train": {"trunk": "absent"}})
    done = stage("train", *train_arguments("out"), cwd=folder, ok=False)
    assert done.stderr.splitlines()[-1].startswith("error: absent/trunk.safetensors: no such file.")


def test_imagenet_weights_without_a_network_say_what_to_do(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    with pytest.raises(InputError, match="train.weights: imagenet: cannot fetch https.* set train.weights to speech"):
        imagenet_trunk("resnet18", 64, False)
    with pytest.raises(InputError, match="imagenet: are for train.width 64 and train.antialias false only"):
        imagenet_trunk("resnet18", 32, False)


def test_imagenet_weights_are_loaded_and_their_colours_summed(monkeypatch):
    from torchvision import models

    torch.manual_seed(1)
    published = models.resnet18(weights=None).state_dict()

    def from_disk(self, *args, **kwargs):
        assert kwargs == {"check_hash": True, "weights_only": True}
        return published

    monkeypatch.setattr(models.ResNet18_Weights, "get_state_dict", from_disk)
    network = build_model("resnet18", 2, 64, False, imagenet_trunk("resnet18", 64, False))[1]
    torch.testing.assert_close(network.conv1.weight, published["conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(network.layer4[1].conv2.weight, published["layer4.1.conv2.weight"])
