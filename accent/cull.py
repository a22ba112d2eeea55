"""Propose clips for `data/exclusions.csv`."""

from accent.core.errors import run
from accent.evaluation.cull import main

if __name__ == "__main__":
    run(main)
