import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch

from accent.augment import AugmentParams
from accent.callbacks import Checkpoint
from accent.dataset import EvenWindows, RandomWindows, TensorSpectrogram
from accent.errors import InputError
from accent.params import load_params
from accent.training import TrainParams, fingerprint, fit, make_learner, training_dls
from tests.conftest import ROOT, prepare_training, stage, train_arguments

mpl.use("Agg")
CLASSES = ["english", "french"]


def make_clips(count: int) -> tuple[list[np.ndarray], list[str]]:
    """Noise in which the French clips are louder in the lower bands."""
    generator = np.random.default_rng(0)
    labels = [CLASSES[number % 2] for number in range(count)]
    clips = []
    for label in labels:
        clip = generator.integers(40, 120, (generator.integers(60, 120), 16))
        clip[:, : 8 if label == "french" else 0] += 80
        clips.append(clip.astype(np.uint8))
    return clips, labels


def make_params(**changes) -> TrainParams:
    values = {"epochs": 3, "batch_size": 16, "windows_per_clip": 2, "num_workers": 0, "precision": "float32"}
    params = load_params("train", TrainParams, ROOT / "params.yaml")
    return TrainParams(**{**{name: getattr(params, name) for name in params.__dict__}, **values, **changes})


def make_test_dls(params: TrainParams):
    clips, labels = make_clips(48)
    train, valid = ((clips[part], labels[part]) for part in (slice(32), slice(32, None)))
    return training_dls(train, valid, CLASSES, 50, 25, params, 80)


def weights_of(learn) -> torch.Tensor:
    return torch.cat([value.detach().float().flatten() for value in learn.model.state_dict().values()])


def train(folder: Path, **changes):
    params = make_params(**changes)
    learn = make_learner(make_test_dls(params), params)
    checkpoint = Checkpoint(folder / "state", "same")
    fit(learn, params, checkpoint, folder / "live")
    return learn, checkpoint


def curve(folder: Path, name: str) -> list[dict]:
    with open(folder / "live" / "plots" / "metrics" / f"{name}.tsv") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_random_windows_are_elsewhere_every_epoch_and_the_same_in_every_run():
    clips, labels = make_clips(8)
    windows = RandomWindows(clips, labels, CLASSES, 50, per_clip=3, seed=1)
    assert len(windows) == 24
    drawn = []
    for epoch in (0, 1, 0):
        windows.set_epoch(epoch)
        drawn.append(windows.starts.copy())
        assert (windows.starts + 50 <= np.maximum(windows.lengths[windows.clips], 50)).all()
    assert (drawn[0] == drawn[2]).all()
    assert (drawn[0] != drawn[1]).any()


def test_even_windows_are_all_of_each_clip():
    clips, labels = make_clips(6)
    windows = EvenWindows(clips, labels, CLASSES, 50, hop=25)
    window, target = windows[0]
    assert isinstance(window, TensorSpectrogram)
    assert (tuple(window.shape), window.dtype) == ((1, 16, 50), torch.uint8)
    assert CLASSES[int(target)] == labels[0]
    np.testing.assert_array_equal(window[0].numpy(), clips[0][:50].T)
    assert set(windows.clips) == set(range(6))


def test_only_training_batches_are_augmented():
    dls = make_test_dls(make_params())
    x, y = dls.train.one_batch()
    assert (type(x), tuple(x.shape), x.dtype) == (TensorSpectrogram, (16, 1, 16, 50), torch.float32)
    assert tuple(y.shape) == (16,)
    as_bytes = torch.Tensor(x) * 255  # whole numbers before the augmentation
    assert (as_bytes - as_bytes.round()).abs().max() > 0.1
    x, _ = dls.valid.one_batch()
    first, _ = dls.valid.dataset[0]
    torch.testing.assert_close(torch.Tensor(x[0]), torch.Tensor(first.float() / 255))


@pytest.mark.parametrize("workers", [0, 2])
def test_worker_processes_change_no_batch(workers):
    params = make_params(num_workers=workers, augment=AugmentParams(**dict.fromkeys(make_params().augment.__dict__, 0)))
    dls = make_test_dls(params)
    dls.train.rng.seed(5)
    dls.train.dataset.set_epoch(3)
    batches = [torch.Tensor(x).clone() for x, _ in dls.train]
    dls = make_test_dls(make_params(augment=params.augment))
    dls.train.rng.seed(5)
    dls.train.dataset.set_epoch(3)
    torch.testing.assert_close(batches, [torch.Tensor(x).clone() for x, _ in dls.train], rtol=0, atol=0)


def test_batches_and_results_are_shown_with_their_labels(tmp_path):
    import matplotlib.pyplot as plt

    learn, _ = train(tmp_path, epochs=1)
    learn.dls.show_batch(max_n=4)
    figure = plt.gcf()
    assert len([axes for axes in figure.axes if axes.images]) == 4
    assert {axes.get_title() for axes in figure.axes if axes.images} <= set(CLASSES)
    assert figure.axes[0].images[0].get_array().shape == (16, 50)
    plt.close("all")
    learn.show_results(max_n=4)
    titles = [axes.get_title() for axes in plt.gcf().axes if axes.images]
    assert len(titles) == 4
    assert all(re.fullmatch("(english|french)\n(english|french)", title) for title in titles)
    plt.close("all")


def test_training_learns_and_logs_every_epoch(tmp_path):
    learn, checkpoint = train(tmp_path, epochs=6)
    losses = [float(row["loss"]) for row in curve(tmp_path, "eval/loss")]
    assert [int(row["step"]) for row in curve(tmp_path, "eval/loss")] == [1, 2, 3, 4, 5, 6]
    assert checkpoint.lowest_loss == min(losses)
    assert checkpoint.best_epoch == losses.index(min(losses)) + 1
    assert float(curve(tmp_path, "accuracy")[checkpoint.best_epoch - 1]["accuracy"]) > 0.9
    assert learn.validate()[0] == pytest.approx(checkpoint.lowest_loss, abs=1e-5)  # the best epoch's weights are kept


