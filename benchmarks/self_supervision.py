"""Does hearing speech without labels first make the network better? Rows for the table of benchmarks.settings.

    python -m benchmarks.self_supervision RELEASES

RELEASES is the folder of benchmarks.settings, whose experiments set-scratch-0 to 4 must be there: they give the
parameters, and what a row is compared with. In each fold the trunk learns a task without labels on windows of every
clip of RELEASES (French, English, German) and of data/sample, but for those of the fold's validation and test speakers;
then the network is trained as the base was, only from these weights instead of random ones.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import dvc.api
import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, mse_loss

from accent.audio.fingerprint import fingerprint
from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import DecodeParams
from accent.audio.windows import cut
from accent.core.errors import run
from accent.core.params import parse_params
from accent.corpus.common_voice import ClassFilter
from accent.corpus.second_source import read_clips
from accent.corpus.selection import IngestParams
from accent.corpus.splits import SplitParams, make_splits
from accent.network.calibration import fit_temperature
from accent.network.model import build_model, clip_logits, window_logits
from accent.training.augment import augment
from accent.training.checkpoint import Checkpoint
from accent.training.learner import TrainParams, fit, make_learner, training_dls
from benchmarks.settings import FOLDS, TARGET, experiment, print_row, read

UNLABELLED = {"german": ClassFilter(locale="de")}  # heard beside the classes
SAMPLE = Path("data/sample")
EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 30, 64, 0.003, 0.01
CHANNEL = {"tilt_db": 18, "lowpass": 0.5, "noise_db": 50}  # more than in training: else a clip is known by its channel
EMBEDDING = 64  # dimensions in which COLA compares
CELL, HIDDEN = (8, 10), 0.5  # bands and frames (0.1 s) of what is hidden at once, and the share of it


class Cola(nn.Module):
    """Which window of the batch is of the same clip as this one, each through a channel of its own?

    COLA (arXiv 2010.10915): the cross-entropy of the bilinear similarities of the windows' embeddings.
    """

    def __init__(self, params: TrainParams, distort: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.distort = distort
        self.model = build_model(params.arch, EMBEDDING, params.width, params.antialias)
        self.norm, self.similarity = nn.LayerNorm(EMBEDDING), nn.Linear(EMBEDDING, EMBEDDING, bias=False)

    def forward(self, windows: Tensor) -> Tensor:
        one, other = (torch.tanh(self.norm(self.model(self.distort(view)))) for view in windows.split(1, dim=1))
        return cross_entropy(self.similarity(one) @ other.T, torch.arange(len(one)))


class Masked(nn.Module):
    """What stood in the hidden half of a window, before a channel changed it all?

    Masked spectrogram prediction (arXiv 2204.12768) with convolutions: the mean square error, there, of what one
    transposed convolution makes of the trunk's last picture.
    """

    def __init__(self, params: TrainParams, distort: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.distort = distort
        self.model = build_model(params.arch, EMBEDDING, params.width, params.antialias)
        standardise, network = self.model
        self.picture = nn.Sequential(standardise, *list(network.children())[:-2])  # without avgpool and fc
        self.decoder = nn.ConvTranspose2d(network.fc.in_features, 1, kernel_size=32, stride=32)  # the trunk's stride

    def forward(self, windows: Tensor) -> Tensor:
        clean = windows.flatten(0, 1).unsqueeze(1)
        height, width = clean.shape[2:]
        cells = torch.rand(len(clean), 1, -(-height // CELL[0]), -(-width // CELL[1])) < HIDDEN
        hidden = interpolate(cells.float(), scale_factor=CELL)[..., :height, :width].bool()
        guess = self.decoder(self.picture(self.distort(clean).masked_fill(hidden, 0)))
        return mse_loss(guess[..., :height, :width].float()[hidden], clean[hidden])


METHODS = {"none": None, "cola": Cola, "masked": Masked}  # none: the base once more, to see that it is the same


def pretrain(
    method: type[nn.Module], spectrograms: Sequence[np.ndarray], params: TrainParams, window: int, range_db: float
) -> dict[str, Tensor]:
    """The trunk's weights after EPOCHS passes, each over two random windows a clip; it is given no label."""
    torch.manual_seed(params.seed)
    rng = np.random.default_rng(params.seed)
    strong = replace(params.augment, **CHANNEL)
    task = method(params, lambda batch: augment(batch, strong, range_db)).to(memory_format=torch.channels_last)
    steps = len(spectrograms) // BATCH
    optimizer = torch.optim.AdamW(task.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, EPOCHS * steps)
    for epoch in range(EPOCHS):
        losses = []
        for clips in rng.permutation(len(spectrograms))[: steps * BATCH].reshape(steps, BATCH):
            chosen = [spectrograms[clip] for clip in clips for _ in range(2)]
            starts = [rng.integers(0, max(len(one) - window, 0), endpoint=True) for one in chosen]
            windows = np.concatenate([cut(one, start, window) for one, start in zip(chosen, starts, strict=True)])
            batch = torch.from_numpy(windows).unflatten(0, (BATCH, 2)).float() / 255
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = task(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        if epoch in (0, EPOCHS // 2, EPOCHS - 1):
            print(f"  epoch {epoch + 1} of {EPOCHS}: loss {np.mean(losses):.4f}", flush=True)
    return {name: tensor for name, tensor in task.model[1].state_dict().items() if not name.startswith("fc.")}


def train(
    clips: pd.DataFrame, params: TrainParams, window: int, hop: int, range_db: float, trunk: dict[str, Tensor] | None
) -> pd.DataFrame:
    """Train as the stage does, from the weights of `trunk`: the valid and test clips and their `score`."""
    classes = sorted(clips["label"].unique())
    rows = {split: clips[clips["split"] == split] for split in ("train", "valid", "test")}
    train, valid = ((list(rows[split]["spectrogram"]), rows[split]["label"]) for split in ("train", "valid"))
    dls = training_dls(train, valid, classes, window, hop, params, range_db)
    learn = make_learner(dls, params, trunk)
    with tempfile.TemporaryDirectory() as folder:
        fit(learn, params, Checkpoint(Path(folder, "state"), ""), Path(folder, "live"))
    logits = {
        split: clip_logits(window_logits(learn.model, list(rows[split]["spectrogram"]), window, hop)[1])
        for split in ("valid", "test")
    }
    temperature = fit_temperature(logits["valid"], rows["valid"]["label"].map(classes.index).to_numpy())
    return pd.concat(
        rows[split].assign(score=softmax(logits[split] / temperature, axis=1)[:, classes.index(TARGET)])
        for split in logits
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("releases", type=Path)
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--seed", type=int, help="of the tasks and of the training (default: the base's)")
    args = parser.parse_args()

    bases = {part: read("scratch", part) for part in ("valid", "test")}
    base = dvc.api.params_show(rev=experiment("scratch", 0))
    ingest, decode, spectrogram, split, params = (
        parse_params(base[section], cls, f"{experiment('scratch', 0)}: {section}")
        for section, cls in {
            "ingest": IngestParams,
            "decode": DecodeParams,
            "spectrogram": SpectrogramParams,
            "split": SplitParams,
            "train": TrainParams,
        }.items()
    )
    if args.seed is not None:
        params = replace(params, seed=args.seed)
    window, hop = (spectrogram.frames_in(seconds) for seconds in (params.window_seconds, params.window_hop_seconds))
    locales = replace(ingest, classes={**ingest.classes, **UNLABELLED})
    clips = read_clips(args.releases, locales, decode, spectrogram)
    heard = pd.concat([clips, read_clips(SAMPLE, ingest, decode, spectrogram)], ignore_index=True)
    heard["fingerprint"] = heard["waveform"].map(fingerprint)
    labelled = clips[clips["label"].isin(ingest.classes)]
    for name in args.only:
        runs = []
        for fold in range(FOLDS):
            splits = make_splits(labelled, replace(split, fold=fold))
            judged = splits["split"].isin(["valid", "test"])
            pool = heard[~heard["client_id"].isin(splits["client_id"][judged])]
            print(f"{name}, fold {fold}: {len(pool)} of {len(heard)} clips are heard without labels", flush=True)
            method = METHODS[name]
            trunk = method and pretrain(method, list(pool["spectrogram"]), params, window, spectrogram.range_db)
            spectrograms = labelled[["clip_id", "spectrogram"]]
            fold_clips = splits.merge(spectrograms, on="clip_id", validate="one_to_one")
            runs.append(train(fold_clips, params, window, hop, spectrogram.range_db, trunk).assign(fold=fold))
        found = pd.concat(runs).drop(columns="spectrogram").assign(positive=lambda rows: rows["label"] == TARGET)
        print_row(name, {split: rows.reset_index(drop=True) for split, rows in found.groupby("split")}, bases)


if __name__ == "__main__":
    run(main)
