"""A release of synthetic speakers: espeak-ng reads the sentences of the ingested clips, in voices drawn at random.

    accent synthesise data/clips data/raw/synthetic

Its rows have `synthetic` in Common Voice's column `segment`, by which the split stage keeps them to training.
"""

import argparse
from pathlib import Path

from accent.core.errors import InputError, run
from accent.core.outputs import output_folder
from accent.corpus.synthesise import sentences_of, write_locale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="output of the ingest stage, for its locales and sentences")
    parser.add_argument("release", type=Path, help="folder to write, inside the one that ingest.releases names")
    parser.add_argument("--count", type=int, default=200, help="clips of each locale (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the voices and the order of the sentences (default: 1)")
    args = parser.parse_args()

    if args.count < 1:
        raise InputError(f"--count: {args.count}, must be at least 1")
    if args.release.exists():
        raise InputError(f"{args.release}: is there already. Remove it, or name another folder")
    sentences = sentences_of(args.clips)
    with output_folder(args.release) as partial:
        for locale, texts in sentences.items():
            write_locale(partial / locale, locale, texts, args.count, args.seed)
    print(f"{args.release}: {args.count:,} clips each of {', '.join(sentences)}")


if __name__ == "__main__":
    run(main)
