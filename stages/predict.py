"""Run the network once over all clips that it was not trained on and the second source, and keep its logits."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from accent.core.arguments import parse_paths
from accent.core.errors import run
from accent.core.outputs import output_file
from accent.core.params import load_params
from accent.core.parts import Parts, join_index
from accent.core.tables import read_frame, write_table
from accent.corpus.second_source import SECOND_SOURCE, is_given, read_second_source
from accent.corpus.selection import EvaluateParams, IngestParams
from accent.corpus.splits import PROBE, SPLITS
from accent.network.model import ModelCard, load_model, window_logits
from accent.network.typicality import clip_features

CLIP = ["clip_id", "client_id", "label", "split"]


def windows_table(model: nn.Module, card: ModelCard, spectrograms: Sequence[np.ndarray]) -> pd.DataFrame:
    """A row for each spectrogram: `window_start_s` and `window_logits` of its windows."""
    starts, logits = window_logits(model, spectrograms, card.window, card.window_hop)
    seconds = [card.spectrogram.seconds_of(first) for first in starts]
    return pd.DataFrame({"window_start_s": seconds, "window_logits": [windows.tolist() for windows in logits]})


def main() -> None:
    args = parse_paths(__doc__, "model", "spectrograms", "splits", "logits")

    params, ingest = load_params("evaluate", EvaluateParams), load_params("ingest", IngestParams)
    model, card = load_model(args.model, "cuda" if torch.cuda.is_available() else "cpu")
    clips = read_frame(args.splits, [*CLIP, "voice"])
    clips = join_index(clips[clips["split"].isin([*SPLITS, PROBE])], args.spectrograms)
    card.check_labels(clips.loc[clips["split"] != PROBE, "label"], args.splits)

    features = [clip_features(spectrogram, card).mean(axis=0) for spectrogram in Parts(args.spectrograms, clips)]
    unseen = np.flatnonzero(clips["split"] != "train")
    windows = windows_table(model, card, Parts(args.spectrograms, clips.iloc[unseen])).set_index(unseen)
    # Results are counted by voice: speakers that share a recording are one.
    tables = [clips.assign(client_id=clips["voice"])[CLIP].assign(typicality=features).join(windows)]
    if is_given(params.second_source):
        trained_on = set(clips.loc[clips["split"].isin(["train", "valid"]), "client_id"])
        count = params.second_source_clips
        second = read_second_source(params.second_source, ingest, count, trained_on, card.audio, card.spectrogram)
        windows = windows_table(model, card, list(second["spectrogram"]))
        tables.append(second.assign(split=SECOND_SOURCE)[CLIP].join(windows))
    table = pd.concat(tables, ignore_index=True)
    with output_file(args.logits) as partial:
        write_table(table, partial)
    counts = table["window_logits"].dropna().map(len)
    print(f"{args.logits}: {len(counts):,} clips, {counts.sum():,} windows; statistics of {len(clips):,} clips")


if __name__ == "__main__":
    run(main)
