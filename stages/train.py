"""Train the network on random windows of the training clips, and fit its temperature on the validation clips."""

import argparse
import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
from fastai.torch_core import rank_distrib

import accent
from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import SAMPLE_RATE, AudioParams, DecodeParams
from accent.audio.windows import window_frames
from accent.core.errors import run
from accent.core.outputs import output_file
from accent.core.params import load_params
from accent.core.parts import INDEX
from accent.network.calibration import fit_temperature
from accent.network.model import clip_logits, save_model, window_logits
from accent.network.trunk import WEIGHTS
from accent.training.callbacks import Checkpoint
from accent.training.distributed import is_launched, join, launch, leave, share
from accent.training.learner import (
    TrainParams,
    fingerprint,
    first_weights,
    fit,
    make_learner,
    numerics,
    read_clips,
    training_dls,
)
from accent.training.precision import choose_precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spectrograms", type=Path)
    parser.add_argument("splits", type=Path)
    parser.add_argument("model", type=Path, help="folder for the weights and their card")
    parser.add_argument("live", type=Path, help="folder for the curves by epoch")
    parser.add_argument("metrics", type=Path)
    parser.add_argument("--state", type=Path, required=True, help="where a run that was killed goes on from")
    args = parser.parse_args()

    params = load_params("train", TrainParams)
    if params.processes > 1 and not is_launched():
        return launch(main, params.processes)
    join(params.processes)
    spectrogram = load_params("spectrogram", SpectrogramParams)
    decode = asdict(load_params("decode", DecodeParams))
    audio = {field.name: decode[field.name] for field in fields(AudioParams)}

    window, hop = (
        window_frames(seconds, SAMPLE_RATE, spectrogram.hop_length)
        for seconds in (params.window_seconds, params.window_hop_seconds)
    )

    trunk = first_weights(params.trunk, params, spectrogram)
    clips, classes = read_clips(args.spectrograms, args.splits)
    dls = training_dls(clips["train"], clips["valid"], classes, window, hop, params, spectrogram.range_db)
    params = replace(params, precision=choose_precision(params.precision, dls.device))

    sources = sorted(Path(accent.__file__).parent.glob("*.py"))
    inputs = [args.spectrograms / INDEX, args.splits, Path(__file__), *sources]
    inputs += [params.trunk / WEIGHTS] if params.weights == "speech" else []
    checkpoint = Checkpoint(args.state, fingerprint(inputs, params, spectrogram, audio, numerics()))
    learn = make_learner(share(dls), params, trunk)
    fit(learn, params, checkpoint, args.live)
    leave()
    if rank_distrib():
        return

    spectrograms, labels = clips["valid"]
    _, logits = window_logits(learn.model, spectrograms, window, hop)
    targets = np.array([classes.index(label) for label in labels])
    temperature = fit_temperature(clip_logits(logits), targets)
    card = {
        "arch": params.arch,
        "width": params.width,
        "antialias": params.antialias,
        "classes": classes,
        "audio": audio,
        "spectrogram": asdict(spectrogram),
        "window_seconds": params.window_seconds,
        "window_hop_seconds": params.window_hop_seconds,
        "temperature": temperature,
    }
    save_model(args.model, learn.model, card)
    losses = [loss for _, loss, *_ in checkpoint.history]
    metrics = {
        "precision": params.precision,
        "epochs": params.epochs,
        "best_epoch": checkpoint.best_epoch,
        "kept_epoch": checkpoint.best_epoch if params.keep == "best" else params.epochs,
        "lowest_valid_loss": checkpoint.lowest_loss,
        "last_valid_loss": losses[-1],
        "temperature": temperature,
    }
    with output_file(args.metrics) as partial:
        partial.write_text(json.dumps(metrics, indent=2) + "\n")
    checkpoint.clear()
    print(
        f"{args.model}: {len(clips['train'][0]):,} training clips in {params.precision}, "
        f"kept epoch {metrics['kept_epoch']} of {params.epochs}; "
        f"lowest validation loss {checkpoint.lowest_loss:.4f} at epoch {checkpoint.best_epoch}, "
        f"temperature {temperature:.2f}"
    )


if __name__ == "__main__":
    run(main)
