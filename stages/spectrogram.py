"""Turn waveforms into log-mel spectrograms, part by part."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from accent.audio.spectrogram import SpectrogramParams, log_mel
from accent.core.arguments import parse_paths
from accent.core.errors import run
from accent.core.parallel import map_parts
from accent.core.params import load_params
from accent.core.parts import PartResult, Parts, read_index, write_part


def spectrogram_part(rows: pd.DataFrame, target: Path, waveforms: Path, params: SpectrogramParams) -> PartResult:
    """Turn the waveforms of one part, given by their index rows, into a part of spectrograms."""
    torch.set_num_threads(1)  # the parts are what runs in parallel
    spectrograms = [log_mel(waveform, params) for waveform in Parts(waveforms, rows)]
    parts = write_part(target, spectrograms, np.empty((0, params.n_mels), np.uint8))
    return pd.concat([rows[["clip_id"]].reset_index(drop=True), parts], axis=1), []


def main() -> None:
    args = parse_paths(__doc__, "waveforms", "spectrograms")

    params = load_params("spectrogram", SpectrogramParams)
    parts = [rows for _, rows in read_index(args.waveforms).groupby("part")]
    one_part = partial(spectrogram_part, waveforms=args.waveforms.absolute(), params=params)
    print(map_parts(one_part, parts, args.spectrograms))


if __name__ == "__main__":
    run(main)
