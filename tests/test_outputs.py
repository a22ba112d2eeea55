"""Outputs: numbers that are none are null in JSON."""

import json

import numpy as np
import pytest

from accent.core.outputs import write_json


def test_what_is_no_number_is_null(tmp_path):
    document = {"auc": float("nan"), "interval": [np.float64("nan"), 0.5], "loss": float("inf"), "clips": 0, "no": None}
    write_json(tmp_path / "new" / "metrics.json", {"clip": document, "said": "NaN"})
    text = (tmp_path / "new" / "metrics.json").read_text()
    expected = {"auc": None, "interval": [None, 0.5], "loss": None, "clips": 0, "no": None}
    assert json.loads(text, parse_constant=pytest.fail) == {"clip": expected, "said": "NaN"}
    assert text.endswith("}\n")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["metrics.json"]
