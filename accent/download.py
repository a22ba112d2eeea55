"""Download Common Voice releases."""

from accent.core.errors import run
from accent.corpus.download import main

if __name__ == "__main__":
    run(main)
