"""Write the trained model for the learner's page: an ONNX graph from waveform to logits, and a JSON file beside it.

    python -m accent.page.export models metrics/evaluation.json web/model

The graph holds the spectrogram too, so that the page needs no second way from audio to the network's input.
"""

import argparse
import json
import logging
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from accent.audio.high_pass import LOW_PASS, STEP
from accent.audio.spectrogram import SpectrogramParams, window_and_filters
from accent.audio.waveform import SAMPLE_RATE
from accent.core.errors import InputError, run
from accent.core.outputs import output_file
from accent.network.model import ModelCard, load_model
from accent.scoring.reference import load_reference

GRAPH, CARD = "ear.onnx", "ear.json"
FORMAT = 1  # of ear.json: the page refuses another
OPSET = 20
SMALL = 1024  # weights of fewer numbers stay float32: they are scales and offsets, and no size is won
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
    ear = Ear(model.cpu().float(), card).eval()
    example = (torch.randn(2 * SAMPLE_RATE), torch.tensor([0, 10], dtype=torch.int64))
    shapes = ({0: torch.export.Dim("samples")}, {0: torch.export.Dim("windows")})
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            ear,
            example,
            input_names=["waveform", "starts"],
            output_names=["cells", "logits"],
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
        program.save(str(Path(folder) / GRAPH), external_data=False)
        graph = onnx.load(Path(folder) / GRAPH)
    del graph.metadata_props[:]
    for node in graph.graph.node:  # the exporter's traces of source lines: paths of this machine
        del node.metadata_props[:]
        node.ClearField("doc_string")
    _halve(graph.graph)
    onnx.checker.check_model(graph)
    return graph


def _halve(graph: onnx.GraphProto) -> None:
    """Store the network's large weights in float16, cast to float32 when the graph is loaded."""
    casts = []
    for weights in graph.initializer:
        values = numpy_helper.to_array(weights)
        if not weights.name.startswith("network.") or values.dtype != np.float32 or values.size < SMALL:
            continue
        name = weights.name
        weights.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def describe(card: ModelCard, folder: Path, evaluation: Path) -> dict:
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
        "native_log_odds": list(reference.native_log_odds),
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
    description = describe(card, args.model, args.evaluation)
    graph = export_graph(model, card).SerializeToString(deterministic=True)
    if len(graph) > MAX_BYTES:
        raise InputError(
            f"{args.model}: {len(graph) / 2**20:.1f} MB as a graph, a page's file may have 25. Set train.width lower"
        )
    args.target.mkdir(parents=True, exist_ok=True)
    with output_file(args.target / GRAPH) as partial:
        partial.write_bytes(graph)
    with output_file(args.target / CARD) as partial:
        partial.write_text(json.dumps(description) + "\n", encoding="utf-8")
    print(f"{GRAPH}: {len(graph) / 2**20:.1f} MB, {', '.join(card.classes)}; target {description['target']}")


if __name__ == "__main__":
    run(main)
