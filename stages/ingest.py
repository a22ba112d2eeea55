"""Read Common Voice releases into Parquet parts: one row a clip, with its metadata and its untouched audio bytes."""

import argparse
import shutil
import time
from pathlib import Path

from accent.core.errors import run
from accent.core.outputs import output_folder
from accent.core.params import load_params
from accent.core.parts import count_kinds, write_rejects
from accent.corpus.common_voice import read_releases
from accent.corpus.exclusions import read_exclusions
from accent.corpus.selection import EvaluateParams, IngestParams, check_names, select_clips, write_clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("releases", type=Path, nargs="?", help="folder with releases (default: ingest.releases)")
    parser.add_argument("exclusions", type=Path, help="clips to leave out, with the reasons")
    parser.add_argument("clips", type=Path, help="folder for the clips")
    args = parser.parse_args()

    began = time.monotonic()
    params = load_params("ingest", IngestParams)
    probes = load_params("evaluate", EvaluateParams).probes
    check_names(params.classes, probes)
    exclusions = read_exclusions(args.exclusions)
    with output_folder(args.clips) as partial:
        spool = partial / "spool"
        sources = read_releases(args.releases or params.releases, [*params.filters, *probes.values()], spool)
        rows, rejects, passed_over = select_clips(sources, params, probes, exclusions)
        write_clips(rows, partial, params.clips_per_part)
        write_rejects(partial, rejects + passed_over)
        shutil.rmtree(spool)
    counts = rows["label"].value_counts()
    names = [*sorted(set(counts.index) - {*params.classes, *probes}), *params.classes, *probes]
    labels = ", ".join(f"{counts[name]:,} {name}" for name in names if name in counts)
    strangers = len(exclusions) - sum(reason.startswith("excluded:") for _, reason in passed_over)
    print(
        f"{args.clips}: {len(rows):,} clips ({labels}); {len(rejects):,} rejected ({count_kinds(rejects) or '-'}); "
        f"{len(passed_over):,} passed over ({count_kinds(passed_over) or '-'}); {strangers:,} of {len(exclusions):,} "
        f"exclusions name no clip of these classes; {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    run(main)
