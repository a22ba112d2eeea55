"""What a command takes: seconds, those of the processors, and the largest memory of any of its processes.

    python -m benchmarks.usage COMMAND...

A process counts as its own the memory that the one which started it had, so it is this one, of a few MB, that starts
the command.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Usage(NamedTuple):
    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


def stage_usage(name: str, *arguments: str | Path, cwd: Path = ROOT) -> Usage:
    """Run a stage in `cwd`, and say what it took; where it fails it says why, and this process ends too."""
    command = [sys.executable, "-m", "benchmarks.usage", sys.executable, "-m", f"stages.{name}", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return Usage(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    began = time.perf_counter()
    done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.returncode)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    usage = Usage(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6, done.stdout)
    print(json.dumps(usage._asdict()))


if __name__ == "__main__":
    main()
