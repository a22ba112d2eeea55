"""The encoder whose frames a grade compares: the first layers of Whisper-base (arXiv 2212.04356), in plain torch.

Its weights are OpenAI's (MIT licence), without those of the later layers. It has its own way from audio to 80 mel
bands, which is that of Whisper's feature extractor (a test compares both with `transformers`).
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize, pad, scaled_dot_product_attention
from torchaudio.functional import melscale_fbanks

from accent.audio.waveform import FULL_SCALE, SAMPLE_RATE, SILENT_DBFS, frame_levels, speech_frames

N_FFT, HOP, N_MELS = 400, 160, 80
WIDTH, HEADS, INNER = 512, 8, 2048
FRAME_SAMPLES = 2 * HOP  # 20 ms: the second convolution halves the rate
FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE

CONTEXT_SECONDS = 8  # heard at once, at most: grades agree with those of Whisper's own 30 s (docs/grade.md)
STEP_SECONDS = 2  # a shorter piece is filled up with silence to a multiple of this, so it is four times as fast ...
MIN_SILENCE_SECONDS = 0.5  # ... of at least this much
SILENCE_DB = 40  # below the loudest frame no frame is speech (accent.audio.waveform.speech_frames)


@lru_cache(maxsize=1)
def mel80_window_and_filters() -> tuple[Tensor, Tensor]:
    filters = melscale_fbanks(N_FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, N_MELS, SAMPLE_RATE, "slaney", "slaney")
    return torch.hann_window(N_FFT), filters


def log_mel80(waveforms: Tensor) -> Tensor:
    """Whisper's log-mel spectrograms (batch, 80, samples / 160) of waveforms (batch, samples) of -1 to 1.

    8 powers of ten below the loudest cell are kept, as in Whisper's `log_mel_spectrogram`.
    """
    window, filters = mel80_window_and_filters()
    spectrum = torch.stft(waveforms, N_FFT, HOP, window=window, return_complex=True)[..., :-1]
    power = spectrum.abs().square().transpose(1, 2) @ filters
    level = power.clamp(min=1e-10).log10()
    level = level.maximum(level.amax(dim=(1, 2), keepdim=True) - 8)
    return ((level + 4) / 4).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention of every frame to every frame."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        query, key, value = (
            projection(frames).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        heard = scaled_dot_product_attention(query, key, value)
        return self.out_proj(heard.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """A layer of the transformer, with the normalisation before each half."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn_layer_norm, self.self_attn = nn.LayerNorm(WIDTH), Attention()
        self.final_layer_norm = nn.LayerNorm(WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)

    def forward(self, frames: Tensor) -> Tensor:
        frames = frames + self.self_attn(self.self_attn_layer_norm(frames))
        return frames + self.fc2(gelu(self.fc1(self.final_layer_norm(frames))))


class Encoder(nn.Module):
    """Log-mel spectrograms (batch, 80, cells) -> frames (batch, cells / 2, 512) of its last layer."""

    def __init__(self, layers: int, positions: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(N_MELS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(positions, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(layers)))

    def forward(self, cells: Tensor) -> Tensor:
        frames = gelu(self.conv2(gelu(self.conv1(cells)))).transpose(1, 2)
        return self.layers(frames + self.embed_positions.weight[: frames.shape[1]])


class Ear(nn.Module):
    """Log-mel spectrograms (batch, 80, cells) -> unit frames (batch, cells / 2, dimensions), which a grade compares.

    `project` standardises the encoder's frames and turns them into principal components, in one matrix.
    """

    def __init__(self, layers: int, positions: int, dimensions: int) -> None:
        super().__init__()
        self.encoder = Encoder(layers, positions)
        self.project = nn.Linear(WIDTH, dimensions)

    def forward(self, cells: Tensor) -> Tensor:
        return normalize(self.project(self.encoder(cells)), dim=-1)


def pieces_of(waveform: np.ndarray, context_seconds: float) -> list[np.ndarray]:
    """A waveform in equal pieces that fit the context, but for the last, each a whole number of frames long."""
    frames = max(-(-len(waveform) // FRAME_SAMPLES), 1)
    count = -(-frames // round(context_seconds / FRAME_SECONDS))
    size = -(-frames // count) * FRAME_SAMPLES
    return [waveform[start : start + size] for start in range(0, max(len(waveform), 1), size)]


def fill_up(piece: np.ndarray, context_seconds: float) -> Tensor:
    """A piece as float32 of -1 to 1 with silence after it: to a multiple of `STEP_SECONDS`, or to the context."""
    seconds = STEP_SECONDS * np.ceil((len(piece) / SAMPLE_RATE + MIN_SILENCE_SECONDS) / STEP_SECONDS)
    size = round(min(seconds, context_seconds) * SAMPLE_RATE)
    return pad(torch.from_numpy(piece.astype(np.float32) / FULL_SCALE), (0, size - len(piece)))


@torch.inference_mode()
def encode(network: nn.Module, waveform: np.ndarray, context_seconds: float = CONTEXT_SECONDS) -> Tensor:
    """What an `Encoder` or an `Ear` hears in a waveform (int16, mono, 16 kHz): frames (count, dimensions), 50 a second.

    What is longer than the context is heard piece by piece.
    """
    found = []
    for piece in pieces_of(waveform, context_seconds):
        frames = network(log_mel80(fill_up(piece, context_seconds)[None]))[0]
        found.append(frames[: max(round(len(piece) / FRAME_SAMPLES), 1)])
    return torch.cat(found)


def speech_places(waveform: np.ndarray) -> np.ndarray:
    """The numbers of the encoder's frames that hold speech; digital silence does not count for the noise floor."""
    levels = frame_levels(waveform.astype(np.float32) / FULL_SCALE)
    audible = levels[levels > SILENT_DBFS]
    if not len(audible):
        return np.zeros(0, int)
    speech = speech_frames(levels, np.percentile(audible, 10), SILENCE_DB)
    places = np.flatnonzero(speech) * HOP // FRAME_SAMPLES
    return np.unique(np.minimum(places, max(round(len(waveform) / FRAME_SAMPLES), 1) - 1))
