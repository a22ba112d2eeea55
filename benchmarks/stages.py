"""The stages one by one on releases of any size: seconds, busy cores and peak memory, for few clips and for all.

    python -m benchmarks.stages RELEASES [--few 1000] [--width 64]

RELEASES may be what `benchmarks.corpus` makes. The project's parameters, but one epoch of one window a clip; `--few` is
how many clips of each class the first of the two runs takes, `--width` is that of the network.
"""

import argparse
import tempfile
from pathlib import Path

import yaml
from tqdm import tqdm

from accent.core.errors import run
from accent.core.parts import read_index
from benchmarks.usage import ROOT, Usage, stage_usage

STAGES = {
    "ingest": "RELEASES EXCLUSIONS clips",
    "decode": "clips waveforms",
    "spectrogram": "waveforms spectrograms",
    "split": "waveforms splits.parquet",
    "train": "spectrograms splits.parquet models live training.json --state state",
    "predict": "models spectrograms splits.parquet logits.parquet",
    "evaluate": "models waveforms/index.parquet logits.parquet evaluation.json predictions.parquet plots",
}


def run_stages(releases: Path, folder: Path, per_class: int, width: int | None) -> tuple[int, dict[str, Usage]]:
    """How many clips were decoded, and what each stage took, with at most so many clips a class (0: all)."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["ingest"]["max_clips_per_class"] = per_class
    params["train"] |= {"epochs": 1, "windows_per_clip": 1, "width": width or params["train"]["width"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    paths = {"RELEASES": releases.absolute(), "EXCLUSIONS": ROOT / "data" / "exclusions.csv"}
    usages = {
        name: stage_usage(name, *(paths.get(word, word) for word in arguments.split()), cwd=folder)
        for name, arguments in tqdm(STAGES.items(), unit="stage")
    }
    return len(read_index(folder / "waveforms")), usages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", type=Path)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--width", type=int)
    args = parser.parse_args()
    for per_class in (args.few, 0):
        with tempfile.TemporaryDirectory() as folder:
            count, usages = run_stages(args.releases, Path(folder), per_class, args.width)
        print(f"\n| {count:,} clips | seconds | cores busy | peak memory |\n|---|---|---|---|")
        for name, usage in usages.items():
            busy = usage.cpu_seconds / usage.seconds
            print(f"| `{name}` | {usage.seconds:.1f} | {busy:.2f} | {usage.peak_mb:,.0f} MB |", flush=True)


if __name__ == "__main__":
    run(main)
