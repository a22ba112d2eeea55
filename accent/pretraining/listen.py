"""Linear probes of a trunk before any fine-tuning, on labelled clips that took no part in pre-training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from pydantic import Field, NonNegativeInt
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from accent.audio.spectrogram import SpectrogramParams
from accent.audio.waveform import DecodeParams
from accent.audio.windows import even_windows
from accent.core.errors import InputError
from accent.core.params import Seed, params
from accent.corpus.common_voice import ClassFilter
from accent.corpus.second_source import read_clips
from accent.corpus.selection import EvaluateParams, IngestParams
from accent.evaluation.intervals import speaker_intervals
from accent.evaluation.metrics import auc
from accent.network.model import Standardise
from accent.network.resnet import ResNet
from accent.pretraining.teacher import Teacher

FOLDS = 5
STRENGTHS = np.logspace(-4, 1, 6)  # of the regression; the validation folds choose


@params
class ListenParams:
    sets: dict[str, Path]
    classes: dict[str, ClassFilter]
    licences: dict[str, str]
    max_clips: NonNegativeInt
    native: str
    context_seconds: Annotated[int, Field(ge=2, le=30)]
    seed: Seed


def read_sets(
    params: ListenParams,
    ingest: IngestParams,
    decode: DecodeParams,
    spectrogram: SpectrogramParams,
    heard: pd.DataFrame,
    why_not: str,
) -> dict[str, pd.DataFrame]:
    """The labelled clips of each of `listen.sets`, with waveform and spectrogram.

    Raises `InputError` with `why_not` where a clip of them is among those `heard`.
    """
    drawn = replace(ingest, classes=params.classes, max_clips_per_class=params.max_clips)
    sets = {name: read_clips(path, drawn, decode, spectrogram) for name, path in params.sets.items()}
    for name, labelled in sets.items():
        if both := sorted(set(labelled["clip_id"]) & set(heard["clip_id"])):
            raise InputError(f"params.yaml: listen.sets.{name}: {both[0]} {why_not}")
    return sets


@torch.inference_mode()
def pooled_features(network: ResNet, spectrograms: Sequence[np.ndarray], window: int, hop: int) -> np.ndarray:
    """The mean of the network's features over each spectrogram's windows, (clips, channels)."""
    standardise, found = Standardise(), []
    for spectrogram in tqdm(spectrograms, unit="clip", desc="network"):
        _, windows = even_windows(spectrogram, window, hop)
        found.append(network.features(standardise(torch.from_numpy(windows).float() / 255)).mean(dim=0).numpy())
    return np.stack(found)


def teacher_features(teacher: Teacher, waveforms: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of the teacher's frames over each waveform, (clips, width)."""
    shown = tqdm(waveforms, unit="clip", desc="teacher")
    return np.stack([teacher.frames([waveform])[0].astype(np.float32).mean(axis=0) for waveform in shown])


def by_speaker(clips: pd.DataFrame, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds of clips, as rows to learn from and rows to test: the classes in proportion, whole speakers."""
    fewest = clips.groupby("label")["client_id"].nunique().min()
    if fewest < 2 or clips["label"].nunique() < 2:
        raise InputError(f"listen: two classes of several speakers are needed, the smaller has {fewest}. Add clips")
    groups = pd.factorize(clips["client_id"], sort=True)[0]
    folds = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    return list(folds.split(clips, clips["label"], groups))


def fit_probe(features: np.ndarray, clips: pd.DataFrame, seed: int) -> Pipeline:
    """A linear probe on standardised features; folds by speaker choose the strength of its penalty."""
    regression = LogisticRegressionCV(
        Cs=STRENGTHS,
        l1_ratios=(0,),
        cv=by_speaker(clips, seed),
        scoring="neg_log_loss",
        max_iter=5000,
        use_legacy_attributes=False,
    )
    return make_pipeline(StandardScaler(), regression).fit(features, clips["label"])


def out_of_fold(features: np.ndarray, clips: pd.DataFrame, seed: int) -> np.ndarray:
    """Log-odds (clips,) of the second class in the order of names, each by a probe that never met its speaker."""
    scores = np.empty(len(clips))
    for learnt, tested in by_speaker(clips, seed):
        fitted = fit_probe(features[learnt], clips.iloc[learnt], seed)
        scores[tested] = fitted.decision_function(features[tested])
    return scores


def probe_sets(
    sets: Mapping[str, pd.DataFrame],
    networks: Mapping[str, ResNet],
    teacher: Teacher,
    window: int,
    params: ListenParams,
    intervals: EvaluateParams,
) -> dict[str, dict[str, dict]]:
    """By network, and for the teacher, the ROC AUC of probes: on each set by folds, and from each set to the others."""
    found: dict[str, dict[str, dict]] = {}
    for name in [*networks, "teacher"]:
        if name == "teacher":
            features = {key: teacher_features(teacher, labelled["waveform"]) for key, labelled in sets.items()}
        else:
            features = {
                key: pooled_features(networks[name], labelled["spectrogram"], window, window // 3)
                for key, labelled in sets.items()
            }
        found[name] = {}
        for key, labelled in sets.items():
            scores = out_of_fold(features[key], labelled, params.seed)
            found[name][key] = _auc(scores, labelled, intervals)
            fitted = fit_probe(features[key], labelled, params.seed)
            for other in sorted(set(sets) - {key}):
                scores = fitted.decision_function(features[other])
                found[name][f"{key}_to_{other}"] = _auc(scores, sets[other], intervals)
    return found


def say_heard(metrics: dict) -> str:
    """A line that says what the trunk hears: the results of `probe_sets` and of `agreement`."""
    areas = ", ".join(f"{name} {found['roc_auc']:.3f}" for name, found in metrics["probes"]["trunk"].items())
    return f"ROC AUC of linear probes: {areas}; agreement with the teacher's grade {metrics['agreement']}"


def _auc(scores: np.ndarray, clips: pd.DataFrame, intervals: EvaluateParams) -> dict:
    positive = (clips["label"] == max(clips["label"])).to_numpy()
    bounds = speaker_intervals(
        lambda rows: {"roc_auc": auc(positive[rows], scores[rows])},
        clips["client_id"],
        positive,
        intervals.resamples,
        intervals.seed,
    )
    return {"roc_auc": auc(positive, scores), "roc_auc_95": bounds["roc_auc"], "clips": len(clips)}
