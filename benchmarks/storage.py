"""DVC on the same clips, stored in parts and as one file a clip: seconds and files of add, status, push and checkout.

    python -m benchmarks.storage RELEASES

Both are put into a new repository in a temporary folder, with a cache and a remote of their own there; the parts are
those that `ingest` makes of RELEASES, the files are its clips as they are.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from accent.core.errors import run
from benchmarks.usage import stage_usage

ENV = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
COMMANDS = {
    "add": "dvc add -q data",
    "status": "dvc status -q",
    "push": "dvc push -q",
    "checkout": "dvc checkout -q",
}


def sh(command: str, folder: Path) -> float:
    """Run a command there; returns the seconds that it took."""
    began = time.perf_counter()
    subprocess.run(command, shell=True, cwd=folder, env=ENV, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(source: Path, folder: Path) -> dict[str, float]:
    """Seconds of each of `COMMANDS` in a new repository with a copy of `source` as its data."""
    folder.mkdir()
    for command in ("git init -q", "dvc init -q", "dvc remote add -q -d storage ../remote-" + folder.name):
        sh(command, folder)
    shutil.copytree(source, folder / "data")
    seconds = {}
    for name, command in COMMANDS.items():
        if name == "checkout":
            shutil.rmtree(folder / "data")
        seconds[name] = sh(command, folder)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stage_usage("ingest", args.releases, "data/exclusions.csv", folder / "clips")
        print("| kept as | files | " + " | ".join(f"`dvc {name}`" for name in COMMANDS) + " |")
        print("|---|---|" + "---|" * len(COMMANDS))
        for name, source in (("parts", folder / "clips"), ("one file a clip", args.releases)):
            count = sum(path.is_file() for path in source.rglob("*"))
            seconds = measure(source, folder / name.replace(" ", "-"))
            print(
                f"| {name} | {count:,} | " + " | ".join(f"{value:.1f} s" for value in seconds.values()) + " |",
                flush=True,
            )


if __name__ == "__main__":
    run(main)
