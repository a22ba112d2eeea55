"""Distillation: train the student, and measure how much of the teacher's frames it explains."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.data.core import DataLoaders
from fastai.learner import Learner, Metric
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.windows import MAX_WINDOW_SECONDS
from accent.core.outputs import output_file
from accent.core.params import Fraction, Seed, params
from accent.network.resnet import ResNet
from accent.pretraining.student import Student, refine_time
from accent.training.augment import AugmentParams
from accent.training.callbacks import BFloat16, SeedEpochs
from accent.training.precision import choose_precision


@params
class DistilParams:
    arch: str
    width: PositiveInt
    antialias: bool
    time_stride: Literal[4, 8, 16, 32]
    window_seconds: Annotated[float, Field(ge=0.2, le=MAX_WINDOW_SECONDS)]
    held_out_locales: tuple[str, ...]
    held_out_share: Fraction
    epochs: PositiveInt
    windows_per_clip: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    precision: Literal["auto", "bfloat16", "float32"]
    seed: Seed
    augment: AugmentParams

    @property
    def network(self) -> dict[str, Any]:
        """What the network is built from."""
        return {"arch": self.arch, "width": self.width, "antialias": self.antialias}

    @property
    def keep(self) -> str:
        """The last epoch's weights: the schedule ends with its lowest learning rate."""
        return "last"

    @property
    def head_epochs(self) -> int:
        """All layers train from the beginning."""
        return 0

    @property
    def learning_rates(self) -> float:
        """The same for all layers."""
        return self.learning_rate


class ExplainedVariance(Metric):
    """Explained variance of one of the teacher's layers over some of the validation windows, clip by clip.

    `kinds` names the kind of each validation window; the windows come in their order.
    """

    def __init__(self, layer: int, place: slice, kinds: np.ndarray, kind: str) -> None:
        self.place, self.wanted = place, torch.from_numpy(kinds == kind)
        self._name = f"explained_{kind}_layer{layer}"

    @property
    def name(self) -> str:
        return self._name

    def reset(self) -> None:
        self.seen, self.errors, self.totals = 0, 0.0, 0.0

    def accumulate(self, learn: Learner) -> None:
        columns, truth = learn.pred[..., self.place].float(), learn.y[..., self.place]
        mask = self.wanted[self.seen : self.seen + len(columns)].to(columns.device)
        self.seen += len(columns)
        self.errors = self.errors + ((columns - truth) ** 2)[mask].sum(dtype=torch.float64)
        self.totals = self.totals + (truth**2)[mask].sum(dtype=torch.float64)

    @property
    def value(self) -> float:
        return float(1 - self.errors / max(float(self.totals), 1e-12))


def save_student(path: Path, student: Student, mean: Tensor, spread: Tensor) -> None:
    """Write the student's weights (float16), with the mean and standard deviation of the frames that it learnt from."""
    tensors = student.state_dict() | {"mean": mean, "spread": spread}
    halves = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    with output_file(path) as partial:
        partial.write_bytes(safetensors.torch.save({name: half.cpu().contiguous() for name, half in halves.items()}))


def load_student(path: Path, params: DistilParams) -> Student:
    """The student of `save_student`, in float32 and evaluation mode."""
    state = {name: tensor.float() for name, tensor in safetensors.torch.load(path.read_bytes()).items()}
    network = ResNet(**params.network, channels=1)
    refine_time(network, params.time_stride)
    student = Student(network, len(state["head.weight"]))
    student.load_state_dict({name: state[name] for name in student.state_dict()})
    return student.eval()


def make_student_learner(dls: DataLoaders, params: DistilParams, layers: Sequence[int], kinds: np.ndarray) -> Learner:
    """A `Learner` over `dls` with a new student, whose initial weights depend on `params.seed` alone."""
    torch.manual_seed(params.seed)
    network = ResNet(**params.network, channels=1)
    refine_time(network, params.time_stride)
    size = dls.one_batch()[1].shape[-1]
    student = Student(network, size)
    each = size // len(layers)
    metrics = [
        ExplainedVariance(layer, slice(number * each, (number + 1) * each), kinds, kind)
        for kind in sorted(set(kinds))
        for number, layer in enumerate(layers)
    ]
    callbacks = [SeedEpochs(params.seed), ChannelsLast()]
    callbacks += [BFloat16()] if choose_precision(params.precision, dls.device) == "bfloat16" else []
    return Learner(dls, student, loss_func=nn.MSELoss(), metrics=metrics, wd=params.weight_decay, cbs=callbacks)


@torch.inference_mode()
def explained_by_locale(learn: Learner, valid: pd.DataFrame, layers: Sequence[int]) -> dict[str, dict[str, float]]:
    """Explained variance of each layer by locale of the validation windows; `valid` has a window's `label` a row."""
    learn.model.eval()
    errors, totals, seen = [], [], 0
    each = None
    for windows, frames in learn.dls.valid:
        columns = learn.model(windows.as_subclass(Tensor)).float()
        truth = frames.as_subclass(Tensor)
        each = columns.shape[-1] // len(layers)
        errors.append(((columns - truth) ** 2).sum(dim=1).unflatten(-1, (len(layers), each)).sum(dim=-1).cpu())
        totals.append((truth**2).sum(dim=1).unflatten(-1, (len(layers), each)).sum(dim=-1).cpu())
        seen += len(columns)
    sums = pd.DataFrame(
        torch.cat([torch.cat(errors), torch.cat(totals)], dim=1).double().numpy(),
        columns=[f"{what}{layer}" for what in ("error", "total") for layer in layers],
    )
    by_locale = sums.groupby(valid["label"].to_numpy()).sum()
    return {
        locale: {f"layer{layer}": float(1 - row[f"error{layer}"] / row[f"total{layer}"]) for layer in layers}
        for locale, row in by_locale.iterrows()
    }


def distil_metrics(
    learn: Learner, last: Sequence[float], train: pd.DataFrame, epochs: int, spectrogram: SpectrogramParams
) -> dict[str, Any]:
    """What `metrics/distil.json` has, without the locales: sizes, and the numbers of the last epoch."""
    names = ["train_loss", "valid_loss", *(metric.name for metric in learn.metrics)]
    return {
        "clips": len(train),
        "hours": float(spectrogram.seconds_of(train["length"].sum()) / 3600),
        "windows": epochs * len(learn.dls.train.dataset),
        **dict(zip(names, last, strict=True)),
    }


def say_distilled(metrics: dict[str, Any]) -> str:
    """A line that says what `distil_metrics` found."""
    explained = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if name.startswith("explained_"))
    return f"{metrics['clips']:,} clips, {metrics['hours']:.1f} h, {metrics['windows']:,} windows; {explained}"


def trunk_card(
    params: DistilParams, spectrogram: SpectrogramParams, teacher: dict, data: list[dict], commit: str, metrics: dict
) -> dict[str, Any]:
    """The fields of `accent.network.trunk.TrunkCard`, but for the hash of the weights."""
    return {
        **params.network,
        "spectrogram": asdict(spectrogram),
        "teacher": teacher,
        "data": data,
        "pretraining": asdict(params),
        "commit": commit,
        "metrics": metrics,
    }
