"""Pre-train the network: it learns from unlabelled speech what a teacher hears in it."""

from pathlib import Path

from fastai.torch_core import default_device

from accent.audio.spectrogram import SpectrogramParams
from accent.core.arguments import parse_paths
from accent.core.errors import InputError, run
from accent.core.outputs import write_json
from accent.core.params import load_params
from accent.core.parts import INDEX
from accent.pretraining.distil import (
    DistilParams,
    distil_metrics,
    explained_by_locale,
    make_student_learner,
    save_student,
    say_distilled,
)
from accent.pretraining.lessons import hold_out, lesson_dls, pair_clips, teach
from accent.pretraining.teacher import TeachParams, load_teacher
from accent.training.checkpoint import open_checkpoint
from accent.training.learner import fit
from accent.training.precision import choose_precision


def main() -> None:
    args = parse_paths(__doc__, "waveforms", "spectrograms", "student", "live", "metrics", "--state")

    params, taught = load_params("distil", DistilParams), load_params("teach", TeachParams)
    spectrogram = load_params("spectrogram", SpectrogramParams)
    window = spectrogram.frames_in(params.window_seconds) // 2 * 2
    clips, spectrograms, waveforms = pair_clips(args.waveforms, args.spectrograms, window)
    if clips.empty:
        raise InputError(f"{args.spectrograms}: no clip of {params.window_seconds:g} s. Lower distil.window_seconds")
    precision = choose_precision(params.precision, default_device())
    teacher = load_teacher(taught, bfloat16=precision == "bfloat16")
    lessons = teach(clips, spectrograms, waveforms, teacher, args.state / "lessons")
    kinds = hold_out(lessons.clips, params.held_out_locales, params.held_out_share, params.seed)
    train, valid = lessons.clips[kinds == "train"], lessons.clips[kinds != "train"]
    dls, (mean, spread) = lesson_dls(lessons, train, valid, window, params, spectrogram.range_db)
    by_window = dls.valid.dataset.clips
    learn = make_student_learner(dls, params, taught.layers, kinds[valid.index].to_numpy()[by_window])

    files = [args.spectrograms / INDEX, Path(__file__)]
    checkpoint = open_checkpoint(args.state / "train", files, params, taught, spectrogram, teacher.sha256)
    fit(learn, params, checkpoint, args.live)
    save_student(args.student, learn.model, mean, spread)
    metrics = distil_metrics(learn, checkpoint.history[-1], train, params.epochs, spectrogram)
    explained = explained_by_locale(learn, valid.iloc[by_window], taught.layers)
    write_json(args.metrics, metrics | {"explained_by_locale": explained})
    checkpoint.clear()
    print(f"{args.student}: {say_distilled(metrics)}")


if __name__ == "__main__":
    run(main)
