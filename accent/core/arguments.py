"""Command-line arguments of the stages, all of which are paths."""

import argparse
from pathlib import Path

# What `--help` says of the paths that the stages hand to one another.
ABOUT = {
    "clips": "folder of the clips, with their audio as it came",
    "waveforms": "folder of the waveforms and their measures",
    "measures": "index of the waveforms: a row of measures for each clip",
    "spectrograms": "folder of the spectrograms",
    "splits": "table that says which clip is in which split",
    "model": "folder of the model: its weights, its card, its reference and its banks",
    "encoder": "folder of the ear and the shipped banks",
    "logits": "table of the clips' logits",
    "predictions": "table of the clips' predictions",
    "metrics": "JSON file for the metrics",
    "pictures": "folder for the pictures, and the tables behind them",
    "plots": "folder of the tables that 'dvc plots' draws",
    "live": "folder for the curves by epoch",
    "evaluation": "JSON file of evaluate's metrics",
    "audit": "JSON file of audit's metrics",
    "audit_pictures": "folder of audit's picture",
    "training": "folder of train's curves by epoch",
    "page": "HTML file for the page",
    "practice": "folder with a folder of recordings for every level",
    "student": "file of the student's weights",
    "distilled": "JSON file of distil's metrics",
    "trunk": "folder of the trunk and its card",
    "--state": "folder from which a run that was killed goes on",
}


def parse_paths(description: str | None, *names: str) -> argparse.Namespace:
    """The paths of the command line under these names; one that begins with `--` is an option that must be given."""
    parser = argparse.ArgumentParser(description=description)
    for name in names:
        must_be_given = {"required": True} if name.startswith("--") else {}
        parser.add_argument(name, type=Path, help=ABOUT.get(name), **must_be_given)
    return parser.parse_args()
