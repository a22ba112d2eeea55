"""Results by group: gender, age, accent, source rate and length of the test clips, and the probes.

`clips` has a row a clip: Common Voice's columns, the measures of `accent.audio.waveform.trim`, label, predicted and
log_odds (calibrated, of the target class).
"""

from itertools import pairwise
from pathlib import Path
from textwrap import shorten

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.special import expit

from accent.corpus.common_voice import gender_of
from accent.corpus.splits import PROBE
from accent.evaluation.intervals import say_interval, speaker_intervals, too_few_speakers
from accent.evaluation.metrics import auc
from accent.evaluation.predictions import Predictions
from accent.scoring.style import FOR, INK, WIDTH, drawing, new_figure

LENGTHS_S = (0, 3, 5, 8, np.inf)
MAX_ACCENTS = 20  # the commonest, each by itself; the rest together
UNSTATED, OTHERS = "(not stated)", "(all others)"


def dimensions(clips: pd.DataFrame) -> pd.DataFrame:
    """Each clip's value in every dimension by which the test split is looked at."""
    lengths = [f"{low:g} to {high:g} s" if high < np.inf else f"over {low:g} s" for low, high in pairwise(LENGTHS_S)]
    accents = clips["accents"].replace("", UNSTATED)
    common = accents.value_counts().sort_index().sort_values(ascending=False, kind="stable").index[:MAX_ACCENTS]
    return pd.DataFrame(
        {
            "label": clips["label"],
            "gender": clips["gender"].map(gender_of).replace("", UNSTATED),
            "age": clips["age"].replace("", UNSTATED),
            "accents": accents.where(accents.isin(common), OTHERS),
            "source rate": clips["source_rate_hz"].map("{:,.0f} Hz".format),
            "length": pd.cut(clips["duration_s"], LENGTHS_S, labels=lengths, right=False).astype(str),
        }
    )


def subgroups(clips: pd.DataFrame, target: str, resamples: int, seed: int) -> pd.DataFrame:
    """A row for every value of every dimension: clips, speakers, and error and ROC AUC with their intervals.

    `error` is the share of clips whose predicted class is not theirs; `roc_auc` that of the target class against the
    rest. A number that the group's clips do not give is NaN; `too_few` says why there is no interval, or "".
    """
    rows = []
    for dimension, values in dimensions(clips).items():
        for value, group in clips.groupby(values, sort=True):
            positive = (group["label"] == target).to_numpy()
            wrong = (group["label"] != group["predicted"]).to_numpy(dtype=float)
            log_odds = group["log_odds"].to_numpy()

            def metric(rows, positive=positive, wrong=wrong, log_odds=log_odds):
                return {"error": wrong[rows].mean(), "roc_auc": auc(positive[rows], log_odds[rows])}

            row = {"dimension": dimension, "value": value, "clips": len(group)}
            row["speakers"] = group["client_id"].nunique()
            intervals = speaker_intervals(metric, group["client_id"], group["label"], resamples, seed)
            for name, number in metric(np.arange(len(group))).items():
                low, high = intervals[name] or (np.nan, np.nan)
                row |= {name: number, f"{name}_low": low, f"{name}_high": high}
            rows.append(row | {"too_few": too_few_speakers(group["client_id"], group["label"])})
    return pd.DataFrame(rows)


