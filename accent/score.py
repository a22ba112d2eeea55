"""Score takes: does this recording sound like the target class, how sure is that, and where in it?"""

from accent.core.errors import run
from accent.scoring.scorer import main

if __name__ == "__main__":
    run(main)
