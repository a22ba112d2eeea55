"""Checkpoints of a training: the state from which a killed run goes on, and what has to be the same for that."""

import hashlib
import json
import math
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.torch_core import distrib_barrier, get_model, rank_distrib
from torch import Tensor

import accent
from accent.core.errors import InputError
from accent.core.outputs import output_file

NUMERICS = ("torch", "torchvision", "fastai", "numpy")
AFTER_RECORDER = 60  # order of a callback: fastai's Recorder has 50, and its metrics are ready then


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


def open_checkpoint(folder: Path, files: Iterable[Path], *params: object) -> Checkpoint:
    """The checkpoint in `folder`, from which only a run of the same files, parameters, code and libraries goes on."""
    return Checkpoint(folder, fingerprint([*files, *loaded_code()], *params, numerics()))


def fingerprint(files: Iterable[Path], *params: object) -> str:
    """A hash of the contents of `files` and of `params`: runs with the same one may continue each other."""
    digest = hashlib.sha256(repr(params).encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def loaded_code() -> list[Path]:
    """The files of this project's packages that are loaded, sorted: the code that a stage's numbers can depend on.

    Those of the standard library and of what is installed beside it are `numerics`, or no part of a training.
    """
    package = Path(accent.__file__).parent
    files = {Path(module.__file__) for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
    return sorted(file for file in files if file.is_relative_to(package))


def numerics() -> dict[str, str]:
    """The versions of the libraries that a training's numbers depend on, as requirements-numerics.txt pins them."""
    return {name: version(name) for name in NUMERICS}


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
