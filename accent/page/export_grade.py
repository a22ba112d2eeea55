"""The grade as a graph for the page: a piece of waveform in, the grades of its frames of speech out, banks inside."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import safetensors.torch
import torch
from onnx import numpy_helper
from scipy.stats import t as student
from torch import Tensor, nn
from torch.nn.functional import conv1d, normalize, pad

from accent.grading.encoder import (
    CONTEXT_SECONDS,
    FRAME_SAMPLES,
    FRAME_SECONDS,
    HOP,
    MIN_SILENCE_SECONDS,
    N_FFT,
    SILENCE_DB,
    STEP_SECONDS,
    Ear,
    mel80_window_and_filters,
)
from accent.grading.grade import BLOCK_SECONDS, NEIGHBOURS, Reference
from accent.grading.grader import EAR, OTHERS, WEIGHTS, Grader, Pools
from accent.grading.store import SCALE
from accent.grading.store import WEIGHTS as EAR_WEIGHTS
from accent.page.graphs import SMALL, store, to_onnx

GRAPH = "grade.onnx"


class LogMel80(nn.Module):
    """`accent.grading.encoder.log_mel80` as layers; the Fourier transform is a convolution with windowed waves."""

    def __init__(self) -> None:
        super().__init__()
        window, filters = mel80_window_and_filters()
        angle = 2 * np.pi * np.outer(np.arange(N_FFT // 2 + 1), np.arange(N_FFT)) / N_FFT
        waves = np.concatenate([np.cos(angle), np.sin(angle)]) * window.double().numpy()
        self.register_buffer("waves", torch.from_numpy(waves[:, np.newaxis]).float())
        self.register_buffer("filters", filters)

    def forward(self, waveform: Tensor) -> Tensor:
        padded = pad(waveform[None, None], (N_FFT // 2, N_FFT // 2), mode="reflect")
        real, imaginary = conv1d(padded, self.waves, stride=HOP)[0, :, :-1].chunk(2)
        level = ((real * real + imaginary * imaginary).T @ self.filters).clamp(min=1e-10).log() / np.log(10)
        level = level.maximum(level.max() - 8)
        return ((level + 4) / 4).T[None]


class FrameGrades(nn.Module):
    """Blocks (frames, 320) of -1 to 1 and numbers of frames (n,) -> grades (n,) and sounds (n, dimensions) of those.

    The sounds are the frames before they are made one long, with which words are aligned.
    """

    def __init__(self, ear: Ear, natives: Tensor, others: Tensor) -> None:
        super().__init__()
        self.log_mel, self.ear = LogMel80(), ear
        self.register_buffer("natives", natives)
        self.register_buffer("others", others)

    def _nearness(self, frames: Tensor, bank: Tensor) -> Tensor:
        near = frames @ normalize(bank, dim=1).T
        return near.topk(min(NEIGHBOURS, len(bank)), dim=1).values.mean(dim=1)

    def forward(self, blocks: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        sounds = self.ear.project(self.ear.encoder(self.log_mel(blocks.flatten())))[0][places]
        frames = normalize(sounds, dim=1)
        return self._nearness(frames, self.natives) - self._nearness(frames, self.others), sounds


def export(grader: Grader, folder: Path, target: str) -> onnx.ModelProto:
    """The graph of a model's grader for one target, with its weights in int8 and float16 as in the model's folder."""
    shipped = safetensors.torch.load((folder / EAR / EAR_WEIGHTS).read_bytes())
    banks = safetensors.torch.load((folder / WEIGHTS).read_bytes())
    pools = Pools({name: banks[name] for name in grader.card.locales}, banks[OTHERS], grader.pools.locale_numbers)
    natives, others = (side.frames for side in pools.sides(target, grader.card.locales, grader.card.others))
    module = FrameGrades(grader.ear, natives.float(), others.float())
    graph = to_onnx(
        module,
        {"blocks": torch.randn(100, FRAME_SAMPLES) / 10, "places": torch.arange(10)},
        ["grades", "sounds"],
        {
            "blocks": {0: torch.export.Dim("frames", min=2, max=round(CONTEXT_SECONDS / FRAME_SECONDS))},
            "places": {0: torch.export.Dim("speech")},
        },
    )
    known = {name: numpy_of(shipped, name) for name in shipped if not name.endswith(SCALE)}
    known |= {name: (frames.numpy(), None) for name, frames in (("natives", natives), ("others", others))}
    store(graph, dict(as_shipped(graph, known)))
    return graph


def describe(reference: Reference) -> dict:
    """What the page has to know of the grade: how natives are graded, and how a take is cut for the encoder."""
    return {
        **asdict(reference),
        "frame_samples": FRAME_SAMPLES,
        "context_seconds": CONTEXT_SECONDS,
        "step_seconds": STEP_SECONDS,
        "min_silence_seconds": MIN_SILENCE_SECONDS,
        "silence_db": SILENCE_DB,
        "block_seconds": BLOCK_SECONDS,
        "student": student.ppf(0.975, np.arange(2, 41)).tolist(),
    }


def numpy_of(shipped: Mapping[str, Tensor], name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """A weight as it is shipped, and its scale where it has one."""
    scale = shipped.get(name + SCALE)
    return shipped[name].numpy(), None if scale is None else scale.float().numpy()


def as_shipped(graph: onnx.ModelProto, known: Mapping) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray | None]]]:
    """The graph's large weights by name, as they are shipped; raises `ValueError` for one that is none of those known.

    The exporter renames and transposes some, so they are told by their values.
    """
    floats = [
        (values, scale, values.astype(np.float32) * (1 if scale is None else scale)) for values, scale in known.values()
    ]
    for weights in graph.graph.initializer:
        array = numpy_helper.to_array(weights)
        if array.dtype != np.float32 or array.size < SMALL or weights.name.startswith("log_mel."):
            continue
        for values, scale, whole in floats:
            for turn in (np.asarray, np.transpose):
                if turn(whole).shape == array.shape and np.array_equal(turn(whole), array):
                    yield weights.name, (np.ascontiguousarray(turn(values)), None if scale is None else turn(scale))
                    break
            else:
                continue
            break
        else:
            raise ValueError(f"{weights.name} {array.shape}: no weight of the ear")
