"""Pre-train the network: it learns from unlabelled speech what a teacher hears in it."""

import argparse
from pathlib import Path

import safetensors.torch
import torch

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import SAMPLE_RATE
from accent.core.errors import InputError, run
from accent.core.outputs import output_file, write_json
from accent.core.params import load_params
from accent.core.parts import INDEX, Parts, read_index
from accent.pretraining.distil import DistilParams, explained_by_locale, make_student_learner
from accent.pretraining.lessons import hold_out, lesson_dls, teach
from accent.pretraining.teacher import TeachParams, load_teacher
from accent.training.callbacks import Checkpoint
from accent.training.learner import fingerprint, fit, loaded_code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("waveforms", type=Path)
    parser.add_argument("spectrograms", type=Path)
    parser.add_argument("student", type=Path, help="the student's weights")
    parser.add_argument("live", type=Path, help="folder for the curves by epoch")
    parser.add_argument("metrics", type=Path)
    parser.add_argument("--state", type=Path, required=True, help="where a run that was killed goes on from")
    args = parser.parse_args()

    params, taught = load_params("distil", DistilParams), load_params("teach", TeachParams)
    spectrogram = load_params("spectrogram", SpectrogramParams)
    window = spectrogram.frames_in(params.window_seconds) // 2 * 2
    index = read_index(args.waveforms)
    clips = read_index(args.spectrograms).merge(
        index[["clip_id", "label", "client_id"]], on="clip_id", validate="one_to_one"
    )
    clips = clips[clips["length"] >= window].reset_index(drop=True)
    if clips.empty:
        raise InputError(f"{args.spectrograms}: no clip of {params.window_seconds:g} s. Lower distil.window_seconds")
    waveform_rows = clips[["clip_id"]].merge(index, on="clip_id", validate="one_to_one")
    teacher = load_teacher(taught, "cuda" if torch.cuda.is_available() else "cpu")
    lessons = teach(
        clips, Parts(args.spectrograms, clips), Parts(args.waveforms, waveform_rows), teacher, args.state / "lessons"
    )
    kinds = hold_out(lessons.clips, params.held_out_locales, params.held_out_share, params.seed)
    train, valid = lessons.clips[kinds == "train"], lessons.clips[kinds != "train"]
    dls, (mean, spread) = lesson_dls(
        lessons,
        train,
        valid,
        window,
        params.windows_per_clip,
        params.batch_size,
        params.seed,
        params.augment,
        spectrogram.range_db,
    )
    judged = dls.valid.dataset.clips
    learn = make_student_learner(dls, params, taught.layers, kinds[kinds != "train"].to_numpy()[judged])
    inputs = [args.spectrograms / INDEX, Path(__file__), *loaded_code()]
    checkpoint = Checkpoint(args.state / "train", fingerprint(inputs, params, taught, spectrogram, teacher.sha256))
    fit(learn, params, checkpoint, args.live)

    with output_file(args.student) as partial:
        tensors = learn.model.state_dict() | {"mean": mean, "spread": spread}
        halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
        partial.write_bytes(safetensors.torch.save({name: half.cpu().contiguous() for name, half in halves.items()}))
    names = [metric.name for metric in learn.metrics]
    metrics = {
        "clips": len(train),
        "hours": float(train["length"].sum() * spectrogram.hop_length / SAMPLE_RATE / 3600),
        "windows": params.epochs * len(dls.train.dataset),
        **dict(zip(["train_loss", "valid_loss", *names], checkpoint.history[-1], strict=True)),
        "explained_by_locale": explained_by_locale(learn, valid.iloc[judged], taught.layers),
    }
    write_json(args.metrics, metrics)
    checkpoint.clear()
    explained = ", ".join(f"{name} {metrics[name]:.3f}" for name in names)
    print(
        f"{args.student}: {len(train):,} clips, {metrics['hours']:.1f} h, {metrics['windows']:,} windows; {explained}"
    )


if __name__ == "__main__":
    run(main)
