"""Say what the pre-trained network hears before any fine-tuning, and write it as the trunk that `train` starts from."""

import json
from dataclasses import replace

import torch

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import DecodeParams
from accent.core.arguments import parse_paths
from accent.core.errors import run
from accent.core.outputs import write_json
from accent.core.params import load_params
from accent.core.parts import read_index
from accent.corpus.selection import EvaluateParams, IngestParams
from accent.network.resnet import ResNet
from accent.network.trunk import save_trunk
from accent.pretraining.agreement import agreement
from accent.pretraining.distil import DistilParams, load_student, trunk_card
from accent.pretraining.lessons import hold_out, pair_clips
from accent.pretraining.listen import ListenParams, probe_sets, read_sets, say_heard
from accent.pretraining.sources import corpora, current_commit, release_of
from accent.pretraining.teacher import TeachParams, describe_teacher, load_teacher


def main() -> None:
    args = parse_paths(__doc__, "waveforms", "spectrograms", "student", "distilled", "trunk", "metrics")

    params, distil = load_params("listen", ListenParams), load_params("distil", DistilParams)
    taught, intervals = load_params("teach", TeachParams), load_params("evaluate", EvaluateParams)
    spectrogram, decode = load_params("spectrogram", SpectrogramParams), load_params("decode", DecodeParams)
    ingest = load_params("ingest", IngestParams)
    window = spectrogram.frames_in(distil.window_seconds)
    clips = read_index(args.waveforms)
    sets = read_sets(params, ingest, decode, spectrogram, clips, "took part in pre-training. Take it out")

    student = load_student(args.student, distil)
    torch.manual_seed(params.seed)
    networks = {"trunk": student.network, "random": ResNet(**distil.network, channels=1).eval()}
    # The first of the teacher's layers, in 8 s: what the grade is made of.
    teacher = load_teacher(replace(taught, layers=taught.layers[:1], context_seconds=params.context_seconds))
    probes = probe_sets(sets, networks, teacher, window, params, intervals)
    paired, *arrays = pair_clips(args.waveforms, args.spectrograms, window)
    kinds = hold_out(paired, distil.held_out_locales, distil.held_out_share, distil.seed)
    agreed = agreement(paired.assign(kind=kinds), *arrays, student, teacher, params)
    metrics = {"probes": probes, "agreement": agreed, "distil": json.loads(args.distilled.read_text())}

    described = describe_teacher(taught, teacher.sha256)
    data = corpora(clips, release_of(ingest.releases, clips), params.licences)
    card = trunk_card(distil, spectrogram, described, data, current_commit(), metrics)
    save_trunk(args.trunk, student.network, card)
    write_json(args.metrics, metrics)
    print(f"{args.trunk}: {say_heard(metrics)}")


if __name__ == "__main__":
    run(main)
