"""Train the network on random windows of the training clips, and fit its temperature on the validation clips."""

import argparse
from dataclasses import replace
from pathlib import Path

from fastai.torch_core import rank_distrib

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import DecodeParams
from accent.core.errors import run
from accent.core.outputs import write_json
from accent.core.params import load_params
from accent.core.parts import INDEX
from accent.network.model import save_model
from accent.network.trunk import WEIGHTS
from accent.training.callbacks import Checkpoint
from accent.training.distributed import is_launched, join, launch, leave, share
from accent.training.learner import (
    TrainParams,
    fingerprint,
    first_weights,
    fit,
    loaded_code,
    make_learner,
    numerics,
    read_clips,
    training_dls,
)
from accent.training.outcome import model_card, training_metrics, validation_temperature
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
    spectrogram, audio = load_params("spectrogram", SpectrogramParams), load_params("decode", DecodeParams).audio
    window, hop = (spectrogram.frames_in(seconds) for seconds in (params.window_seconds, params.window_hop_seconds))
    trunk = first_weights(params.trunk, params, spectrogram)
    clips, classes = read_clips(args.spectrograms, args.splits)
    dls = training_dls(clips["train"], clips["valid"], classes, window, hop, params, spectrogram.range_db)
    params = replace(params, precision=choose_precision(params.precision, dls.device))

    inputs = [args.spectrograms / INDEX, args.splits, Path(__file__), *loaded_code()]
    inputs += [params.trunk / WEIGHTS] if params.weights == "speech" else []
    checkpoint = Checkpoint(args.state, fingerprint(inputs, params, spectrogram, audio, numerics()))
    learn = make_learner(share(dls), params, trunk)
    fit(learn, params, checkpoint, args.live)
    leave()
    if rank_distrib():
        return

    temperature = validation_temperature(learn.model, clips["valid"], classes, window, hop)
    save_model(args.model, learn.model, model_card(params, audio, spectrogram, classes, temperature))
    metrics = training_metrics(params, checkpoint, temperature)
    write_json(args.metrics, metrics)
    checkpoint.clear()
    print(
        f"{args.model}: {len(clips['train'][0]):,} training clips in {params.precision}, "
        f"kept epoch {metrics['kept_epoch']} of {params.epochs}; "
        f"lowest validation loss {checkpoint.lowest_loss:.4f} at epoch {checkpoint.best_epoch}, "
        f"temperature {temperature:.2f}"
    )


if __name__ == "__main__":
    run(main)
