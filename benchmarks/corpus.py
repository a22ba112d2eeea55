"""A large release made from real clips, each played faster or slower, for measuring speed and memory.

    python -m benchmarks.corpus RELEASES TARGET [--clips 20000] [--repeats 5]

Every clip is resampled by factors drawn at random (0.8 to 1.25: speed and pitch change together) and encoded again as
Common Voice does (MP3, 48 kHz, 64 kb/s). Encoding is slow, so each of those stands there REPEATS times, under other
names and as another speaker's, with a sentence of its own, so that `split` keeps most of them. TARGET is an unpacked
release, and may not be committed if RELEASES may not.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import soxr
from joblib import delayed
from tqdm import tqdm

from accent.audio.reencode import decoded, mp3
from accent.core.errors import run
from accent.core.outputs import output_folder
from accent.core.parallel import in_parallel

RATE, KBPS = 48000, 64


def write_copies(source: Path, folder: Path, factors: np.ndarray, repeats: int) -> list[str]:
    """Write `repeats` copies of a clip for each factor into `folder`; returns their names."""
    waveform, rate = decoded(source.read_bytes())
    names = []
    for factor in factors:
        audio = mp3(soxr.resample(waveform, rate * factor, RATE), RATE, KBPS)
        for _ in range(repeats):
            names.append(f"{source.stem}_{len(names):05d}.mp3")
            (folder / names[-1]).write_bytes(audio)
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    tables = {path.parent: path for path in sorted(args.releases.rglob("validated.tsv"))}
    rows = pd.concat(
        [
            pd.read_csv(tsv, sep="\t", dtype=str, keep_default_na=False, quoting=3).assign(folder=folder)
            for folder, tsv in tables.items()
        ],
        ignore_index=True,
    )
    factors = args.clips // args.repeats // len(rows)
    rng = np.random.default_rng(1)
    with output_folder(args.target) as target:
        for folder in tables:
            (target / folder.name / "clips").mkdir(parents=True)
        jobs = [
            delayed(write_copies)(
                row.folder / "clips" / row.path,
                target / row.folder.name / "clips",
                rng.uniform(0.8, 1.25, factors),
                args.repeats,
            )
            for row in rows.itertuples()
        ]
        names = list(tqdm(in_parallel(jobs), total=len(rows), unit="clip", mininterval=1))
        several = rows.loc[rows.index.repeat(factors * args.repeats)].assign(path=np.concatenate(names))
        several["client_id"] += several["path"].str.rsplit("_", n=1).str[1]
        several["sentence"] += " " + several["path"].str.rsplit("_", n=1).str[1]
        for folder, part in several.groupby("folder"):
            path = target / folder.name / "validated.tsv"
            part.drop(columns="folder").to_csv(path, sep="\t", index=False, quoting=3, escapechar="\\")


if __name__ == "__main__":
    run(main)
