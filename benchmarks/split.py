"""The split stage on a table as long as that of a large corpus: seconds and peak memory.

    python -m benchmarks.split [--clips 2000000]

The table is made: 17 clips a speaker on average (log-normal), ids of 128 digits as Common Voice's, two sentences in
three read once. Everything that the stage reads but the index is left out of it.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from accent.core.errors import run
from accent.core.parts import INDEX
from benchmarks.duplicates import made_fingerprints
from benchmarks.usage import stage_usage

CLIPS_A_SPEAKER = 17


def make_index(clips: int, seed: int = 1) -> pd.DataFrame:
    """An index of waveforms with the columns that `make_splits` looks at."""
    rng = np.random.default_rng(seed)
    weights = rng.lognormal(0, 1.5, max(clips // CLIPS_A_SPEAKER, 20))
    speakers = np.sort(rng.choice(len(weights), clips, p=weights / weights.sum()))
    ids = np.array([f"{number:0128x}" for number in range(len(weights))], dtype=object)
    return pd.DataFrame(
        {
            "clip_id": [f"common_voice_xx_{number:08d}" for number in range(clips)],
            "label": np.where(speakers % 5 < 2, "french", "english"),
            "client_id": ids[speakers],
            "sentence": [f"Ceci est la phrase numéro {number}." for number in rng.integers(0, clips, clips)],
            "segment": "",
            "fingerprint": made_fingerprints(clips, rng),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_index(args.clips).to_parquet(folder / INDEX, index=False)
        usage = stage_usage("split", folder, folder / "splits.parquet")
        print(usage.output, end="")
        print(f"{args.clips:,} clips: {usage.seconds:.0f} s, peak memory {usage.peak_mb / 1000:.1f} GB")


if __name__ == "__main__":
    run(main)
