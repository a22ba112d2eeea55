"""Draw the loss against the learning rate, to choose `train.learning_rate` by: fastai's `lr_find`."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fastai.callback.schedule import SuggestionMethod
from matplotlib.figure import Figure

from accent.audio.spectrogram import SpectrogramParams
from accent.core.errors import run
from accent.core.outputs import output_file
from accent.core.params import load_params
from accent.evaluation.curves import COLOURS
from accent.scoring.style import drawing, new_figure
from accent.training.learner import TrainParams, first_weights, make_learner, read_clips, training_dls

Curve = tuple[str, Sequence[float], Sequence[float], float]  # name, learning rates, losses, suggestion


def draw(curves: Sequence[Curve]) -> Figure:
    """The smoothed training loss against the learning rate, on a logarithmic axis, with what fastai suggests."""
    with drawing():
        figure = new_figure(5, 3.3)
        axes = figure.subplots()
        for colour, (name, rates, losses, suggested) in zip(COLOURS, curves, strict=False):
            axes.plot(rates, losses, color=colour, label=name)
            axes.axvline(suggested, color=colour, linestyle=":", linewidth=1)
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss")
        axes.legend(frameon=False)
        return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path, nargs="?", default=Path("lr_find.png"))
    parser.add_argument("--spectrograms", type=Path, default=Path("data/spectrograms"))
    parser.add_argument("--splits", type=Path, default=Path("data/splits.parquet"))
    parser.add_argument("--steps", type=int, default=100, help="in which the rate rises from 1e-7 to 10")
    args = parser.parse_args()

    params, spectrogram = load_params("train", TrainParams), load_params("spectrogram", SpectrogramParams)
    window, hop = (spectrogram.frames_in(seconds) for seconds in (params.window_seconds, params.window_hop_seconds))
    trunk = first_weights(params.trunk, params, spectrogram)
    clips, classes = read_clips(args.spectrograms, args.splits)
    curves = []
    phases = {"the last layer alone": params.head_epochs, "all layers": params.epochs - params.head_epochs}
    for name in (name for name, epochs in phases.items() if epochs):
        dls = training_dls(clips["train"], clips["valid"], classes, window, hop, params, spectrogram.range_db)
        learn = make_learner(dls, params, trunk)
        if name != "all layers":
            learn.freeze()
        with tempfile.TemporaryDirectory() as folder, learn.no_bar():
            learn.path = Path(folder)  # where fastai keeps the weights that it puts back at the end
            suggested = learn.lr_find(num_it=args.steps, show_plot=False, suggest_funcs=SuggestionMethod.Valley).valley
        rates, losses = (values[args.steps // 10 : -5] for values in (learn.recorder.lrs, learn.recorder.losses))
        curves.append((name, rates, [float(loss) for loss in losses], suggested))
        print(f"{name}: {suggested:.1e} is in the valley of the loss", flush=True)
    with output_file(args.picture) as partial:
        draw(curves).savefig(partial, format="png", facecolor="white")
    print(f"{args.picture}: the loss against the learning rate")


if __name__ == "__main__":
    run(main)
