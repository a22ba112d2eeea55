"""Where a recording gets too bad to judge: the evidence for the thresholds of `score` in params.yaml.

    python -m benchmarks.refusal

Makes the clips of data/sample worse, step by step, and prints for each step what was measured of them, how well the
model still tells the classes apart (ROC AUC, balanced accuracy), and how many clips the scorer refuses, and why. Choose
the thresholds by the validation clips; the test clips' lines say what the choice is worth, and no threshold is read off
them.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import butter, sosfilt
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from accent.audio.waveform import SAMPLE_RATE, read_recording
from accent.core.errors import run
from accent.scoring.refusal import UNPROVEN
from accent.scoring.scorer import Scorer

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def noise(snr_db: float) -> Change:
    def change(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        loud = np.sqrt(np.mean(speech[np.abs(speech) > 0.1 * np.abs(speech).max()] ** 2))
        return speech + rng.standard_normal(len(speech)) * loud * 10 ** (-snr_db / 20)

    return change


def clip(share: float) -> Change:
    def change(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        limit = np.quantile(np.abs(speech), 1 - share)
        return np.clip(speech / max(limit, 1e-6), -1, 1)

    return change


def low_pass(hz: float) -> Change:
    filters = butter(12, hz, fs=SAMPLE_RATE, output="sos")
    return lambda speech, rng: sosfilt(filters, speech)


def shorten(seconds: float) -> Change:
    def change(speech: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        energy = np.convolve(speech**2, np.ones(round(seconds * SAMPLE_RATE)), "valid")
        first = int(energy.argmax())
        piece = speech[first : first + round(seconds * SAMPLE_RATE)]
        quiet = 1e-4 * rng.standard_normal(SAMPLE_RATE // 2)
        return np.concatenate([quiet, piece, quiet])

    return change


STEPS: dict[str, tuple[str, list[tuple[float, Change]]]] = {
    "noise at so many dB": ("snr_db", [(snr, noise(snr)) for snr in (40, 30, 25, 20, 15, 10, 5, 0)]),
    "this share clipped": (
        "clipped_fraction",
        [(share, clip(share)) for share in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)],
    ),
    "nothing above so many Hz": ("bandwidth_hz", [(hz, low_pass(hz)) for hz in (6000, 4000, 3400, 3000, 2000)]),
    "so many s of it": ("speech_s", [(seconds, shorten(seconds)) for seconds in (3, 2, 1.5, 1.0, 0.8)]),
}


def main() -> None:
    scorer = Scorer.load("models")
    predictions = pd.read_parquet("data/predictions.parquet")
    files = {path.stem: path for path in Path("data/sample").glob("*/clips/*.mp3")}
    for split, purpose in {"valid": "to choose by", "test": "what the choice is worth"}.items():
        rows = predictions[predictions["split"] == split]
        speech = [read_recording(files[clip_id], 30).waveform for clip_id in rows["clip_id"]]
        target = (rows["label"] == scorer.reference.score.target).to_numpy()
        voices = rows.groupby("label")["client_id"].nunique()
        print(f"\n{split} clips, {purpose}: {len(rows)} of " + ", ".join(f"{n} {name}" for name, n in voices.items()))
        print_steps(scorer, speech, target)


def print_steps(scorer: Scorer, speech: list[np.ndarray], target: np.ndarray) -> None:
    """A line for each step of each way in which the clips get worse; `target` is True for those of native speakers."""
    print(f"{'':34} measured (median)    AUC  bal.acc.  natives refused, and why")
    for name, (measure, steps) in {"as they are": ("snr_db", [(0, lambda s, rng: s)]), **STEPS}.items():
        for step, change in steps:
            rng = np.random.default_rng(1)
            scores = [scorer.score(change(clip, rng).astype(np.float32)) for clip in speech]
            heard = np.array([score.probability is not None for score in scores])
            odds = np.array([score.probability or 0.0 for score in scores])[heard]
            auc = roc_auc_score(target[heard], odds)
            accuracy = balanced_accuracy_score(target[heard], odds >= 0.5)
            reasons = Counter(
                score.refused.kind
                for score, t in zip(scores, target, strict=True)
                if t and score.refused and score.refused.kind != UNPROVEN
            )
            median = np.median([score.measures[measure] for score in scores])
            share = sum(reasons.values()) / target.sum()
            why = ", ".join(f"{count} {kind}" for kind, count in reasons.most_common())
            print(
                f"{name:26} {step:6g}  {median:12.4g}      {auc:10.3f} {accuracy:9.3f}  {share:6.0%}  {why}", flush=True
            )


if __name__ == "__main__":
    run(main)
