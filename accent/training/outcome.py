"""What a training gave: the calibrated model's card, and its metrics."""

from dataclasses import asdict
from typing import Any

import numpy as np
from torch import nn

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import AudioParams
from accent.network.calibration import fit_temperature
from accent.network.model import clip_logits, window_logits
from accent.training.checkpoint import Checkpoint
from accent.training.learner import Labelled, TrainParams


def validation_temperature(model: nn.Module, valid: Labelled, classes: list[str], window: int, hop: int) -> float:
    """The temperature that calibrates a model on the validation clips."""
    spectrograms, labels = valid
    _, logits = window_logits(model, spectrograms, window, hop)
    return fit_temperature(clip_logits(logits), np.array([classes.index(label) for label in labels]))


def model_card(
    params: TrainParams, audio: AudioParams, spectrogram: SpectrogramParams, classes: list[str], temperature: float
) -> dict[str, Any]:
    """The fields of `accent.network.model.ModelCard`, but for the hash of the weights."""
    return {
        "arch": params.arch,
        "width": params.width,
        "antialias": params.antialias,
        "classes": classes,
        "audio": asdict(audio),
        "spectrogram": asdict(spectrogram),
        "window_seconds": params.window_seconds,
        "window_hop_seconds": params.window_hop_seconds,
        "temperature": temperature,
    }


def training_metrics(params: TrainParams, checkpoint: Checkpoint, temperature: float) -> dict[str, Any]:
    """What `metrics/training.json` has."""
    return {
        "precision": params.precision,
        "epochs": params.epochs,
        "best_epoch": checkpoint.best_epoch,
        "kept_epoch": checkpoint.best_epoch if params.keep == "best" else params.epochs,
        "lowest_valid_loss": checkpoint.lowest_loss,
        "last_valid_loss": checkpoint.history[-1][1],
        "temperature": temperature,
    }


def say_training(metrics: dict[str, Any]) -> str:
    """A line that says what `training_metrics` found."""
    return (
        f"in {metrics['precision']}, kept epoch {metrics['kept_epoch']} of {metrics['epochs']}; lowest validation loss "
        f"{metrics['lowest_valid_loss']:.4f} at epoch {metrics['best_epoch']}, temperature {metrics['temperature']:.2f}"
    )
