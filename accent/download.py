"""Common Voice releases from their distributor, checked, into the folder that the ingest stage reads.

    accent download fr en --release latest

The distributor is Mozilla Data Collective, whose client (datacollective) lists the datasets, asks for the download and
resumes it. Its key is read from MDC_API_KEY, or from a file `.env` here. A download that broke off goes on when the
same command is run again.
"""

import argparse
import re
import sys
from pathlib import Path

from accent.core.errors import InputError, run
from accent.corpus.download import LATEST, download


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="LOCALE", help="such as fr, or the id of a dataset on its page")
    parser.add_argument("--release", default=LATEST, help="a version such as 27.0 (default: latest)")
    parser.add_argument("--to", type=Path, default=Path("data/raw"), metavar="FOLDER", help="default: data/raw")
    args = parser.parse_args()

    if args.release != LATEST and not re.fullmatch(r"\d+(\.\d+)?", args.release):
        raise InputError(f"--release: {args.release!r}, must be {LATEST} or a version such as 27.0")
    for name in args.names:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
            raise InputError(f"{name!r}: must be a locale such as fr or zh-CN, or the id of a dataset")
    if download(args.names, args.release, args.to):
        sys.exit(1)
    print(f"To use it: dvc exp run -S ingest.releases={args.to}")


if __name__ == "__main__":
    run(main)
