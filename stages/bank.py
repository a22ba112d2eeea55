"""Build the banks of native speech that takes are graded by, from the training clips and the shipped banks."""

import torch

from accent.core.arguments import parse_paths
from accent.core.errors import run
from accent.core.params import load_params
from accent.corpus.common_voice import ClassFilter
from accent.corpus.selection import IngestParams
from accent.corpus.splits import clips_by_voice
from accent.grading.banks import BankParams, build_pools
from accent.grading.grader import save_bank
from accent.grading.store import load_ear, load_shipped


def main() -> None:
    args = parse_paths(__doc__, "waveforms", "splits", "encoder", "model")

    torch.set_num_threads(1)  # clips of some seconds are too short to be shared among cores
    params, ingest = load_params("bank", BankParams), load_params("ingest", IngestParams)
    ear, card = load_ear(args.encoder)
    clips = clips_by_voice(args.splits, args.waveforms)
    labels = sorted(set(clips.loc[clips["split"] == "train", "label"]))  # with `classes: all` they are the locales
    classes = {label: ingest.classes.get(label, ClassFilter(locale=label)) for label in labels}
    pools, made = build_pools(args.waveforms, clips, classes, ear, load_shipped(args.encoder), params)
    hashes = {"encoder_sha256": card.weights_sha256, "shipped_sha256": card.banks_sha256}
    save_bank(args.model, pools, {**hashes, **made})
    targets = made["targets"].items()
    told = [f"{name} {reference.takes} takes of {reference.speakers} natives" for name, reference in targets]
    told += [f"no bank of {name}: {why}" for name, why in made["without"].items()]
    print(f"{args.model}: {'; '.join(told)}")


if __name__ == "__main__":
    run(main)
