"""Curves of the evaluation: the rows that `dvc plots` draws and overlays by revision, and our own pictures."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from accent.corpus.splits import PROBE
from accent.evaluation.headline import risk_coverage
from accent.evaluation.metrics import ECE_BINS
from accent.evaluation.predictions import Predictions
from accent.network.calibration import one_against_rest
from accent.scoring.style import AGAINST, FOR, INK, drawing, new_figure

HISTOGRAM_EDGES = np.linspace(-12, 12, 25)  # log-odds; what lies beyond goes into the outermost bin
COLOURS = (FOR, AGAINST, "#2f9e77", "#b0609e", "#a08a2c", INK)
STYLES = ("-", "--", "-.", ":")
SIZE = (3.9, 3.3)  # inches


def confusion(labels: pd.Series, predicted: pd.Series) -> pd.DataFrame:
    """One row a clip, `actual` and `predicted`: DVC's `confusion` template counts them."""
    return pd.DataFrame({"actual": labels, "predicted": predicted})


def roc(logits: np.ndarray, targets: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """The ROC curve of every class against the rest; of two classes only the second's, since they mirror each other.

    A class that has no clip, or all of them, has no curve.
    """
    curves = [pd.DataFrame(columns=["false_positive_rate", "true_positive_rate", "label"])]
    for number, name in enumerate(classes):
        of_class = targets == number
        if (len(classes) == 2 and number == 0) or of_class.all() or not of_class.any():
            continue
        false_positive, true_positive, _ = roc_curve(of_class, one_against_rest(logits, number))
        curve = {"false_positive_rate": false_positive, "true_positive_rate": true_positive, "label": name}
        curves.append(pd.DataFrame(curve))
    return pd.concat(curves, ignore_index=True)


def reliability(logits: np.ndarray, targets: np.ndarray, temperature: float) -> pd.DataFrame:
    """Mean probability of the predicted class, and accuracy, by bin, before and after temperature scaling."""
    tables = []
    for scaling, divisor in (("before", 1.0), ("after", temperature)):
        probabilities = softmax(logits / divisor, axis=1)
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
        accuracy, mean_confidence = calibration_curve(right, confidence, n_bins=ECE_BINS)
        table = {"confidence": mean_confidence, "accuracy": accuracy, "temperature_scaling": scaling}
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def score_histogram(logits: np.ndarray, labels: pd.Series, classes: list[str], temperature: float) -> pd.DataFrame:
    """Histograms of the calibrated log-odds of every class, by the clips' label, as shares.

    A label may be a probe's name: its clips are of none of the classes.
    """
    tables = []
    for number, name in enumerate(classes):
        if len(classes) == 2 and number == 0:
            continue
        scores = np.clip(one_against_rest(logits / temperature, number), *HISTOGRAM_EDGES[[0, -1]])
        present = set(labels)
        for label in [name for name in [*classes, *sorted(present - set(classes))] if name in present]:
            of_label = scores[(labels == label).to_numpy()]
            counts, _ = np.histogram(of_label, HISTOGRAM_EDGES)
            table = {"log_odds": (HISTOGRAM_EDGES[1:] + HISTOGRAM_EDGES[:-1]) / 2, "share": counts / len(of_label)}
            tables.append(pd.DataFrame({**table, "score_for": name, "label": label}))
    return pd.concat(tables, ignore_index=True)


def write_curves(folder: Path, judged: Predictions, target: str) -> None:
    """The rows of every curve, of the test clips; the scores of the probes too."""
    test, shown = judged.of_split("test"), judged.of_split("test", PROBE)
    logits, targets, temperature = test.logits, test.targets, test.temperature
    for name, rows in {
        "confusion": confusion(test.clips["label"], test.clips["predicted"]),
        "roc": roc(logits / temperature, targets, test.classes),
        "reliability": reliability(logits, targets, temperature),
        "scores": score_histogram(shown.logits, shown.clips["label"], shown.classes, temperature),
        "risk_coverage": risk_coverage(test, target),
    }.items():
        rows.to_csv(folder / f"{name}.csv", index=False)


def draw_lines(axes: Axes, rows: pd.DataFrame, x: str, y: str, by: str, marker: str = "") -> None:
    """A line for each value of the column `by`, with a legend where there are several."""
    groups = list(rows.groupby(by, sort=False))
    for number, (name, part) in enumerate(groups):
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
        axes.plot(part[x], part[y], linestyle=style, marker=marker, markersize=4, color=colour, label=name)
    if len(groups) > 1:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, labelcolor=INK, fontsize=9)


