"""Training images a second: our learner beside fastai's `vision_learner` over the experiment's pictures, and loaders.

    python -m benchmarks.training

Both train a resnet18 from scratch on all cores, on the same clips of data/sample (the pictures by ffmpeg, scipy and
matplotlib), through their own loaders; an epoch each after one to warm up. Then the data loader alone, with and
without what the device does to its batches, and the network alone, on batches that are there.
"""

import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pandas as pd
import torch
from fastai.data.core import TfmdDL
from fastai.learner import Learner
from fastai.vision.all import ImageDataLoaders, Resize, resnet18, vision_learner

from accent.audio.spectrogram import SpectrogramParams
from accent.core.errors import run
from accent.core.params import load_params
from accent.core.parts import Parts, read_index
from accent.training.learner import TrainParams, make_learner, training_dls
from benchmarks.audio import the_experiment
from benchmarks.usage import stage_usage

CLIPS = 320


def images_a_second(learn: Learner) -> float:
    """Training images, forwards and backwards, in the second of two epochs."""
    with redirect_stdout(StringIO()), learn.no_bar():
        learn.dls.valid = learn.dls.valid.new(get_idxs=lambda: [])
        learn.fit(1)
        began = time.perf_counter()
        learn.fit(1)
    return len(learn.dls.train) * learn.dls.train.bs / (time.perf_counter() - began)


def loaded_a_second(dl: TfmdDL) -> float:
    """Images of ten epochs of a data loader, after one to warm up."""
    for _ in dl:
        pass
    began = time.perf_counter()
    count = sum(len(batch[0]) for _ in range(10) for batch in dl)
    return count / (time.perf_counter() - began)


def steps_a_second(learn: Learner, dtype: torch.dtype, steps: int = 3) -> float:
    """Images of training steps over and over on one batch, after one step to warm up: no loader at all."""
    images, targets = (tensor.as_subclass(torch.Tensor) for tensor in learn.dls.train.one_batch())
    optimizer = torch.optim.AdamW(learn.model.parameters())
    model = learn.model.train()
    if dtype == torch.bfloat16:
        model, images = (thing.to(memory_format=torch.channels_last) for thing in (model, images))

    def step() -> None:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(images).float(), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * len(images) / (time.perf_counter() - began)


def main() -> None:
    params, spectrogram = load_params("train", TrainParams), load_params("spectrogram", SpectrogramParams)
    window = spectrogram.frames_in(params.window_seconds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stage_usage("ingest", "data/sample", "data/exclusions.csv", folder / "clips")
        stage_usage("decode", folder / "clips", folder / "waveforms")
        stage_usage("spectrogram", folder / "waveforms", folder / "spectrograms")
        rows = read_index(folder / "spectrograms").iloc[:CLIPS]
        labels = pd.read_parquet(folder / "waveforms" / "index.parquet").iloc[:CLIPS]["label"]
        clips = (Parts(folder / "spectrograms", rows), labels)
        dls = training_dls(clips, clips, sorted(set(labels)), window, window, params, spectrogram.range_db)
        rate = images_a_second(make_learner(dls, params))
        ours = steps_a_second(make_learner(dls, params), torch.bfloat16)
        loaded = {
            "windows cut and collated": loaded_a_second(TfmdDL(dls.train.dataset, bs=params.batch_size, num_workers=0)),
            "and augmented on the CPU": loaded_a_second(dls.train),
        }

        pictures = folder / "pictures"
        pictures.mkdir()
        paths = {path.stem: path for path in Path("data/sample").rglob("*.mp3")}
        the_experiment([paths[name] for name in rows["clip_id"]], pictures)
        images = sorted(pictures.glob("*.png"))
        dls = ImageDataLoaders.from_name_func(
            pictures, images, lambda name: name.split("_")[2], item_tfms=Resize(224), valid_pct=0.1, seed=1, bs=64
        )
        peer = images_a_second(vision_learner(dls, resnet18, pretrained=False))
        theirs = steps_a_second(vision_learner(dls, resnet18, pretrained=False), torch.float32)
    size = f"1x{spectrogram.n_mels}x{window}, batch {params.batch_size}, {params.precision}"
    print(f"ours ({size}): {rate:.1f} images/s")
    print(f"vision_learner over the experiment's PNGs (3x224x224, batch 64, float32): {peer:.1f} images/s")
    print(f"ours is {rate / peer:.1f} times as fast")
    print(f"training step alone: {ours:.1f} against {theirs:.1f} images/s, {ours / theirs:.1f} times")
    for what, images in loaded.items():
        print(f"data loader alone, one process, {what}: {images:,.0f} images/s, {images / ours:.0f} times the step")


if __name__ == "__main__":
    run(main)
