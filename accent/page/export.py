"""Write the trained model for the learner's page: ONNX graphs from waveform to logits and to grades, and a JSON file.

    python -m accent.page.export models metrics/evaluation.json web/model

The graphs hold the spectrograms too, so that the page needs no second way from audio to a network's input.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from accent.audio.high_pass import LOW_PASS, STEP
from accent.audio.spectrogram import SpectrogramParams, window_and_filters
from accent.audio.waveform import SAMPLE_RATE
from accent.core.errors import InputError, run
from accent.core.outputs import output_file
from accent.grading.grader import Grader
from accent.network.model import ModelCard, load_model
from accent.page import export_grade, readings
from accent.page.graphs import halve, to_onnx
from accent.scoring.reference import load_reference

GRAPH, CARD = "ear.onnx", "ear.json"
FORMAT = 2  # of ear.json: the page refuses another
MAX_BYTES = 25 * 2**20  # what static hosts take as one file


class LogMel(nn.Module):
    """`accent.audio.spectrogram.log_mel` as layers; the Fourier transform is a convolution with windowed waves."""

    def __init__(self, params: SpectrogramParams) -> None:
        super().__init__()
        window, filters = window_and_filters(params)
        self.hop_length, self.range_db = params.hop_length, params.range_db
        angle = 2 * np.pi * np.outer(np.arange(len(filters)), np.arange(params.n_fft)) / params.n_fft
        waves = np.concatenate([np.cos(angle), np.sin(angle)]) * window.double().numpy()
        self.register_buffer("waves", torch.from_numpy(waves[:, np.newaxis]).float())
        self.register_buffer("filters", filters)

    def forward(self, waveform: Tensor) -> Tensor:
        half = self.waves.shape[2] // 2
        parts = functional.conv1d(
            functional.pad(waveform, (half, half))[None, None], self.waves, stride=self.hop_length
        )
        real, imaginary = parts[0].chunk(2)
        power = (real * real + imaginary * imaginary).T @ self.filters
        level = (power / power.max().clamp(min=1e-20)).clamp(min=1e-30).log() * (10 / np.log(10) / self.range_db)
        return ((level + 1).clamp(0, 1) * 255).round()


class Ear(nn.Module):
    """Trimmed waveform (samples,) in int16's range and first frames of its windows (windows,) -> cells and logits.

    The cells (frames, n_mels), uint8, are those of `log_mel`; the logits (windows, classes) those of `window_logits`.
    """

    def __init__(self, model: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.log_mel, self.network, self.window = LogMel(card.spectrogram), model, card.window

    def forward(self, waveform: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        cells = self.log_mel(waveform)
        padded = functional.pad(cells, (0, 0, 0, self.window))  # silence fills what a short take lacks
        frames = starts[:, None] + torch.arange(self.window)
        windows = padded[frames].transpose(1, 2).unsqueeze(1)
        return cells.to(torch.uint8), self.network(windows / 255)


def export_graph(model: nn.Module, card: ModelCard) -> onnx.ModelProto:
    """The `Ear` of a model as an ONNX graph whose large weights are stored in float16."""
    graph = to_onnx(
        Ear(model.cpu().float(), card),
        {"waveform": torch.randn(2 * SAMPLE_RATE), "starts": torch.tensor([0, 10], dtype=torch.int64)},
        ["cells", "logits"],
        {"waveform": {0: torch.export.Dim("samples")}, "starts": {0: torch.export.Dim("windows")}},
    )
    halve(graph, "network.")
    return graph


def describe(card: ModelCard, grader: Grader, folder: Path, evaluation: Path) -> dict:
    """What the page has to know beside the graph: how audio becomes windows, thresholds, natives, how far to trust."""
    reference = load_reference(folder)
    if reference.weights_sha256 != card.weights_sha256:
        raise InputError(f"{folder}: reference.json is of another model. Run 'dvc repro evaluate'")
    target = reference.score.target
    return {
        "format": FORMAT,
        "weights_sha256": card.weights_sha256,
        "classes": list(card.classes),
        "target": target,
        "audio": {**asdict(card.audio), "sample_rate": SAMPLE_RATE},
        "high_pass": {"step": STEP, "taps": LOW_PASS.tolist()},
        "spectrogram": asdict(card.spectrogram),
        "window": card.window,
        "window_hop": card.window_hop,
        "temperature": card.temperature,
        "thresholds": asdict(reference.score),
        "typicality": asdict(reference.typicality),
        "grade": export_grade.describe(grader.reference(target)),
        "fitness": asdict(reference.fitness),
        "evidence": evidence(evaluation),
    }


def evidence(evaluation: Path) -> dict:
    """On how much the model's figures rest: the test split's voices and clips by class, the ROC AUC, other sources."""
    try:
        metrics = json.loads(evaluation.read_text(encoding="utf-8"))
        low, high = metrics["interval"]["clip"]["roc_auc"] or (None, None)  # of few voices it is not known
        return {
            "voices": metrics["speakers_of"],
            "clips": metrics["clips_of"],
            "roc_auc": metrics["clip"]["roc_auc"],
            "roc_auc_low": low,
            "roc_auc_high": high,
            "second_source": metrics["second_source"] is not None,
        }
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{evaluation}: no metrics of this model ({error!r}). Run 'dvc repro evaluate'") from None


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the trained model for the learner's page.")
    parser.add_argument("model", type=Path, help="folder of the model")
    parser.add_argument("evaluation", type=Path, help="metrics of evaluate, which say how far to trust the model")
    parser.add_argument("target", type=Path, help="folder to write to")
    args = parser.parse_args()

    model, card = load_model(args.model)
    grader = Grader.load(args.model)
    description = describe(card, grader, args.model, args.evaluation)
    graphs = {
        GRAPH: export_graph(model, card),
        export_grade.GRAPH: export_grade.export(grader, args.model, description["target"]),
    }
    files = {name: graph.SerializeToString(deterministic=True) for name, graph in graphs.items()}
    for name, content in files.items():
        if len(content) > MAX_BYTES:
            raise InputError(
                f"{args.model}: {name} of {len(content) / 2**20:.1f} MB, a page's file may have 25. "
                f"Set {'train.width' if name == GRAPH else 'bank.frames'} lower"
            )
    files[CARD] = (json.dumps(description) + "\n").encode()
    files[readings.FILE] = json.dumps(readings.make_readings(grader, description["target"])).encode()
    args.target.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with output_file(args.target / name) as partial:
            partial.write_bytes(content)
    sizes = ", ".join(f"{name} {len(files[name]) / 2**20:.1f} MB" for name in graphs)
    print(f"{sizes}; {', '.join(card.classes)}; target {description['target']}")


if __name__ == "__main__":
    run(main)
