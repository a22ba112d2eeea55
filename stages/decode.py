"""Decode clips to mono 16 kHz waveforms without the silence at their ends, and measure them, part by part."""

import argparse
from functools import partial
from pathlib import Path

from accent.audio import DecodeParams, decode_part
from accent.errors import run
from accent.parallel import map_parts
from accent.params import load_params


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("waveforms", type=Path)
    args = parser.parse_args()

    params = load_params("decode", DecodeParams)
    parts = sorted(args.clips.glob("part-*.parquet"))
    print(map_parts(partial(decode_part, params=params), parts, args.waveforms, params.max_reject_fraction))


if __name__ == "__main__":
    run(main)
