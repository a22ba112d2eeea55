"""Lessons: windows of unlabelled speech with the teacher's frames as targets, as fastai `DataLoaders`.

Two flat arrays hold all clips one after another, the spectrograms (frames, n_mels) and the teacher's frames (count,
width), each of which belongs to two of a spectrogram. They are memory maps in a scratch folder, or on the GPU where
they fit, and a batch is cut out of them as a whole: 30,000 windows a second are too many to be cut one by one.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from fastai.data.core import DataLoaders
from fastai.data.transforms import IntToFloatTensor
from fastai.torch_core import default_device
from fasttransform import ItemTransform
from torch import Tensor
from torch.nn.functional import embedding_bag
from tqdm import tqdm

from accent.audio.windows import even_starts
from accent.core.errors import InputError
from accent.core.outputs import output_file
from accent.core.parts import Parts, read_index
from accent.corpus.selection import seeded_hash
from accent.pretraining.distil import DistilParams
from accent.pretraining.teacher import Teacher
from accent.training.dataset import Augment, TensorSpectrogram

CLIPS_AT_ONCE = 64
ROOM = 0.5  # share of a GPU's free memory that the arrays may take


class Lessons(NamedTuple):
    """The clips, where each begins in `spectrograms` (`first`), and its even number of frames there (`length`)."""

    clips: pd.DataFrame
    spectrograms: Tensor
    frames: Tensor


def pair_clips(waveforms: Path, spectrograms: Path, window: int) -> tuple[pd.DataFrame, Parts, Parts]:
    """The clips of at least `window` frames, with their spectrograms and their waveforms.

    A row a clip: those of the index of `spectrograms`, with `label` and `client_id`.
    """
    index = read_index(waveforms)
    known = index[["clip_id", "label", "client_id"]]
    clips = read_index(spectrograms).merge(known, on="clip_id", validate="one_to_one")
    clips = clips[clips["length"] >= window].reset_index(drop=True)
    rows = clips[["clip_id"]].merge(index, on="clip_id", validate="one_to_one")
    return clips, Parts(spectrograms, clips), Parts(waveforms, rows)


def teach(
    clips: pd.DataFrame,
    spectrograms: np.ndarray,
    waveforms: np.ndarray,
    teacher: Teacher,
    scratch: Path,
) -> Lessons:
    """Write the teacher's frames of every clip into `scratch`, continuing where a killed run stopped.

    `clips` are rows of an index in the order of the two sequences of arrays.
    """
    lengths = clips["length"].to_numpy() // 2 * 2
    clips = clips.assign(length=lengths, first=np.cumsum(lengths) - lengths)
    total, n_mels = int(lengths.sum()), spectrograms[0].shape[1]
    what = [teacher.sha256, str(teacher.params), str(teacher.bfloat16), *clips["clip_id"], *map(str, clips["crc32"])]
    fingerprint = hashlib.sha256("\n".join(what).encode()).hexdigest()
    progress = scratch / "progress.json"
    scratch.mkdir(parents=True, exist_ok=True)
    done = 0
    if progress.exists():
        state = json.loads(progress.read_text())
        done = state["clips"] if state["fingerprint"] == fingerprint else 0
    cells = _flat(scratch / "spectrograms.npy", (total, n_mels), np.uint8, fresh=not done)
    frames = _flat(scratch / "frames.npy", (total // 2, teacher.width), np.float16, fresh=not done)
    for begin in tqdm(range(done, len(clips), CLIPS_AT_ONCE), unit=f" x {CLIPS_AT_ONCE} clips", desc="teacher"):
        rows = range(begin, min(begin + CLIPS_AT_ONCE, len(clips)))
        for row, said in zip(rows, teacher.frames([waveforms[row] for row in rows]), strict=True):
            first, length = clips["first"].iat[row], lengths[row]
            cells[first : first + length] = spectrograms[row][:length]
            frames[first // 2 : (first + length) // 2] = _of_length(said, length // 2)
        cells.flush()
        frames.flush()
        with output_file(progress) as partial:
            partial.write_text(json.dumps({"fingerprint": fingerprint, "clips": rows.stop}))
    return Lessons(clips, torch.from_numpy(cells), torch.from_numpy(frames))


def _of_length(frames: np.ndarray, count: int) -> np.ndarray:
    """The frames, without those after `count`, or with the last one again where one is lacking."""
    return np.pad(frames[:count], ((0, count - min(len(frames), count)), (0, 0)), mode="edge")


def _flat(path: Path, shape: tuple[int, int], dtype: type, fresh: bool) -> np.ndarray:
    """An array on disk whose room is taken at once, so that a full disk is an error now and no signal later."""
    if not fresh:
        return np.lib.format.open_memmap(path, mode="r+")
    path.unlink(missing_ok=True)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with open(path, "r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            path.unlink()
            raise OSError(error.errno, error.strerror, str(path)) from None
    return array


def hold_out(clips: pd.DataFrame, locales: tuple[str, ...], share: float, seed: int) -> pd.Series:
    """The role of each clip: `train`, `clips` (a share of speakers, by a seeded hash) or `locales` (whole locales)."""
    if strangers := sorted(set(locales) - set(clips["label"])):
        found = ", ".join(sorted(set(clips["label"])))
        raise InputError(f"params.yaml: distil.held_out_locales: no clip of {strangers[0]!r}. There are: {found}")
    draws = clips["client_id"].map(lambda speaker: seeded_hash(seed, speaker) / 2**63)
    kinds = pd.Series("train", index=clips.index, dtype=str).mask(draws < share, "clips")
    kinds = kinds.mask(clips["label"].isin(locales), "locales")
    learnt = int((kinds == "train").sum())
    if learnt in (0, len(clips)):
        what = "hold nothing out" if learnt else "leave nothing to learn from"
        raise InputError(
            f"params.yaml: distil.held_out_share and held_out_locales {what} of {len(clips)} clips. Change them"
        )
    return kinds


def place(lessons: Lessons) -> Lessons:
    """The lessons on the GPU, where there is one and they fit."""
    device = default_device()
    size = sum(array.numel() * array.element_size() for array in (lessons.spectrograms, lessons.frames))
    if device.type != "cuda" or size > ROOM * torch.cuda.mem_get_info()[0]:
        return lessons
    return lessons._replace(spectrograms=lessons.spectrograms.to(device), frames=lessons.frames.to(device))


def frame_statistics(lessons: Lessons, clips: pd.DataFrame) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (width,) of the teacher's frames in these clips."""
    count, sums, squares = 0, 0.0, 0.0
    for first, length in clips[["first", "length"]].itertuples(index=False):
        frames = lessons.frames[first // 2 : (first + length) // 2].double()
        count += len(frames)
        sums, squares = sums + frames.sum(dim=0), squares + (frames**2).sum(dim=0)
    mean = sums / count
    return mean.float().cpu(), (squares / count - mean**2).clamp(min=1e-12).sqrt().float().cpu()


class Starts:
    """First frames of windows in the flat arrays; those of training are drawn anew in every epoch."""

    def __init__(self, clips: pd.DataFrame, window: int, per_clip: int = 0, hop: int = 0, seed: int = 0) -> None:
        self.firsts, self.lengths = clips["first"].to_numpy(), clips["length"].to_numpy()
        self.window, self.per_clip, self.hop, self.seed = window, per_clip, hop, seed
        starts = [even_starts(length, window, hop) for length in self.lengths] if hop else []
        self.clips = np.repeat(np.arange(len(clips)), [len(row) for row in starts] if hop else per_clip)
        self.within = np.concatenate(starts) if hop else np.zeros(len(self.clips), dtype=int)
        self.set_epoch(0)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, item: int) -> Tensor:
        return torch.tensor(self.firsts[self.clips[item]] + self.within[item] // 2 * 2)

    def set_epoch(self, epoch: int) -> None:
        """Draw this epoch's places, a function of seed and epoch alone."""
        if self.per_clip:
            spare = self.lengths[self.clips] - self.window
            self.within = np.random.default_rng([self.seed, epoch]).integers(0, spare, endpoint=True)


class CutOut(ItemTransform):
    """First frames (batch,) -> windows (batch, 1, n_mels, window), uint8, and what the teacher heard in them.

    That is, for each of the student's `columns` (batch, columns, width), the mean of the teacher's frames in it,
    standardised. An embedding bag takes the mean without a copy of the frames: 0.01 ms a window instead of 0.3.
    """

    order = -10  # before what the windows go through

    def __init__(self, lessons: Lessons, window: int, columns: int, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.lessons, self.mean, self.spread = lessons, mean, spread
        self.cells, self.moments = torch.arange(window), torch.arange(window // 2)
        self.columns = torch.tensor([part[0] for part in np.array_split(np.arange(window // 2), columns)])

    def encodes(self, starts: Tensor):
        starts = torch.as_tensor(starts).as_subclass(Tensor)
        device, home = starts.device, self.lessons.frames.device
        starts = starts.to(home)
        windows = self.lessons.spectrograms[starts[:, None] + self.cells.to(home)].transpose(1, 2)[:, None]
        frames = starts[:, None] // 2 + self.moments.to(home)
        columns = torch.arange(len(starts), device=home)[:, None] * len(self.moments) + self.columns.to(home)
        means = embedding_bag(frames.flatten(), self.lessons.frames, columns.flatten(), mode="mean")
        means = means.to(device).float().unflatten(0, columns.shape)
        return TensorSpectrogram(windows.to(device)), (means - self.mean.to(device)) / self.spread.to(device)


def lesson_dls(
    lessons: Lessons,
    train: pd.DataFrame,
    valid: pd.DataFrame,
    window: int,
    params: DistilParams,
    range_db: float,
) -> tuple[DataLoaders, tuple[Tensor, Tensor]]:
    """Random windows of `train`, augmented, and the windows of `valid` side by side; and the frames' statistics."""
    lessons = place(lessons)
    mean, spread = frame_statistics(lessons, train)
    columns = -(-window // params.time_stride)  # each stride of 2 rounds up
    cut = CutOut(lessons, window, columns, mean, spread)
    learnt = Starts(train, window, per_clip=params.windows_per_clip, seed=params.seed)
    judged = Starts(valid, window, hop=window)
    learnt.split_idx, judged.split_idx = 0, 1
    dls = DataLoaders.from_dsets(
        learnt,
        judged,
        bs=params.batch_size,
        num_workers=0,
        device=default_device(),
        after_batch=[cut, IntToFloatTensor(), Augment(params.augment, range_db)],
        drop_last=(len(learnt) >= params.batch_size, False),
    )
    for dl in dls:
        _ = dl.n_inp  # fastai looks at an item when it first asks, which draws random numbers: now, not in training
    return dls, (mean, spread)
