import re
import sys

import pytest

from tests.helpers import ROOT, prepare_training, run

pytestmark = pytest.mark.slow


def test_lr_find_draws_the_last_layer_alone_and_all_layers(tmp_path, prepared_data):
    folder = prepare_training(tmp_path, prepared_data, {"width": 8, "batch_size": 16, "freeze_epochs": 1})
    places = ["--spectrograms", "spectrograms", "--splits", "splits.parquet", "--steps", "30"]
    done = run(sys.executable, "-m", "accent.lr_find", "out/lr.png", *places, cwd=folder, PYTHONPATH=str(ROOT))
    found = re.findall(r"^(.+): (\S+) is in the valley", done.stdout, re.M)
    assert [name for name, _ in found] == ["the last layer alone", "all layers"]
    assert all(1e-7 < float(rate) < 10 for _, rate in found)
    assert (folder / "out" / "lr.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "models" / "accent.json").exists()
