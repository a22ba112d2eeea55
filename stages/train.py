"""Train the network on random windows of the training clips, and fit its temperature on the validation clips."""

from dataclasses import replace
from pathlib import Path

from fastai.torch_core import rank_distrib

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import DecodeParams
from accent.core.arguments import parse_paths
from accent.core.errors import run
from accent.core.outputs import write_json
from accent.core.params import load_params
from accent.core.parts import INDEX
from accent.network.model import save_model
from accent.network.trunk import WEIGHTS
from accent.training.checkpoint import open_checkpoint
from accent.training.distributed import is_launched, join, launch, leave, share
from accent.training.learner import TrainParams, first_weights, fit, make_learner, read_clips, training_dls
from accent.training.outcome import model_card, say_training, training_metrics, validation_temperature
from accent.training.precision import choose_precision


def main() -> None:
    args = parse_paths(__doc__, "spectrograms", "splits", "model", "live", "metrics", "--state")

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

    files = [args.spectrograms / INDEX, args.splits, Path(__file__)]
    files += [params.trunk / WEIGHTS] if params.weights == "speech" else []
    checkpoint = open_checkpoint(args.state, files, params, spectrogram, audio)
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
    print(f"{args.model}: {len(clips['train'][0]):,} training clips {say_training(metrics)}")


if __name__ == "__main__":
    run(main)
