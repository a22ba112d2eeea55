"""Divide the clips into train, valid and test, with no speaker, sentence or recording in two of them."""

from accent.core.arguments import parse_paths
from accent.core.errors import InputError, run
from accent.core.outputs import output_file
from accent.core.params import load_params
from accent.core.parts import read_index
from accent.core.tables import write_table
from accent.corpus.selection import EvaluateParams, IngestParams
from accent.corpus.splits import PROBE, SPLITS, UNUSED, SplitParams, make_splits, shared_between_splits


def main() -> None:
    args = parse_paths(__doc__, "waveforms", "splits")

    params = load_params("split", SplitParams)
    probes = load_params("evaluate", EvaluateParams).probes
    classes = load_params("ingest", IngestParams).classes
    clips = make_splits(read_index(args.waveforms), params, probes, classes)
    shared = shared_between_splits(clips)
    if params.group_by == "speaker" and any(shared.values()):
        raise InputError(f"split: {shared} are in two splits, which must not be. This is a bug: please report it")
    with output_file(args.splits) as partial:
        write_table(clips, partial)
    for split in (*SPLITS, PROBE, UNUSED):
        rows = clips[clips["split"] == split]
        voices = rows.groupby("label")["client_id"].agg(["size", "nunique"])
        labels = ", ".join(f"{clips:,} {label} by {speakers:,}" for label, clips, speakers in voices.itertuples())
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in rows["reason"].value_counts().items() if reason)
        print(f"{split}: {len(rows):,} clips: {labels or '-'} speakers; {reasons or '-'}")
    print("in more than one split: " + ", ".join(f"{count:,} {kind}" for kind, count in shared.items()))


if __name__ == "__main__":
    run(main)
