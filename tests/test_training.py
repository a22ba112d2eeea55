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
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from fastai.callback.core import Callback

from accent.core.errors import InputError
from accent.core.params import load_params
from accent.core.parts import Parts, write_part
from accent.network.resnet import ResNet
from accent.training.augment import AugmentParams
from accent.training.callbacks import BatchNorm
from accent.training.checkpoint import Checkpoint, fingerprint, numerics
from accent.training.dataset import EvenWindows, RandomWindows, TensorSpectrogram
from accent.training.learner import TrainParams, fit, make_learner, training_dls
from accent.training.precision import choose_precision
from tests.helpers import ROOT, prepare_training, stage, train_arguments

pytestmark = pytest.mark.slow

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
    values |= {"width": 16, "weights": "none", "freeze_epochs": 2, "learning_rate": 0.003}
    params = load_params("train", TrainParams, ROOT / "params.yaml")
    return TrainParams(**{**{name: getattr(params, name) for name in params.__dict__}, **values, **changes})


def make_test_dls(params: TrainParams):
    clips, labels = make_clips(48)
    train, valid = ((clips[part], labels[part]) for part in (slice(32), slice(32, None)))
    return training_dls(train, valid, CLASSES, 50, 25, params, 80)


def weights_of(learn) -> torch.Tensor:
    return torch.cat([value.detach().float().flatten() for value in learn.model.state_dict().values()])


def random_trunk(params: TrainParams) -> dict[str, torch.Tensor] | None:
    """A trunk of random weights, with running statistics that no batch would give, where `params` want a trunk."""
    if params.weights == "none":
        return None
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = ResNet(params.arch, params.width, params.antialias, channels=1)
    trunk = {name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}
    return trunk | {name: value + 0.25 for name, value in trunk.items() if "running" in name}


def train(folder: Path, **changes):
    params = make_params(**changes)
    learn = make_learner(make_test_dls(params), params, random_trunk(params))
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


def test_windows_are_laid_out_without_opening_a_clip(tmp_path):
    """Of millions of clips only the index is read before the first step; a clip is opened when it has its turn."""
    clips, labels = make_clips(6)
    rows = write_part(tmp_path / "part-00000.npy", clips, np.empty((0, 16), np.uint8))
    parts = Parts(tmp_path, rows)
    expected = [
        RandomWindows(clips, labels, CLASSES, 50, per_clip=3, seed=1),
        EvenWindows(clips, labels, CLASSES, 50, hop=25),
    ]
    (tmp_path / "part-00000.npy").rename(tmp_path / "away")
    laid_out = [
        RandomWindows(parts, labels, CLASSES, 50, per_clip=3, seed=1),
        EvenWindows(parts, labels, CLASSES, 50, hop=25),
    ]
    (tmp_path / "away").rename(tmp_path / "part-00000.npy")
    for found, wanted in zip(laid_out, expected, strict=True):
        assert (found.starts == wanted.starts).all()
        assert torch.equal(found[4][0], wanted[4][0])


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


PRETRAINED = {"width": 8, "weights": "speech"}


def trunk_of(learn) -> dict[str, torch.Tensor]:
    return {name: value for name, value in learn.model[1].state_dict().items() if not name.startswith("fc.")}


def test_the_head_trains_alone_at_first_and_leaves_the_trunk_as_it_is(tmp_path):
    given = random_trunk(make_params(**PRETRAINED))
    learn, _ = train(tmp_path / "head", epochs=2, freeze_epochs=2, **PRETRAINED)
    for name, value in trunk_of(learn).items():  # weights, and running statistics too
        assert torch.equal(value, given[name]), name
    untrained = make_learner(make_test_dls(make_params()), make_params(**PRETRAINED), given)
    assert not torch.equal(learn.model[1].fc.weight, untrained.model[1].fc.weight)
    learn, _ = train(tmp_path / "all", epochs=3, freeze_epochs=2, **PRETRAINED)
    for name, value in trunk_of(learn).items():
        assert not torch.equal(value, given[name]), name


def test_more_frozen_epochs_than_epochs_train_the_head_alone(tmp_path):
    learn, checkpoint = train(tmp_path, epochs=1, freeze_epochs=999, **PRETRAINED)
    assert torch.equal(
        trunk_of(learn)["layer4.1.conv2.weight"], random_trunk(make_params(**PRETRAINED))["layer4.1.conv2.weight"]
    )
    assert len(checkpoint.history) == 1


def rates_by_epoch(folder: Path, **changes) -> list[list[float]]:
    """The highest learning rate of each group of layers in each epoch."""
    params = make_params(**changes)
    learn = make_learner(make_test_dls(params), params, random_trunk(params))
    seen: dict[int, list] = {}

    class Rates(Callback):
        def before_step(self):
            seen.setdefault(self.epoch, []).append([hyper["lr"] for hyper in self.opt.hypers])

    learn.add_cb(Rates())
    fit(learn, params, Checkpoint(folder / "state", "same"), folder / "live")
    return [np.max(seen[epoch], axis=0).tolist() for epoch in sorted(seen)]


