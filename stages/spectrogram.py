"""Turn waveforms into log-mel spectrograms, part by part."""

import argparse
from functools import partial
from pathlib import Path

from accent.errors import run
from accent.parallel import map_parts
from accent.params import load_params
from accent.parts import read_index
from accent.spectrogram import SpectrogramParams, spectrogram_part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("waveforms", type=Path)
    parser.add_argument("spectrograms", type=Path)
    args = parser.parse_args()

    params = load_params("spectrogram", SpectrogramParams)
    parts = [rows for _, rows in read_index(args.waveforms).groupby("part")]
    one_part = partial(spectrogram_part, waveforms=args.waveforms, params=params)
    print(map_parts(one_part, parts, args.spectrograms))


if __name__ == "__main__":
    run(main)
