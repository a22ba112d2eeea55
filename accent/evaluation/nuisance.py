"""What can be had without listening: the classes guessed from a recording's measures, or from who speaks, alone."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from tqdm import tqdm

from accent.audio.waveform import FULL_SCALE
from accent.core.parts import Parts
from accent.corpus.common_voice import gender_of
from accent.evaluation.ranking import roc_auc
from accent.network.log_odds import log_odds_of

# Those of accent.audio.waveform.trim that are numbers; the codec and the noise floor's bands come beside them.
MEASURES = [
    *("duration_s", "leading_silence_s", "trailing_silence_s", "speech_s", "loudness_dbfs"),
    *("snr_db", "clipped_fraction", "bandwidth_hz", "source_rate_hz"),
]
PART = ":"  # in a column's name, between a measure and which part of it the column is
FRAME, HOP = 512, 256  # samples: 32 ms every 16 ms
HANN = np.hanning(FRAME)
FLOOR_SHARE = 0.1  # of the frames: the quietest
FLOOR_BANDS = 8  # of 1 kHz


def noise_floor(waveform: np.ndarray) -> np.ndarray:
    """The spectrum of the quietest tenth of a waveform's (int16) frames, in 8 bands of 1 kHz.

    Mean log power of those frames, in dB re the mean power of all frames and bands; at least -120.
    """
    samples = np.pad(waveform, (0, max(FRAME - len(waveform), 0))) / FULL_SCALE
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    spectrum = np.fft.rfft(frames * HANN)[:, 1:]
    power = (spectrum.real**2 + spectrum.imag**2).reshape(len(frames), FLOOR_BANDS, -1).mean(axis=2)
    totals = power.mean(axis=1)
    quietest = np.argsort(totals, kind="stable")[: max(round(FLOOR_SHARE * len(frames)), 1)]
    relative = power[quietest] / max(totals.mean(), 1e-20)
    return 10 * np.log10(np.maximum(relative, 1e-12)).mean(axis=0)


def nuisance_table(rows: pd.DataFrame, waveforms: Parts) -> pd.DataFrame:
    """The measures of clips as numbers, a row a clip; `rows` are those of the waveforms' index.

    A measure of several columns has a colon in their names: `noise_floor:0 ...`, `source_codec:OGG/OPUS ...`.
    """
    floors = [noise_floor(waveform) for waveform in tqdm(waveforms, unit="clip", desc="noise floor", mininterval=1)]
    bands = pd.DataFrame(np.array(floors), rows.index).add_prefix(f"noise_floor{PART}")
    codec = pd.get_dummies(rows[["source_codec"]], prefix_sep=PART)
    return pd.concat([rows[MEASURES], codec, bands], axis=1).astype(float)


def metadata_table(rows: pd.DataFrame) -> pd.DataFrame:
    """What rows say of gender and age: a column of 0 and 1 for each word, and for not stating it."""
    words = rows[["gender", "age"]].assign(gender=rows["gender"].map(gender_of))
    return pd.get_dummies(words, prefix_sep=PART).astype(float)


def fit_classifier(table: pd.DataFrame, labels: Sequence[str], seed: int) -> HistGradientBoostingClassifier:
    """Boosted trees that guess the label from a table of numbers; small ones, since there may be a few hundred rows."""
    model = HistGradientBoostingClassifier(
        max_leaf_nodes=8,
        min_samples_leaf=10,
        l2_regularization=1.0,
        class_weight="balanced",
        early_stopping=False,
        random_state=seed,
    )
    return model.fit(table.to_numpy(), labels)


def log_odds(model: HistGradientBoostingClassifier, classes: Sequence[str], table: pd.DataFrame) -> np.ndarray:
    """Log-odds (n, classes) of each class against the others, in the order of `classes`."""
    places = [list(model.classes_).index(name) for name in classes]
    return log_odds_of(model.predict_proba(table.to_numpy())[:, places])


def permutation_importance(
    table: pd.DataFrame, guess: Callable[[pd.DataFrame], np.ndarray], targets: np.ndarray, repeats: int, seed: int
) -> dict[str, dict[str, float]]:
    """By how much the ROC AUC of `guess(table)` falls when a measure is dealt out to other clips, the largest first.

    Mean and standard deviation over the repeats. All columns of a measure are dealt out together: scikit-learn's
    function of this name would take one at a time, and the others would still tell.
    """
    whole = roc_auc(guess(table), targets)
    measures = table.columns.str.split(PART).str[0]
    rng = np.random.default_rng(seed)
    falls = {}
    for measure in tqdm(measures.unique(), unit="measure", desc="importance", mininterval=1):
        columns = table.columns[measures == measure]
        orders = [rng.permutation(len(table)) for _ in range(repeats)]
        dealt = (table.assign(**{name: table[name].to_numpy()[order] for name in columns}) for order in orders)
        fall = whole - np.array([roc_auc(guess(values), targets) for values in dealt])
        falls[measure] = {"mean": float(fall.mean()), "sd": float(fall.std())}
    return dict(sorted(falls.items(), key=lambda item: -item[1]["mean"]))