def test_keep_last_keeps_the_last(tmp_path):
    learn, _ = train(tmp_path, keep="last", epochs=3)
    assert learn.validate()[0] == pytest.approx(float(curve(tmp_path, "eval/loss")[-1]["loss"]), abs=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("channels_last", [True, False])
def test_every_precision_and_layout_trains_and_is_repeatable(tmp_path, precision, channels_last):
    options = {"precision": precision, "channels_last": channels_last, "epochs": 1}
    runs = [weights_of(train(tmp_path / name, **options)[0]) for name in ("a", "b")]
    assert torch.equal(*runs)
    assert torch.isfinite(runs[0]).all()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_run_broken_off_in_the_middle_of_an_epoch_ends_as_an_unbroken_one(tmp_path, keep, monkeypatch):
    unbroken, one = train(tmp_path / "unbroken", epochs=4, keep=keep)
    with monkeypatch.context() as patch:
        steps = 0

        def die(self):
            nonlocal steps
            steps += 1
            if steps == 10:  # in the third of four epochs of four steps
                raise Killed

        patch.setattr(Checkpoint, "after_step", die, raising=False)
        with pytest.raises(Killed):
            train(tmp_path / "broken", epochs=4, keep=keep)
    assert (tmp_path / "broken" / "state" / "last.safetensors").exists()
    continued, other = train(tmp_path / "broken", epochs=4, keep=keep)
    assert torch.equal(weights_of(unbroken), weights_of(continued))
    assert (one.history, one.best_epoch, one.lowest_loss) == (other.history, other.best_epoch, other.lowest_loss)
    for name in ("train/loss", "eval/loss", "accuracy"):
        assert curve(tmp_path / "broken", name) == curve(tmp_path / "unbroken", name)


@pytest.mark.parametrize("name", ["last.safetensors", "best.safetensors"])
def test_a_damaged_state_is_one_line_that_says_how_to_go_on(tmp_path, name):
    _, checkpoint = train(tmp_path, epochs=1)
    state = tmp_path / "state"
    whole = (state / name).read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\xff" * 64, whole[:8] + b"!" + whole[9:]):
        (state / name).write_bytes(damaged)
        with pytest.raises(InputError) as error:
            checkpoint.load_best() if name.startswith("best") else checkpoint.restore()
        assert str(error.value).startswith(f"{state / name}: missing or damaged (")
        assert f"Run 'rm -r {state}', then the same command again" in str(error.value)
        assert "\n" not in str(error.value)
    shutil.rmtree(state)
    train(tmp_path, epochs=1)


def test_a_state_of_other_inputs_is_not_used(tmp_path):
    train(tmp_path, epochs=2)
    params = make_params(epochs=2)
    learn = make_learner(make_test_dls(params), params)
    other = Checkpoint(tmp_path / "state", "other")
    learn.add_cb(other)
    assert other.restore() == 0
    assert not other.best.exists()


def test_a_loss_that_is_no_number_is_a_clear_error(tmp_path):
    with pytest.raises(InputError, match="no finite number in epoch 1. Lower train.learning_rate"):
        train(tmp_path, learning_rate=1e30)


def test_any_seed_trains(tmp_path):
    train(tmp_path, seed=2**32 - 1, epochs=1)


def test_a_full_disk_in_training_is_one_line(prepared):
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))

    done = subprocess.run(
        [sys.executable, "-m", "stages.train", *train_arguments("full")],
        cwd=prepared,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=limit,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "File too large" in done.stderr.splitlines()[-1]
    assert not (prepared / "full" / "accent.safetensors").exists()


def test_the_fingerprint_follows_files_and_parameters(tmp_path):
    (tmp_path / "a").write_text("1")
    before = fingerprint([tmp_path / "a"], 1)
    assert fingerprint([tmp_path / "a"], 1) == before
    assert fingerprint([tmp_path / "a"], 2) != before
    (tmp_path / "a").write_text("2")
    assert fingerprint([tmp_path / "a"], 1) != before


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A folder with spectrograms and splits of 60 clips of the sample, and settings for a short training."""
    settings = {
        "ingest": {"max_clips_per_speaker": 2},
        "split": {"folds": 3, "fold": 0, "valid_folds": 3},
        "train": {"epochs": 5, "batch_size": 4, "windows_per_clip": 1},
    }
    return prepare_training(tmp_path_factory.mktemp("prepared"), settings)


def test_after_kill_9_the_stage_goes_on_and_gives_the_same_model(prepared):
    stage("train", *train_arguments("whole"), cwd=prepared)
    command = [sys.executable, "-m", "stages.train", *train_arguments("killed")]
    process = subprocess.Popen(
        command, cwd=prepared, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    )
    last = prepared / "killed" / "state" / "last.safetensors"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (prepared / "killed" / "accent.safetensors").exists()

    done = stage("train", *train_arguments("killed"), cwd=prepared)
    assert re.search(r"continuing after epoch [1-4] of 5", done.stdout)
    for name in ("accent.safetensors", "accent.json", "training.json", "live/plots/metrics/train/loss.tsv"):
        assert (prepared / "killed" / name).read_bytes() == (prepared / "whole" / name).read_bytes()
    assert list((prepared / "killed" / "state").iterdir()) == []
    metrics = json.loads((prepared / "whole" / "training.json").read_text())
    assert metrics["epochs"] == 5
    assert 1 <= metrics["kept_epoch"] == metrics["best_epoch"] <= 5
