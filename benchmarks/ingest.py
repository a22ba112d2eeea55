"""The ingest stage on archives beside their plain decompression: seconds, and the ratio.

    python -m benchmarks.ingest RELEASES

RELEASES is a folder of `.tar.gz` archives. The peers are `gzip -dc` of one archive after the other into nothing, and
`tar -xzf` into a temporary folder, which is what one does who has no reader of archives.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from accent.core.errors import run
from benchmarks.usage import stage_usage

REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", type=Path)
    args = parser.parse_args()
    archives = sorted(args.releases.glob("*.tar.gz"))

    def gzip(folder: Path) -> None:
        for archive in archives:
            subprocess.run(["gzip", "-dc", archive], check=True, stdout=subprocess.DEVNULL)

    def tar(folder: Path) -> None:
        for archive in archives:
            subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)

    def ours(folder: Path) -> None:
        stage_usage("ingest", args.releases, "data/exclusions.csv", folder / "clips")

    seconds = {}
    for name, way in {"the ingest stage": ours, "gzip -dc": gzip, "tar -xzf": tar}.items():
        times = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                way(Path(folder))
                times.append(time.perf_counter() - began)
        seconds[name] = min(times)
    size = sum(archive.stat().st_size for archive in archives)
    print(f"{len(archives)} archives, {size / 1e6:,.0f} MB")
    for name, best in seconds.items():
        print(f"{name:20} {best:6.1f} s   ingest takes {seconds['the ingest stage'] / best:.2f} times as long")


if __name__ == "__main__":
    run(main)
