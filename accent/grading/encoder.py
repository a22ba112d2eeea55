"""The encoder whose frames a grade compares: the first layers of Whisper-base (arXiv 2212.04356), in plain torch.

Its weights are OpenAI's (MIT licence), without those of the later layers. It has its own way from audio to 80 mel
bands, which is that of Whisper's feature extractor (a test compares both with `transformers`).
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, scaled_dot_product_attention
from torchaudio.functional import melscale_fbanks

from accent.audio.waveform import FULL_SCALE, SAMPLE_RATE

N_FFT, HOP, N_MELS = 400, 160, 80
WIDTH, HEADS, INNER = 512, 8, 2048
FRAME_SAMPLES = 2 * HOP  # 20 ms: the second convolution halves the rate
FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE


@lru_cache(maxsize=1)
def _window_and_filters() -> tuple[Tensor, Tensor]:
    filters = melscale_fbanks(N_FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, N_MELS, SAMPLE_RATE, "slaney", "slaney")
    return torch.hann_window(N_FFT), filters


def log_mel80(waveforms: Tensor) -> Tensor:
    """Whisper's log-mel spectrograms (batch, 80, samples / 160) of waveforms (batch, samples) of -1 to 1.

    8 powers of ten below the loudest cell are kept, as in Whisper's `log_mel_spectrogram`.
    """
    window, filters = _window_and_filters()
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


@torch.inference_mode()
def encode(encoder: Encoder, waveform: np.ndarray) -> Tensor:
    """The frames (count, 512), 50 a second, of a waveform (int16, mono, 16 kHz), heard in pieces of its context."""
    size = encoder.embed_positions.num_embeddings * FRAME_SAMPLES
    samples = torch.from_numpy(waveform.astype(np.float32) / FULL_SCALE)
    found = []
    for piece in samples.split(size):
        frames = encoder(log_mel80(pad(piece, (0, size - len(piece)))[None]))[0]
        found.append(frames[: max(round(len(piece) / FRAME_SAMPLES), 1)])
    return torch.cat(found)
