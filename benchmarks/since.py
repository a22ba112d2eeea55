"""How much slower or faster decode and spectrogram have become since another commit, and the fingerprint's share.

    git worktree add /tmp/before COMMIT
    python -m benchmarks.since /tmp/before [RELEASES] [--passes 9]

Both codes run in turns, pass by pass, in processes of their own on one core, over the same clips (default: those of
data/sample). The CPU time of a pass counts, so that other work on the machine changes it little.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from accent.core.errors import run
from benchmarks.usage import ROOT, stage_usage

WORKER = """
import json, os, sys, time
from pathlib import Path
import torch
import stages.decode as decode  # all names are taken from the stages, which have them wherever the packages lay
from stages.decode import DecodeParams, decode_part, load_params
from stages.spectrogram import SpectrogramParams, spectrogram_part
torch.set_num_threads(1)
clips, target = Path(sys.argv[1]), Path(sys.argv[2])
stderr = os.dup(2)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries that print
fingerprints = [0.0]
if hasattr(decode, "fingerprint"):
    plain = decode.fingerprint
    def timed(waveform):
        began = time.process_time()
        found = plain(waveform)
        fingerprints[0] += time.process_time() - began
        return found
    decode.fingerprint = timed
params, spectrogram = load_params("decode", DecodeParams), load_params("spectrogram", SpectrogramParams)
for _ in sys.stdin:
    fingerprints[0] = 0.0
    began, count, middle = time.process_time(), 0, 0.0
    for part in sorted(clips.glob("part-*.parquet")):
        start = time.process_time()
        rows, _ = decode_part(part, target / "waveforms" / f"{part.stem}.npy", params)
        middle += time.process_time() - start
        spectrogram_part(rows, target / "spectrograms" / f"{part.stem}.npy", target / "waveforms", spectrogram)
        count += len(rows)
    took = {"seconds": time.process_time() - began, "decode": middle, "fingerprint": fingerprints[0], "clips": count}
    print(json.dumps(took), flush=True)
"""


def start(tree: Path, clips: Path, target: Path) -> subprocess.Popen:
    """A process that decodes `clips` with the code of `tree` whenever it is sent a line."""
    for name in ("waveforms", "spectrograms"):
        (target / name).mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WORKER, str(clips), str(target)]
    return subprocess.Popen(
        command, cwd=tree, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def one_pass(worker: subprocess.Popen) -> dict[str, float]:
    """What a pass took."""
    worker.stdin.write("\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout of the other commit")
    parser.add_argument("releases", type=Path, nargs="?", default=ROOT / "data" / "sample")
    parser.add_argument("--passes", type=int, default=9)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stage_usage("ingest", args.releases.absolute(), ROOT / "data" / "exclusions.csv", folder / "clips")
        trees = {"before": args.before.absolute(), "now": ROOT}
        workers = {name: start(tree, folder / "clips", folder / name) for name, tree in trees.items()}
        for worker in workers.values():
            one_pass(worker)  # to warm up
        passes = [{name: one_pass(worker) for name, worker in workers.items()} for _ in range(args.passes)]
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()
    for name in workers:
        decode, whole = (np.median([row[name][part] for row in passes]) for part in ("decode", "seconds"))
        clips = passes[0][name]["clips"]
        print(
            f"{name}: {clips} clips, decode {1000 * decode / clips:.2f} ms a clip, both {1000 * whole / clips:.2f} ms"
        )
    ratios = [row["now"]["seconds"] / row["before"]["seconds"] for row in passes]
    share = np.median([row["now"]["fingerprint"] / row["now"]["seconds"] for row in passes])
    print(
        f"CPU time now / before: {np.median(ratios):.3f} (of {len(ratios)} pairs of passes, {min(ratios):.3f} to "
        f"{max(ratios):.3f}); the fingerprint is {share:.1%} of it"
    )


if __name__ == "__main__":
    run(main)
