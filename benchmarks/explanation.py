"""Which way of explaining names the cells whose loss moves the score: the evidence for `accent.scoring.explain`.

    python -m benchmarks.explanation [--clips 40]

For each way the deletion check of the stage `explain`: by how much the log-odds of the model's answer fall without the
tenth of the cells that it names, in how many clips that is more than without random ones, and the seconds a clip.
Choose by the validation clips; the test clips' lines say what the choice is worth. After `dvc repro`.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from captum.attr import InputXGradient, IntegratedGradients
from torch import Tensor

from accent.audio.windows import even_windows
from accent.core.errors import run
from accent.core.params import load_params
from accent.core.parts import Parts, read_index
from accent.core.tables import read_frame
from accent.evaluation.explanations import ExplainParams
from accent.network.model import ModelCard, load_model
from accent.scoring.explain import LogOdds, deletion_check
from accent.scoring.reference import load_reference

Way = Callable[[LogOdds, Tensor], Tensor]  # of windows (batch, 1, n_mels, frames), what each point adds


def integrated(log_odds: LogOdds, windows: Tensor, steps: int, silence: bool = False) -> Tensor:
    baseline = torch.zeros_like(windows) if silence else windows.mean(dim=3, keepdim=True).expand_as(windows)
    return IntegratedGradients(log_odds).attribute(windows, baseline, n_steps=steps, internal_batch_size=32)


def input_times_gradient(log_odds: LogOdds, windows: Tensor) -> Tensor:
    return InputXGradient(log_odds).attribute(windows.requires_grad_())


WAYS: dict[str, Way] = {
    "integrated gradients from the mean spectrum, 8 steps (used)": partial(integrated, steps=8),
    "the same, 4 steps": partial(integrated, steps=4),
    "the same, 16 steps": partial(integrated, steps=16),
    "integrated gradients from silence, 8 steps": partial(integrated, steps=8, silence=True),
    "input times gradient": input_times_gradient,
}


def explain(way: Way, log_odds: LogOdds, card: ModelCard, spectrogram: np.ndarray) -> np.ndarray:
    """What each point of a spectrogram (frames, n_mels) adds by a way, averaged over the windows that it is in."""
    starts, windows = even_windows(spectrogram, card.window, card.window_hop)
    added = way(log_odds, torch.from_numpy(windows).float() / 255).detach().numpy()
    result = np.zeros((starts[-1] + card.window, spectrogram.shape[1]))
    for start, window in zip(starts, added, strict=True):
        result[start : start + card.window] += window[0].T / len(windows)
    return result[: len(spectrogram)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=40, help="of each split, drawn by the seed (default: 40)")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--spectrograms", type=Path, default=Path("data/spectrograms"))
    parser.add_argument("--splits", type=Path, default=Path("data/splits.parquet"))
    args = parser.parse_args()

    params = load_params("explain", ExplainParams)
    model, card = load_model(args.models)
    target = card.classes.index(load_reference(args.models).score.target)
    log_odds = LogOdds(model, card, target)
    splits = read_frame(args.splits, ["clip_id", "split"])
    index = read_index(args.spectrograms).merge(splits, on="clip_id", validate="one_to_one")
    for split, purpose in {"valid": "to choose by", "test": "what the choice is worth"}.items():
        rows = index[index["split"] == split].sample(frac=1, random_state=params.seed).head(args.clips)
        spectrograms = list(Parts(args.spectrograms, rows))
        print(f"\n{split} clips, {purpose}: {len(rows)}\n| way | fall | above random | s a clip |\n{'|---' * 4}|")
        for name, way in WAYS.items():
            began = time.perf_counter()
            explanations = [explain(way, log_odds, card, spectrogram) for spectrogram in spectrograms]
            seconds = (time.perf_counter() - began) / len(rows)
            rng = np.random.default_rng(params.seed)  # the same random cells for every way
            checks = [
                deletion_check(model, card, target, spectrogram, added, params.share, params.draws, rng)
                for spectrogram, added in zip(spectrograms, explanations, strict=True)
            ]
            falls = np.array([check.most for check in checks])
            more = np.mean([check.most > check.random_size for check in checks])
            error = falls.std(ddof=1) / np.sqrt(len(falls))
            print(f"| {name} | {falls.mean():.2f} ± {error:.2f} | {more:.0%} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    run(main)