def probe_result(natives: pd.DataFrame, probe: pd.DataFrame, classes: list[str], resamples: int, seed: int) -> dict:
    """Result of a probe: its clips' scores compared with those of the native speakers' test clips, with intervals.

    `auc_natives_against`, the share of pairs in which the native's score is higher; `mean_probability` of the target;
    `predicted_CLASS`, the share of the probe's clips that is taken for each class; `refused`. A number that there are
    no clips for is NaN. The resamples are of the natives' speakers and of the probe's; `too_few` says why there is no
    interval, or "".
    """
    clips = pd.concat([natives, probe], ignore_index=True)
    native = np.arange(len(clips)) < len(natives)
    log_odds, predicted = clips["log_odds"].to_numpy(), clips["predicted"].to_numpy()
    probability, refused = expit(log_odds), (clips["refused"] != "").to_numpy()

    def metric(rows: np.ndarray) -> dict[str, float]:
        probed = rows[~native[rows]]
        means = [probability[probed], refused[probed], *(predicted[probed] == name for name in classes)]
        return dict(zip(names, [auc(native[rows], log_odds[rows]), *map(np.mean, means)], strict=True))

    names = ["auc_natives_against", "mean_probability", "refused", *(f"predicted_{name}" for name in classes)]
    sizes = {"clips": len(probe), "speakers": probe["client_id"].nunique(), "natives": len(natives)}
    numbers = {name: float(value) for name, value in metric(np.arange(len(clips))).items()}
    strata = np.where(native, "the natives", "the probe")
    return {
        **sizes,
        **numbers,
        "interval": speaker_intervals(metric, clips["client_id"], strata, resamples, seed),
        "too_few": too_few_speakers(clips["client_id"], strata),
    }


def evaluate_probes(judged: Predictions, natives: Predictions, resamples: int, seed: int) -> dict[str, dict]:
    """`probe_result` of every probe among the clips."""
    probes = judged.of_split(PROBE).clips.groupby("label")
    return {name: probe_result(natives.clips, probe, judged.classes, resamples, seed) for name, probe in probes}


def say_probe(name: str, probe: dict, target: str) -> str:
    """A line that says what `probe_result` found."""
    auc = probe["auc_natives_against"]
    return (
        f"probe {name}: {probe['clips']:,} clips of {probe['speakers']:,} speakers: mean probability of {target} "
        f"{probe['mean_probability']:.2f}, ROC AUC of natives against them {auc:.3f} "
        f"{say_interval(probe['interval']['auc_natives_against'])}"
    )


def write_subgroups(folder: Path, test: Predictions, target: str, resamples: int, seed: int) -> None:
    """`subgroups.csv` and its picture."""
    groups = subgroups(test.clips, target, resamples, seed)
    groups.to_csv(folder / "subgroups.csv", index=False)
    overall = float((test.clips["label"] != test.clips["predicted"]).mean())
    draw_subgroups(groups, overall).savefig(folder / "subgroups.png", facecolor="white")


def draw_subgroups(table: pd.DataFrame, overall: float) -> Figure:
    """A line for each group of `subgroups`: share of wrong clips, interval, and how many clips.

    `overall` is the error of all, as a line to compare with. A dimension of one group, which says no more than that, is
    left out unless there is no other.
    """
    groups = table.groupby("dimension")["value"].transform("size")
    table = table[groups > 1] if (groups > 1).any() else table
    with drawing():
        gaps = (table["dimension"] != table["dimension"].shift()).cumsum().to_numpy() - 1
        places = np.arange(len(table)) + gaps * 0.6
        figure = new_figure(WIDTH, 1 + 0.27 * (places[-1] + 1))
        axes = figure.subplots()
        axes.axvline(overall, color=INK, linewidth=1, linestyle=":")
        axes.hlines(places, table["error_low"], table["error_high"], color=FOR, linewidth=2.5, alpha=0.5)
        axes.scatter(table["error"], places, s=22, color=FOR, zorder=3, linewidth=0)
        names = [
            f"{row.dimension}: {shorten(row.value, 32, placeholder='…')}  "
            f"(clips {row.clips:,}, speakers {row.speakers:,})"
            for row in table.itertuples()
        ]
        axes.set(yticks=places, yticklabels=names, ylim=(places[-1] + 0.7, -0.7), xlim=(-0.02, 1.02))
        axes.tick_params(axis="y", length=0, labelsize=9)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("error rate, with its 95% interval\n(dotted: all clips)", size=9)
        return figure