def draw_roc(rows: pd.DataFrame) -> Figure:
    """Every class against the rest; `rows` as `roc` gives them."""
    with drawing():
        figure = new_figure(*SIZE)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        draw_lines(axes, rows, "false_positive_rate", "true_positive_rate", "label")
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
        return figure


def draw_reliability(rows: pd.DataFrame) -> Figure:
    """Reliability diagram: accuracy against confidence; `rows` as `reliability` returns them."""
    with drawing():
        figure = new_figure(*SIZE)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        rows = rows.iloc[::-1].assign(scaling=rows["temperature_scaling"] + " scaling")
        draw_lines(axes, rows, "confidence", "accuracy", "scaling", "o")
        lowest = min(rows["confidence"].min(), 0.5)
        axes.set(xlim=(lowest, 1.01), ylim=(0, 1.03), xlabel="confidence", ylabel="accuracy")
        return figure


def draw_loss(losses: dict[str, pd.DataFrame]) -> Figure:
    """Loss by epoch of every split; `losses` maps its name to rows of step and loss.

    The epoch with the lowest of `validation` is marked.
    """
    with drawing():
        figure = new_figure(*SIZE)
        axes = figure.subplots()
        rows = pd.concat([table.assign(split=split) for split, table in losses.items()])
        draw_lines(axes, rows, "step", "loss", "split")
        if "validation" in losses:
            lowest = losses["validation"]["loss"].idxmin()
            epoch = losses["validation"]["step"][lowest]
            axes.axvline(epoch, color=INK, linewidth=0.8, linestyle=":")
            axes.text(epoch, 0, f"lowest in epoch {epoch} ", ha="right", va="bottom", size=9)
        axes.set(ylim=(0, None), xlabel="epoch", ylabel="loss")
        axes.xaxis.get_major_locator().set_params(integer=True)
        return figure


def draw_risk_coverage(rows: pd.DataFrame) -> Figure:
    """Risk-coverage curve: error against the share answered; `rows` as `risk_coverage` of `headline` returns them."""
    with drawing():
        figure = new_figure(*SIZE)
        axes = figure.subplots()
        draw_lines(axes, rows, "coverage", "risk", "label")
        axes.set(xlim=(0, 1.01), ylim=(0, None), xlabel="coverage, the surest first", ylabel="risk")
        axes.set_ylim(top=max(axes.get_ylim()[1], 0.05))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(mpl.ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))  # whole percents
            axis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        return figure


def draw_curves(plots: Path, training: Path) -> dict[str, Figure]:
    """Every curve by its title, from the folders of rows that the evaluate and train stages write."""
    losses = {
        name: pd.read_csv(training / "plots" / "metrics" / folder / "loss.tsv", sep="\t")
        for name, folder in (("training", "train"), ("validation", "eval"))
    }
    return {
        "ROC": draw_roc(read_rows(plots / "roc.csv")),
        "Reliability": draw_reliability(read_rows(plots / "reliability.csv")),
        "Loss in training": draw_loss(losses),
        "Risk and coverage": draw_risk_coverage(read_rows(plots / "risk_coverage.csv")),
    }


def read_rows(path: Path) -> pd.DataFrame:
    """The rows behind a plot; a class may be called NA, which pandas would take for a missing value."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])
