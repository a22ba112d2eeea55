"""Make a release of synthetic speakers."""

from accent.core.errors import run
from accent.corpus.synthesise import main

if __name__ == "__main__":
    run(main)
