"""Compare two runs: is one better than the other?"""

from accent.core.errors import run
from accent.evaluation.compare import main

if __name__ == "__main__":
    run(main)
