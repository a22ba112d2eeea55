"""From windows to a trained network: the fastai `Learner` of the train stage."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

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
from fastai.torch_core import get_model, rank_distrib
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.windows import MAX_WINDOW_SECONDS
from accent.core.errors import InputError
from accent.core.params import Seed, params
from accent.core.parts import Parts, join_index
from accent.core.tables import read_frame
from accent.network.model import build_model
from accent.network.trunk import imagenet_trunk, load_trunk
from accent.training.augment import AugmentParams
from accent.training.callbacks import BatchNorm, BFloat16, SeedEpochs
from accent.training.checkpoint import Checkpoint
from accent.training.dataset import EvenWindows, RandomWindows, make_dls
from accent.training.distributed import all_ranks, check_same
from accent.training.precision import choose_precision


@params
class TrainParams:
    arch: str
    width: PositiveInt
    antialias: bool
    weights: Literal["speech", "imagenet", "none"]
    trunk: Path
    epochs: PositiveInt
    freeze_epochs: NonNegativeInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    learning_rate_ratio: Annotated[float, Field(ge=1)]
    weight_decay: NonNegativeFloat
    mixup: NonNegativeFloat
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    keep: Literal["best", "last"]
    window_seconds: Annotated[float, Field(ge=0.2, le=MAX_WINDOW_SECONDS)]
    windows_per_clip: PositiveInt
    window_hop_seconds: PositiveFloat
    precision: Literal["auto", "bfloat16", "float32"]
    channels_last: bool
    processes: PositiveInt
    num_workers: NonNegativeInt
    seed: Seed
    augment: AugmentParams

    def __post_init__(self) -> None:
        if self.batch_size % self.processes:
            raise ValueError(f"batch_size ({self.batch_size}) must be a multiple of processes ({self.processes})")

    @property
    def head_epochs(self) -> int:
        """Number of first epochs in which the last layer trains alone; 0 for random weights."""
        return 0 if self.weights == "none" else min(self.freeze_epochs, self.epochs)

    @property
    def learning_rates(self) -> float | slice:
        """Learning rates, the first layers' `learning_rate_ratio` times lower; one for all layers of random weights."""
        lowest = self.learning_rate / self.learning_rate_ratio
        return self.learning_rate if self.weights == "none" else slice(lowest, self.learning_rate)


Labelled = tuple[Sequence[np.ndarray], Sequence[str]]  # spectrograms (frames, n_mels) of uint8, and a label for each


def read_clips(spectrograms: Path, splits: Path) -> tuple[dict[str, Labelled], list[str]]:
    """The clips of `train` and `valid`, and the names of their classes, from the outputs of the stages before."""
    clips = join_index(read_frame(splits, ["clip_id", "label", "split"]), spectrograms)
    rows = {split: clips[clips["split"] == split] for split in ("train", "valid")}  # a probe's label is no class
    classes = sorted(set().union(*(part["label"] for part in rows.values())))
    return {split: (Parts(spectrograms, part), part["label"]) for split, part in rows.items()}, classes


def training_dls(
    train: Labelled,
    valid: Labelled,
    classes: Sequence[str],
    window: int,
    hop: int,
    params: TrainParams,
    range_db: float,
) -> DataLoaders:
    """`DataLoaders` of random windows of `train`, and of all windows of `valid`, at most `hop` frames apart."""
    return make_dls(
        RandomWindows(*train, classes, window, per_clip=params.windows_per_clip, seed=params.seed),
        EvenWindows(*valid, classes, window, hop=hop),
        params.batch_size,
        params.num_workers,
        params.augment,
        range_db,
    )


def first_weights(folder: Path, params: TrainParams, spectrogram: SpectrogramParams) -> dict[str, Tensor] | None:
    """The trunk that `params.weights` names, the one in `folder` for `speech`; None, for `none`, is random weights."""
    network = params.arch, params.width, params.antialias
    if params.weights == "speech":
        return load_trunk(folder, *network, spectrogram)
    return imagenet_trunk(*network) if params.weights == "imagenet" else None