def test_learning_rates_are_discriminative_after_the_head_and_alike_from_scratch(tmp_path):
    options = {"epochs": 4, "freeze_epochs": 1, "learning_rate": 0.01, "learning_rate_ratio": 100}
    rates = rates_by_epoch(tmp_path / "speech", **PRETRAINED, **options)
    assert len(rates) == 4
    for epoch in (1, 2, 3):
        first, middle, head = rates[epoch]
        assert (head / first, head / middle) == pytest.approx((100, 10))
    assert max(head for *_, head in rates) == pytest.approx(0.01, rel=0.05)
    for first, middle, head in rates_by_epoch(tmp_path / "none", **options):
        assert first == middle == head


def test_batch_norm_statistics_are_those_of_the_training_windows_before_every_validation(tmp_path):
    learn, _ = train(tmp_path, epochs=1, keep="last")
    learn.dls.train.dataset.set_epoch(0)
    windows = torch.stack([learn.dls.train.dataset[i][0].as_subclass(torch.Tensor) for i in range(64)]).float() / 255
    network = learn.model[1]
    with torch.no_grad():
        channels = [network.conv1(learn.model[0](batch)).transpose(0, 1).flatten(1) for batch in windows.split(16)]
    torch.testing.assert_close(network.bn1.running_mean, torch.stack([c.mean(1) for c in channels]).mean(0))
    torch.testing.assert_close(
        network.bn1.running_var, torch.stack([c.var(1) for c in channels]).mean(0), rtol=1e-3, atol=0
    )


def test_batch_norm_statistics_take_a_bounded_part_of_a_large_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(BatchNorm, "max_batches", 2)
    learn, _ = train(tmp_path, epochs=1)
    batches = list(learn.batch_norm._batches())
    assert [len(batch) for batch in batches] == [16, 16]
    last = learn.dls.train.dataset[63][0].as_subclass(torch.Tensor).float() / 255
    assert torch.equal(batches[-1][-1], last)  # spread over the whole


def test_precision_auto_is_what_the_device_multiplies(monkeypatch, capsys):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True})
    assert choose_precision("auto", cpu) == choose_precision("float32", cpu) == "float32"
    assert capsys.readouterr().out == ""
    assert choose_precision("bfloat16", cpu) == "bfloat16"
    assert re.fullmatch("train.precision: bfloat16: this cpu emulates it, .*\n", capsys.readouterr().out)
    for unit in ("avx512_bf16", "amx_bf16", "bf16"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda unit=unit: {unit: True})
        assert choose_precision("auto", cpu) == choose_precision("bfloat16", cpu) == "bfloat16"
        assert choose_precision("float32", cpu) == "float32"
    for native in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, native=native: native)
        assert choose_precision("auto", torch.device("cuda")) == ("bfloat16" if native else "float32")
    assert capsys.readouterr().out == ""


class Killed(BaseException):
    pass


BROKEN_OFF = {  # step, of four an epoch
    "from scratch": (10, {"keep": "best"}),
    "from scratch, the last epoch kept": (10, {"keep": "last"}),
    "the head alone": (6, {**PRETRAINED, "freeze_epochs": 2}),
    "the first epoch of all layers": (10, {**PRETRAINED, "freeze_epochs": 2}),
    "the second epoch of all layers": (14, {**PRETRAINED, "freeze_epochs": 2}),
    "the last epoch of the head alone": (15, {**PRETRAINED, "freeze_epochs": 4}),
}


@pytest.mark.parametrize("where", BROKEN_OFF)
def test_a_run_broken_off_in_the_middle_of_an_epoch_ends_as_an_unbroken_one(tmp_path, where, monkeypatch):
    step, options = BROKEN_OFF[where]
    unbroken, one = train(tmp_path / "unbroken", epochs=4, **options)
    with monkeypatch.context() as patch:
        steps = 0

        def die(self):
            nonlocal steps
            steps += 1
            if steps == step:
                raise Killed

        patch.setattr(Checkpoint, "after_step", die, raising=False)
        with pytest.raises(Killed):
            train(tmp_path / "broken", epochs=4, **options)
    assert (tmp_path / "broken" / "state" / "last.safetensors").exists()
    continued, other = train(tmp_path / "broken", epochs=4, **options)
    assert torch.equal(weights_of(unbroken), weights_of(continued))
    assert (one.history, one.best_epoch, one.lowest_loss) == (other.history, other.best_epoch, other.lowest_loss)
    for name in ("train/loss", "eval/loss", "accuracy"):
        assert curve(tmp_path / "broken", name) == curve(tmp_path / "unbroken", name)
        assert [int(row["step"]) for row in curve(tmp_path / "unbroken", name)] == [1, 2, 3, 4]


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


def test_the_fingerprint_follows_the_libraries(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("1")
    before = fingerprint([tmp_path / "a"], numerics())
    monkeypatch.setattr("accent.training.checkpoint.version", lambda name: "9.9" if name == "torch" else version(name))
    assert numerics()["torch"] == "9.9"
    assert fingerprint([tmp_path / "a"], numerics()) != before


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, prepared_data) -> Path:
    """A folder with spectrograms and splits of 60 clips of the sample, and settings for a short training."""
    train = {"width": 8, "epochs": 5, "freeze_epochs": 2, "batch_size": 4, "windows_per_clip": 1}
    return prepare_training(tmp_path_factory.mktemp("prepared"), prepared_data, train)


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
    assert metrics["precision"] in ("bfloat16", "float32")
    assert f"training clips in {metrics['precision']}, kept epoch" in done.stdout
    assert 1 <= metrics["kept_epoch"] == metrics["best_epoch"] <= 5
