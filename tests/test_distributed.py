"""Two processes on this machine's CPU (gloo): what each sees, what they agree on, and what they leave behind."""

import errno
import json
import re
import shutil
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from fastai.torch_core import rank_distrib

from accent.core.errors import InputError
from accent.core.params import load_params
from accent.training.checkpoint import Checkpoint
from accent.training.dataset import EvenWindows, RandomWindows, make_dls
from accent.training.distributed import join, launch, leave, share
from accent.training.learner import TrainParams, fit, make_learner
from tests.helpers import run_first_stages, set_params, stage, train_arguments
from tests.test_training import CLASSES, make_clips, make_params, random_trunk, weights_of

pytestmark = pytest.mark.slow

PARAMS = {"processes": 2, "batch_size": 16, "windows_per_clip": 1, "epochs": 2, "keep": "last"}
PARAMS |= {"width": 8, "weights": "speech", "freeze_epochs": 1}  # the second epoch trains layers that were frozen
TRAINING, VALIDATION = 41, 13  # clips, neither of them a multiple of anything


class Noted:
    """Windows that remember which of them were asked for."""

    items: tuple[int, ...] = ()

    def __getitem__(self, item: int):
        self.items = (*self.items, item)
        return super().__getitem__(item)


class NotedRandom(Noted, RandomWindows):
    pass


class NotedEven(Noted, EvenWindows):
    pass


class Notes(Callback):
    """What a rank saw in each epoch."""

    order = 100  # after the checkpoint

    def __init__(self, folder: Path):
        super().__init__()
        self.folder, self.epochs = folder, []

    def before_epoch(self) -> None:
        for dl in self.dls:
            dl.dataset.items = ()
        self.draw, self.steps = torch.rand(1, generator=torch.default_generator.clone_state()).item(), 0

    def after_step(self) -> None:
        self.steps += 1

    def after_epoch(self) -> None:
        if self.epoch < len(self.epochs):  # fastai skips through those of the first cycle
            return
        train, valid = (dl.dataset.items for dl in self.dls)
        if self.epoch:  # in which all layers train: the last ones are those that batch normalisation was measured over
            train, measured = train[:-TRAINING], train[-TRAINING:]
            assert measured == tuple(range(TRAINING))
        self.epochs.append({"train": train, "valid": valid, "draw": self.draw, "steps": self.steps})
        self.pct_trained = self.pct_train
        if self.epoch == 0 and not rank_distrib():
            shutil.copytree(self.folder / "state", self.folder / "first")


def learner(params):
    clips, labels = make_clips(TRAINING + VALIDATION)
    train = NotedRandom(clips[:TRAINING], labels[:TRAINING], CLASSES, 50, per_clip=1, seed=1)
    valid = NotedEven(clips[TRAINING:], labels[TRAINING:], CLASSES, 50, hop=25)
    dls = make_dls(train, valid, params.batch_size, 0, params.augment, 80)
    return make_learner(share(dls), params, random_trunk(params))


def train_and_note(folder: Path) -> None:
    params = make_params(**PARAMS)
    join(params.processes)
    learn, notes = learner(params), Notes(folder)
    learn.add_cb(notes)
    checkpoint = Checkpoint(folder / "state", "same")
    fit(learn, params, checkpoint, folder / "live")
    continued = learner(params)
    fit(continued, params, Checkpoint(folder / "first", "same"), folder / "continued")
    leave()
    report = {"epochs": notes.epochs, "pct_trained": notes.pct_trained, "history": checkpoint.history}
    np.save(folder / f"{rank_distrib()}.npy", [weights_of(learn).numpy(), weights_of(continued).numpy()])
    (folder / f"{rank_distrib()}.json").write_text(json.dumps(report))


