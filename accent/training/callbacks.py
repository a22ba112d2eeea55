"""fastai callbacks: seeded epochs, bfloat16, batch normalisation, and a state from which a run continues."""

import json
import math
import os
import random
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from fastai.callback.core import Callback, CancelFitException, TrainEvalCallback
from fastai.torch_core import distrib_barrier, get_model, rank_distrib
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from accent.core.errors import InputError
from accent.core.outputs import output_file

# Callback attributes that fastai's events must run before or after: Recorder has order 50, its metrics are ready then.
AFTER_RECORDER = 60


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


class Checkpoint(Callback):
    """Checkpoints in `folder`: the state after every epoch, from which a killed run continues, and the best weights.

    `last.safetensors` has the weights, the optimizer's tensors and, as metadata, everything else; `best.safetensors`
    the weights of the epoch with the lowest validation loss. Both are replaced in one move. A state of other inputs,
    parameters or code (another `fingerprint`) is not used. Of several ranks all read them and the first one writes.
    """

    order = AFTER_RECORDER

    def __init__(self, folder: Path, fingerprint: str):
        super().__init__()
        self.folder, self.fingerprint = folder, fingerprint
        self.history: list[list[float]] = []  # losses and metrics by epoch
        self.best_epoch, self.lowest_loss = 0, float("inf")  # counted from 1
        self.smoothed = (0, 0.0)
        self.diverged = False
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def last(self) -> Path:
        return self.folder / "last.safetensors"

    @property
    def best(self) -> Path:
        return self.folder / "best.safetensors"

    def restore(self) -> int:
        """Bring the learner to the state of the last whole epoch; returns how many epochs are done."""
        state, tensors = self._read_state()
        distrib_barrier()  # before the first rank may remove it
        if not state:
            self.clear()
            return 0
        self.learn.model.load_state_dict(_with_prefix(tensors, "model."))
        self.learn.create_opt()
        per_parameter = [
            {**numbers, **_with_prefix(tensors, f"optimizer.{number}.")}
            for number, numbers in enumerate(state["optimizer"])
        ]
        self.learn.opt.load_state_dict({"state": per_parameter, "hypers": self.learn.opt.hypers})
        self.history, self.smoothed = state["history"], state["smoothed"]
        self.best_epoch, self.lowest_loss = state["best_epoch"], state["lowest_loss"]
        return len(self.history)

    def _read_state(self) -> tuple[dict, dict[str, Tensor]]:
        """The state and its tensors; empty where there is none, or one of other inputs."""
        if not self.last.exists():
            return {}, {}
        with _damage_told(self.last), safetensors.safe_open(self.last, "pt", str(self.learn.dls.device)) as file:
            state = json.loads((file.metadata() or {})["state"])
            if state["fingerprint"] != self.fingerprint:
                return {}, {}
            return state, {name: file.get_tensor(name) for name in sorted(file.keys())}

    def before_fit(self) -> None:
        smooth_loss = self.recorder.smooth_loss  # fastai's training loss is a running mean over the epochs
        smooth_loss.count, smooth_loss.val = self.smoothed[0], torch.tensor(self.smoothed[1])

    def after_epoch(self) -> None:
        if self.epoch < len(self.history):  # fastai skips through the epochs that were done before
            return
        names = self.recorder.metric_names[1:-1]  # without epoch and time
        values = [float(value) for value in self.recorder.log[1 : len(names) + 1]]
        self.history.append(values)
        self.smoothed = (self.recorder.smooth_loss.count, float(self.recorder.smooth_loss.val))
        loss = values[names.index("valid_loss")]
        if not math.isfinite(loss):
            self.diverged = True
            raise CancelFitException
        is_best = loss < self.lowest_loss
        if is_best:
            self.best_epoch, self.lowest_loss = self.epoch + 1, loss
        if rank_distrib():
            return
        weights = _contiguous(get_model(self.learn.model).state_dict())
        if is_best:
            _save(self.best, weights)
        states = self.learn.opt.state_dict()["state"]
        tensors = {f"model.{name}": tensor for name, tensor in weights.items()}
        numbers = []
        for number, state in enumerate(states):
            is_tensor = {name: isinstance(value, Tensor) for name, value in state.items()}
            tensors |= {f"optimizer.{number}.{name}": state[name] for name in state if is_tensor[name]}
            numbers.append({name: state[name] for name in state if not is_tensor[name]})
        state = {
            "fingerprint": self.fingerprint,
            "history": self.history,
            "smoothed": self.smoothed,
            "best_epoch": self.best_epoch,
            "lowest_loss": self.lowest_loss,
            "optimizer": numbers,
        }
        _save(self.last, _contiguous(tensors), {"state": json.dumps(state)})

    def load_best(self) -> None:
        """Give the learner the weights of the best epoch."""
        with _damage_told(self.best):
            weights = safetensors.torch.load_file(self.best)
        self.learn.model.load_state_dict(weights)

    def clear(self) -> None:
        """Remove the state: the run is complete."""
        self.last.unlink(missing_ok=True)
        self.best.unlink(missing_ok=True)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """What a file of the state that is cut off or damaged raises, in one line."""
    try:
        yield
    except (safetensors.SafetensorError, FileNotFoundError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: missing or damaged ({reason}), so that training cannot go on from there. Run "
            f"'rm -r {shlex.quote(str(path.parent))}', then the same command again: it begins with the first epoch"
        ) from None


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    with output_file(path) as partial, open(partial, "wb") as file:
        file.write(safetensors.torch.save(tensors, metadata))  # not save_file, which hides what the system said
        file.flush()
        os.fsync(file.fileno())


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
