"""fastai callbacks: seeded epochs, bfloat16 and batch normalisation."""

import random
from collections.abc import Iterator

import numpy as np
import torch
from fastai.callback.core import Callback, TrainEvalCallback
from fastai.torch_core import get_model, rank_distrib
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn


class SeedEpochs(Callback):
    """Start every epoch from a seed of its own, so that a continued run draws what an unbroken one would have drawn.

    The ranks of a distributed training share the order of the windows, and each augments its own in its own way.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def before_epoch(self) -> None:
        shared = (self.seed * 10_000 + self.epoch) % 2**32
        own = (shared + rank_distrib() * 2**24) % 2**32
        random.seed(own)
        np.random.seed(own)
        torch.manual_seed(own)
        self.dls.train.rng.seed(shared)
        self.dls.train.dataset.set_epoch(self.epoch)


class BFloat16(Callback):
    """Mixed precision in bfloat16, which needs no gradient scaler. fastai's own does nothing on a CPU."""

    order = 10

    def before_batch(self) -> None:
        self.autocast = torch.autocast(self.dls.device.type, dtype=torch.bfloat16)
        self.autocast.__enter__()

    def after_pred(self) -> None:
        self.learn.pred = self.pred.float()

    def after_loss(self) -> None:
        self.autocast.__exit__(None, None, None)


class BatchNorm(Callback):
    """Batch normalisation: frozen layers keep their statistics, for those that train they are measured anew.

    Left to the running mean over batches, the statistics lag behind the weights: an epoch of a small corpus is a few
    steps, and the validation loss then jumps between 0.2 and 8. So before each validation they are the mean over the
    epoch's windows as the network is now ("precise batch normalisation", arXiv 2105.07576, section 3). These windows
    are not augmented, like those of the validation.
    """

    run_after = TrainEvalCallback
    layers = (nn.BatchNorm2d, nn.SyncBatchNorm)  # fastai's BnFreeze does not know the second, of several GPUs
    max_batches = 16  # enough for a mean; of a large corpus a part of the windows, evenly spread

    def __init__(self, precision: str):
        super().__init__()
        self.bfloat16 = precision == "bfloat16"

    def before_train(self) -> None:
        for layer in self._layers():
            layer.train(layer.weight.requires_grad)

    def after_train(self) -> None:
        if all(layer.weight.requires_grad for layer in self._layers()):
            with torch.autocast(self.dls.device.type, torch.bfloat16, enabled=self.bfloat16):
                update_bn(self._batches(), get_model(self.model), self.dls.device)

    def _layers(self) -> list[nn.Module]:
        return [module for module in self.model.modules() if isinstance(module, self.layers)]

    def _batches(self) -> Iterator[Tensor]:
        windows, size = self.dls.train.dataset, self.dls.train.bs
        count = min(len(windows), self.max_batches * size)
        items = np.linspace(0, len(windows) - 1, count).round().astype(int)
        for batch in np.array_split(items, -(-count // size)):
            yield torch.stack([windows[item][0].as_subclass(Tensor) for item in batch.tolist()]).float() / 255