def test_each_rank_sees_its_share_and_all_end_alike(tmp_path, capfd):
    launch(partial(train_and_note, tmp_path), 2)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    windows = len(learner(make_params(**PARAMS | {"processes": 1})).dls.valid.dataset)
    for one, other in zip(*(rank["epochs"] for rank in ranks), strict=True):
        assert (one["steps"], other["steps"]) == (2, 2)  # of 16 windows each; the last nine are left out
        assert len({*one["train"][:16], *other["train"][:16]}) == 32
        assert {*one["train"], *other["train"]} == set(range(TRAINING))
        assert {*one["valid"], *other["valid"]} == set(range(windows))
        assert len({*one["valid"]} & {*other["valid"]}) == windows % 2  # one is seen twice to fill up
        assert one["draw"] != other["draw"]
    first, second = ranks[0]["epochs"]
    assert first["train"] != second["train"]
    assert ranks[0]["pct_trained"] == pytest.approx(1)  # the schedule of the learning rate went to its end

    weights, continued = np.load(tmp_path / "0.npy")
    np.testing.assert_array_equal(weights, continued)
    np.testing.assert_array_equal(np.load(tmp_path / "1.npy"), [weights, continued])
    assert ranks[0]["history"] == ranks[1]["history"]
    single = learner(make_params(**PARAMS | {"processes": 1}))
    single.add_cb(Checkpoint(tmp_path / "state", "same"))
    assert single.checkpoint.restore() == 2
    assert single.validate()[0] == pytest.approx(ranks[0]["history"][-1][1], rel=0.05)  # but for the one seen twice
    printed = re.findall(r"^(epoch \d(?=: train_loss \d\.)|continuing after epoch \d)", capfd.readouterr().out, re.M)
    assert printed == ["epoch 1", "epoch 2", "continuing after epoch 1", "epoch 2"]


def fail_on_one_rank(bad: int) -> None:
    join(2)
    if rank_distrib() == bad:
        raise OSError(errno.EFBIG, "File too large", "state")
    torch.distributed.barrier()


def test_an_error_of_one_rank_ends_all_and_is_told(capfd):
    began = time.monotonic()
    with pytest.raises(InputError, match="^state: File too large. Mend that"):
        launch(partial(fail_on_one_rank, 1), 2)
    assert time.monotonic() - began < 600  # the others would wait for half an hour
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("started", [1, 4])
def test_a_launcher_that_started_others_than_asked_for_is_an_error(monkeypatch, started):
    monkeypatch.setenv("WORLD_SIZE", str(started))
    with pytest.raises(InputError, match=f"train.processes: 2, but the launcher started {started}"):
        join(2)


def test_a_batch_that_cannot_be_shared_equally_is_an_error(workdir):
    set_params(workdir, {"train": {"processes": 3}})
    with pytest.raises(InputError, match="train: batch_size .256. must be a multiple of processes .3."):
        load_params("train", TrainParams, workdir / "params.yaml")


def test_more_processes_than_gpus_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match="train.processes: 3, and this machine has 2 GPUs"):
        launch(partial(fail_on_one_rank, 1), 3)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Spectrograms and a random split of 200 clips of the sample, in which the classes are easy to learn."""
    settings = {
        "ingest": {"max_clips_per_speaker": 12},
        "split": {"group_by": "none", "folds": 3, "fold": 0},
        "train": {"width": 16, "weights": "none", "epochs": 6, "batch_size": 32, "windows_per_clip": 2},
        "evaluate": {"resamples": 50},
    }
    return run_first_stages(tmp_path_factory.mktemp("prepared"), settings)


def evaluate(folder: Path, name: str) -> dict:
    outputs = [f"{name}/evaluation.json", f"{name}/predictions.parquet", f"{name}/plots"]
    stage("predict", name, "spectrograms", "splits.parquet", f"{name}/logits.parquet", cwd=folder)
    stage("evaluate", name, "waveforms/index.parquet", f"{name}/logits.parquet", *outputs, cwd=folder)
    return json.loads((folder / name / "evaluation.json").read_text())


def test_two_processes_give_a_model_as_good_as_one(prepared):
    stage("train", *train_arguments("one"), cwd=prepared)
    set_params(prepared, {"train": {"processes": 2}})
    stage("train", *train_arguments("two"), cwd=prepared)
    one, two = (evaluate(prepared, name) for name in ("one", "two"))
    low, high = one["interval"]["clip"]["roc_auc"]
    assert low > 0.5  # it has learnt
    assert low <= two["clip"]["roc_auc"] <= high
