"""From windows to a trained network: the fastai `Learner` of the train stage."""

import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from dvclive import Live
from dvclive.fastai import DVCLiveCallback
from dvclive.utils import standardize_metric_name
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.mixup import MixUp
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import fit_one_cycle  # noqa: F401  (fastai adds it to Learner)
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from fastai.torch_core import rank_distrib
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from accent.augment import AugmentParams
from accent.callbacks import BFloat16, Checkpoint, SeedEpochs
from accent.dataset import EvenWindows, RandomWindows, make_dls
from accent.distributed import all_ranks, check_same
from accent.errors import InputError
from accent.model import build_model
from accent.params import Seed, params
from accent.windows import MAX_WINDOW_SECONDS

NUMERICS = ("torch", "torchvision", "fastai", "numpy")


@params
class TrainParams:
    arch: str
    width: PositiveInt
    antialias: bool
    weights: Literal["none", "imagenet"]
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    mixup: NonNegativeFloat
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    keep: Literal["best", "last"]
    window_seconds: Annotated[float, Field(ge=0.2, le=MAX_WINDOW_SECONDS)]
    windows_per_clip: PositiveInt
    window_hop_seconds: PositiveFloat
    precision: Literal["bfloat16", "float32"]
    channels_last: bool
    processes: PositiveInt
    num_workers: NonNegativeInt
    seed: Seed
    augment: AugmentParams

    def __post_init__(self) -> None:
        if self.batch_size % self.processes:
            raise ValueError(f"batch_size ({self.batch_size}) must be a multiple of processes ({self.processes})")


Labelled = tuple[Sequence[np.ndarray], Sequence[str]]  # spectrograms (frames, n_mels) of uint8, and a label for each


def training_dls(
    train: Labelled,
    valid: Labelled,
    classes: Sequence[str],
    window: int,
    hop: int,
    params: TrainParams,
    range_db: float,
) -> DataLoaders:
    """What a network learns from: random windows of `train`, and all windows of `valid` at most `hop` frames apart."""
    return make_dls(
        RandomWindows(*train, classes, window, per_clip=params.windows_per_clip, seed=params.seed),
        EvenWindows(*valid, classes, window, hop=hop),
        params.batch_size,
        params.num_workers,
        params.augment,
        range_db,
    )


def make_learner(dls: DataLoaders, params: TrainParams) -> Learner:
    """A `Learner` over `dls` with a new network, whose initial weights depend on `params.seed` alone."""
    torch.manual_seed(params.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    model = build_model(params.arch, len(dls.vocab), params.width, params.antialias, params.weights)
    callbacks = [SeedEpochs(params.seed)]
    callbacks += [MixUp(params.mixup)] if params.mixup else []
    callbacks += [BFloat16()] if params.precision == "bfloat16" else []
    callbacks += [ChannelsLast()] if params.channels_last else []
    loss = CrossEntropyLossFlat(label_smoothing=params.label_smoothing)
    return Learner(dls, model, loss_func=loss, metrics=accuracy, wd=params.weight_decay, cbs=callbacks)


def fit(learn: Learner, params: TrainParams, checkpoint: Checkpoint, live_folder: Path) -> None:
    """Train for `params.epochs` epochs of one cycle, going on from `checkpoint` if that was begun before.

    Losses and metrics by epoch, counted from 1, go to `live_folder`. The learner ends with the weights of the epoch
    that `params.keep` names. Of several ranks only the first says and writes anything.
    """
    learn.add_cb(checkpoint)
    done = checkpoint.restore()
    check_same((checkpoint.fingerprint, done), "the inputs or the state to continue from differ")
    cycle = partial(learn.fit_one_cycle, params.epochs, params.learning_rate, start_epoch=done)
    with all_ranks(learn):
        if rank_distrib():
            cycle()
        else:
            _fit_and_log(cycle, learn, params, checkpoint, live_folder)
    if checkpoint.diverged:
        raise InputError(
            f"train: the validation loss is no finite number in epoch {len(checkpoint.history)}. "
            f"Lower train.learning_rate ({params.learning_rate:g}), or set train.precision to float32"
        )
    if params.keep == "best" and not rank_distrib():
        checkpoint.load_best()


def _fit_and_log(cycle: Callable, learn: Learner, params: TrainParams, checkpoint: Checkpoint, folder: Path) -> None:
    if checkpoint.history:
        done = len(checkpoint.history)
        print(f"continuing after epoch {done} of {params.epochs}: {checkpoint.last}", flush=True)
    with Live(str(folder), report=None, dvcyaml=None, save_dvc_exp=False) as live:
        live.step = 1
        names = ["train_loss", "valid_loss", *(metric.name for metric in learn.metrics)]
        for values in checkpoint.history:
            for name, value in zip(names, values, strict=True):
                live.log_metric(standardize_metric_name(name, "dvclive.fastai"), value)
            live.next_step()
        if not sys.stdout.isatty():
            _print_lines(learn)
        cycle(cbs=DVCLiveCallback(live=live))


def _print_lines(learn: Learner) -> None:
    """A line an epoch instead of progress bars, which would fill a log file."""

    def print_line(values: Sequence) -> None:
        epoch, *rest = values
        named = zip(learn.recorder.metric_names[1:], rest, strict=False)
        numbers = (f"{name} {value if isinstance(value, str) else format(value, '.4f')}" for name, value in named)
        print(f"epoch {epoch + 1}: {', '.join(numbers)}", flush=True)

    learn.remove_cb(ProgressCallback)
    learn.logger = print_line


def numerics() -> dict[str, str]:
    """The versions of the libraries that a training's numbers depend on, as requirements-numerics.txt pins them."""
    return {name: version(name) for name in NUMERICS}


def fingerprint(files: Iterable[Path], *params: object) -> str:
    """A hash of the contents of `files` and of `params`: runs with the same one may continue each other."""
    digest = hashlib.sha256(repr(params).encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
