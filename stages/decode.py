"""Decode clips to mono 16 kHz waveforms without the silence at their ends, and measure them, part by part."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from accent.audio.fingerprint import fingerprint
from accent.audio.waveform import DecodeParams, decode_clip, no_speech
from accent.core.arguments import parse_paths
from accent.core.errors import Reject, run
from accent.core.parallel import map_parts
from accent.core.params import load_params
from accent.core.parts import PartResult, write_part
from accent.core.tables import read_table


def decode_part(clips: Path, target: Path, params: DecodeParams) -> PartResult:
    """Decode a Parquet part of clips into a part of waveforms, with the clips' metadata and measures as its index."""
    table = read_table(clips)
    waveforms, measures, kept, rejects = [], [], [], []
    for row, clip_id in enumerate(table["clip_id"].to_pylist()):
        try:
            waveform, measured = decode_clip(table["audio"][row].as_py(), params)
            if reason := no_speech(measured):
                raise Reject(reason)
        except Reject as reason:
            rejects.append((clip_id, str(reason)))
            continue
        waveforms.append(waveform)
        measures.append({**measured, "fingerprint": fingerprint(waveform)})
        kept.append(row)
    metadata = table.drop_columns("audio").take(pa.array(kept, pa.int64())).to_pandas()
    parts = write_part(target, waveforms, np.empty(0, np.int16))
    return pd.concat([metadata, parts, pd.DataFrame(measures)], axis=1), rejects


def main() -> None:
    args = parse_paths(__doc__, "clips", "waveforms")

    params = load_params("decode", DecodeParams)
    parts = sorted(args.clips.absolute().glob("part-*.parquet"))
    print(map_parts(partial(decode_part, params=params), parts, args.waveforms, params.max_reject_fraction))


if __name__ == "__main__":
    run(main)