def split_layers(model: nn.Module) -> list[list[nn.Parameter]]:
    """The groups of layers that fastai freezes and gives learning rates of their own, as it splits such a network."""
    network = get_model(model)[1]
    groups = (
        [network.conv1, network.bn1, network.layer1, network.layer2],
        [network.layer3, network.layer4],
        [network.fc],
    )
    return [[parameter for layer in group for parameter in layer.parameters()] for group in groups]


def make_learner(dls: DataLoaders, params: TrainParams, trunk: Mapping[str, Tensor] | None = None) -> Learner:
    """A `Learner` over `dls` with a new network: `trunk`'s weights, and for the rest random ones by `params.seed`."""
    torch.manual_seed(params.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    model = build_model(params.arch, len(dls.vocab), params.width, params.antialias, trunk)
    precision = choose_precision(params.precision, dls.device)
    callbacks = [SeedEpochs(params.seed), BatchNorm(precision)]
    callbacks += [MixUp(params.mixup)] if params.mixup else []
    callbacks += [BFloat16()] if precision == "bfloat16" else []
    callbacks += [ChannelsLast()] if params.channels_last else []
    return Learner(
        dls,
        model,
        loss_func=CrossEntropyLossFlat(label_smoothing=params.label_smoothing),
        metrics=accuracy,
        splitter=split_layers,
        wd=params.weight_decay,
        train_bn=False,  # in frozen layers
        cbs=callbacks,
    )


def fit(learn: Learner, params: TrainParams, checkpoint: Checkpoint, live_folder: Path) -> None:
    """Train for `params.epochs` epochs, going on from `checkpoint` if that was begun before.

    Losses and metrics by epoch, counted from 1, go to `live_folder`. The learner ends with the weights of the epoch
    that `params.keep` names. Of several ranks only the first says and writes anything.
    """
    learn.add_cb(checkpoint)
    done = checkpoint.restore()
    check_same((checkpoint.fingerprint, done), "the inputs or the state to continue from differ")
    with all_ranks(learn):
        if rank_distrib():
            fine_tune(learn, params, done)
        else:
            _fit_and_log(learn, params, checkpoint, live_folder)
    if checkpoint.diverged:
        raise InputError(
            f"train: the validation loss is no finite number in epoch {len(checkpoint.history)}. "
            f"Lower train.learning_rate ({params.learning_rate:g}), or set train.precision to float32"
        )
    if params.keep == "best" and not rank_distrib():
        checkpoint.load_best()


def fine_tune(learn: Learner, params: TrainParams, done: int, **options: Any) -> None:
    """Train the head for `params.head_epochs`, then all layers, one cycle each; `done` epochs are done already.

    As fastai's `fine_tune`, but with epochs that are counted through: the second cycle's warm-up goes on where the
    first one ended, and a run that was killed finds its place.
    """
    if learn.opt is None:
        learn.create_opt()
    if done < params.head_epochs:
        learn.opt.freeze()
        learn.fit_one_cycle(params.head_epochs, params.learning_rate, start_epoch=done, **options)
    if params.head_epochs < params.epochs:
        learn.opt.unfreeze()
        first = max(done, params.head_epochs)
        learn.fit_one_cycle(params.epochs, params.learning_rates, start_epoch=first, **options)


def _fit_and_log(learn: Learner, params: TrainParams, checkpoint: Checkpoint, folder: Path) -> None:
    done = len(checkpoint.history)
    if done:
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
        fine_tune(learn, params, done, cbs=DVCLiveCallback(live=live))


def _print_lines(learn: Learner) -> None:
    """A line an epoch instead of progress bars, which would fill a log file."""

    def print_line(values: Sequence) -> None:
        epoch, *rest = values
        if len(values) < len(learn.recorder.metric_names):  # fastai skips through the epochs that were done before
            return
        named = zip(learn.recorder.metric_names[1:], rest, strict=True)
        numbers = (f"{name} {value if isinstance(value, str) else format(value, '.4f')}" for name, value in named)
        print(f"epoch {epoch + 1}: {', '.join(numbers)}", flush=True)

    learn.remove_cb(ProgressCallback)
    learn.logger = print_line
