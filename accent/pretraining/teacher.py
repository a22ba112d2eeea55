"""The teacher: the encoder of Whisper-base (MIT licence), whose layers the student learns to predict."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import safetensors.torch
import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from accent.audio.waveform import FULL_SCALE, SAMPLE_RATE
from accent.core.errors import InputError
from accent.core.params import params
from accent.grading.encoder import FRAME_SAMPLES, HEADS, INNER, WIDTH

WEIGHTS = "encoder.safetensors"
FRAMES_PER_SECOND = SAMPLE_RATE // FRAME_SAMPLES
# Whisper-base's encoder: https://huggingface.co/openai/whisper-base/blob/main/config.json
BASE = {"d_model": WIDTH, "encoder_layers": 6, "encoder_attention_heads": HEADS, "encoder_ffn_dim": INNER}


@params
class TeachParams:
    teacher: str
    layers: Annotated[tuple[Annotated[int, Field(ge=1, le=6)], ...], Field(min_length=1)]
    context_seconds: Annotated[int, Field(ge=2, le=30)]
    batch_size: Annotated[int, Field(ge=1)]


def describe_teacher(params: TeachParams, sha256: str) -> dict[str, Any]:
    """What a card says of the teacher: its name, how it was asked, and the hash of its weights."""
    return {**asdict(params), "teacher": "openai/whisper-base, encoder", "weights_sha256": sha256}


class Teacher:
    """Chosen layers of the encoder, counted from 1, each before the final layer normalisation.

    A recording is heard in pieces of `context_seconds`, filled up with silence, as Whisper hears 30 s. With `bfloat16`
    it multiplies in that, which takes half the time where there are units for it.
    """

    def __init__(self, encoder: WhisperEncoder, sha256: str, params: TeachParams, device: str, bfloat16: bool) -> None:
        self.encoder, self.sha256, self.params, self.device = encoder, sha256, params, device
        self.bfloat16 = bfloat16
        self.extractor = WhisperFeatureExtractor(chunk_length=params.context_seconds)
        self.outputs: dict[int, Tensor] = {}
        for layer in params.layers:
            encoder.layers[layer - 1].register_forward_hook(partial(self._keep, layer))

    def _keep(self, layer: int, module: torch.nn.Module, inputs: tuple, output: Tensor | tuple) -> None:
        self.outputs[layer] = output[0] if isinstance(output, tuple) else output

    @property
    def width(self) -> int:
        """Numbers in a frame: those of all layers, one after another."""
        return WIDTH * len(self.params.layers)

    @torch.inference_mode()
    def frames(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        """For each waveform (int16, mono, 16 kHz) its frames, float16 (count, width), 50 a second.

        Frame `j` belongs to the spectrogram's frames `2 j` and `2 j + 1`. Raises `InputError` for NaN.
        """
        size = self.params.context_seconds * SAMPLE_RATE
        pieces = [
            (number, waveform[start : start + size].astype(np.float32) / FULL_SCALE)
            for number, waveform in enumerate(waveforms)
            for start in range(0, len(waveform), size)
        ]
        heard: list[list[np.ndarray]] = [[] for _ in waveforms]
        for first in range(0, len(pieces), self.params.batch_size):
            batch = pieces[first : first + self.params.batch_size]
            for (number, _), frames in zip(batch, self._hear([piece for _, piece in batch]), strict=True):
                heard[number].append(frames)
        return [np.concatenate(frames) for frames in heard]

    def _hear(self, pieces: list[np.ndarray]) -> list[np.ndarray]:
        features = self.extractor(
            pieces, sampling_rate=SAMPLE_RATE, return_tensors="pt", padding="max_length", device=self.device
        ).input_features
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bfloat16):
            self.encoder(features.to(self.device))
        frames = torch.cat([self.outputs[layer] for layer in self.params.layers], dim=-1)
        if not torch.isfinite(frames).all():
            raise InputError(f"{self.params.teacher}: the teacher's output is no finite number. Get its weights again")
        counts = [round(len(piece) / FRAME_SAMPLES) for piece in pieces]  # the rest is of the silence
        return [heard[:count].half().cpu().numpy() for heard, count in zip(frames, counts, strict=True)]


def load_teacher(params: TeachParams, device: str = "", bfloat16: bool = False) -> Teacher:
    """The teacher from a folder with `encoder.safetensors`, or from the hub by its name; nothing is unpickled.

    It works on the GPU where there is one, unless a `device` is named.
    Raises `InputError` for a folder without the file, and for weights that are damaged or of another size.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    state = read_weights(params.teacher)
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(state[name].half().contiguous().numpy().tobytes())
    positions = params.context_seconds * FRAMES_PER_SECOND
    encoder = WhisperEncoder(WhisperConfig(**BASE, max_source_positions=positions))
    try:
        state["embed_positions.weight"] = state["embed_positions.weight"][:positions]
        encoder.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except (KeyError, RuntimeError) as error:
        what = f"not the encoder of Whisper-base ({' '.join(str(error).split())[:200]})"
        raise InputError(f"teach.teacher: {params.teacher}: {what}. Use openai/whisper-base") from None
    encoder.layers = encoder.layers[: max(params.layers)]  # what comes after them is not asked for
    return Teacher(encoder.to(device).eval(), digest.hexdigest(), params, device, bfloat16)


def read_weights(teacher: str) -> dict[str, Tensor]:
    """The weights of the teacher's encoder, from a folder or from the hub."""
    folder = Path(teacher)
    return _read_folder(folder) if folder.exists() else _fetch(teacher)


def _read_folder(folder: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load((folder / WEIGHTS).read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{folder}: no {WEIGHTS} here. Put the teacher's weights there, or set teach.teacher in params.yaml to "
            "openai/whisper-base, which fetches them"
        ) from None
    except SafetensorError as error:
        raise InputError(f"{folder / WEIGHTS}: damaged ({error}). Get it again") from None


def _fetch(name: str) -> dict[str, Tensor]:
    try:
        return WhisperModel.from_pretrained(name, use_safetensors=True).encoder.state_dict()
    except (OSError, ValueError) as error:
        raise InputError(
            f"teach.teacher: {name}: no such folder, and it cannot be fetched ({' '.join(str(error).split())[:200]}). "
            f"Put {WEIGHTS} into a folder and name that"
        ) from None
