"""Say what the pre-trained network hears before any fine-tuning, and write it as the trunk that `train` starts from."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import safetensors.torch
import torch

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import DecodeParams
from accent.core.errors import run
from accent.core.outputs import write_json
from accent.core.params import load_params
from accent.core.parts import Parts, read_index
from accent.corpus.selection import EvaluateParams, IngestParams
from accent.network.resnet import ResNet
from accent.network.trunk import save_trunk
from accent.pretraining.agreement import agreement
from accent.pretraining.distil import DistilParams
from accent.pretraining.lessons import hold_out
from accent.pretraining.listen import ListenParams, probe_sets, read_sets
from accent.pretraining.sources import corpora, current_commit, release_of
from accent.pretraining.student import Student, refine_time
from accent.pretraining.teacher import TeachParams, load_teacher


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("waveforms", type=Path)
    parser.add_argument("spectrograms", type=Path)
    parser.add_argument("student", type=Path)
    parser.add_argument("distilled", type=Path, help="metrics of distil")
    parser.add_argument("trunk", type=Path, help="folder for the trunk and its card")
    parser.add_argument("metrics", type=Path)
    args = parser.parse_args()

    params, distil = load_params("listen", ListenParams), load_params("distil", DistilParams)
    taught, intervals = load_params("teach", TeachParams), load_params("evaluate", EvaluateParams)
    spectrogram, decode = load_params("spectrogram", SpectrogramParams), load_params("decode", DecodeParams)
    ingest = load_params("ingest", IngestParams)
    window = spectrogram.frames_in(distil.window_seconds)

    student = load_student(args.student, distil)
    torch.manual_seed(params.seed)
    untrained = ResNet(distil.arch, distil.width, distil.antialias, channels=1).eval()
    # The first of the teacher's layers, in 8 s: what the grade is made of.
    teacher = load_teacher(
        replace(taught, layers=taught.layers[:1], context_seconds=params.context_seconds),
        "cuda" if torch.cuda.is_available() else "cpu",
    )
    clips = read_index(args.waveforms)
    sets = read_sets(params, ingest, decode, spectrogram, clips, "took part in pre-training. Take it out")
    networks = {"trunk": student.network, "random": untrained}
    metrics = {"probes": probe_sets(sets, networks, teacher, window, params, intervals)}

    kinds = hold_out(clips, distil.held_out_locales, distil.held_out_share, distil.seed)
    lasting = clips[["clip_id", "label", "client_id"]].assign(kind=kinds)
    lasting = lasting.merge(read_index(args.spectrograms), on="clip_id", validate="one_to_one")
    lasting = lasting[lasting["length"] >= window].reset_index(drop=True)
    rows = lasting[["clip_id"]].merge(clips, on="clip_id", validate="one_to_one")
    waveforms, spectrograms = Parts(args.waveforms, rows), Parts(args.spectrograms, lasting)
    metrics["agreement"] = agreement(lasting, waveforms, spectrograms, student, teacher, params)

    metrics["distil"] = json.loads(args.distilled.read_text())
    card = {
        "arch": distil.arch,
        "width": distil.width,
        "antialias": distil.antialias,
        "spectrogram": asdict(spectrogram),
        "teacher": {**asdict(taught), "teacher": "openai/whisper-base, encoder", "weights_sha256": teacher.sha256},
        "data": corpora(clips, release_of(ingest.releases, clips), params.licences),
        "pretraining": asdict(distil),
        "commit": current_commit(),
        "metrics": metrics,
    }
    save_trunk(args.trunk, student.network, card)
    write_json(args.metrics, metrics)
    found = metrics["probes"]["trunk"]
    told = ", ".join(f"{name} {value['roc_auc']:.3f}" for name, value in found.items())
    print(f"{args.trunk}: ROC AUC of linear probes: {told}; agreement with the teacher's grade {metrics['agreement']}")


def load_student(path: Path, params: DistilParams) -> Student:
    """The student as `distil` wrote it."""
    state = {name: tensor.float() for name, tensor in safetensors.torch.load(path.read_bytes()).items()}
    network = ResNet(params.arch, params.width, params.antialias, channels=1)
    refine_time(network, params.time_stride)
    student = Student(network, len(state["head.weight"]))
    student.load_state_dict({name: state[name] for name in student.state_dict()})
    return student.eval()


if __name__ == "__main__":
    run(main)
