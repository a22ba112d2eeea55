"""The stages' command lines."""

from pathlib import Path

import pytest

from accent.core.arguments import parse_paths
from stages import evaluate


def test_names_become_paths_and_an_option_must_be_given(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["stage", "a", "b", "--state", "c"])
    args = parse_paths("What it does.", "clips", "waveforms", "--state")
    assert (args.clips, args.waveforms, args.state) == (Path("a"), Path("b"), Path("c"))
    monkeypatch.setattr("sys.argv", ["stage", "a", "b"])
    with pytest.raises(SystemExit):
        parse_paths("What it does.", "clips", "waveforms", "--state")
    assert "the following arguments are required: --state" in capsys.readouterr().err


def test_help_says_what_the_stage_does_and_what_its_paths_are(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["evaluate", "--help"])
    with pytest.raises(SystemExit):
        evaluate.main()
    shown = " ".join(capsys.readouterr().out.split())
    assert evaluate.__doc__ in shown
    assert "measures index of the waveforms: a row of measures for each clip" in shown
