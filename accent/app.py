"""Serve the learner's page."""

from accent.core.errors import run
from accent.page.app import main

if __name__ == "__main__":
    run(main)
