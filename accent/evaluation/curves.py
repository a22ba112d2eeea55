"""The evaluation's curves as pictures, drawn from the rows that `dvc plots` draws too."""

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from accent.scoring.style import AGAINST, FOR, INK, drawing, new_figure

COLOURS = (FOR, AGAINST, "#2f9e77", "#b0609e", "#a08a2c", INK)
STYLES = ("-", "--", "-.", ":")
SIZE = (3.9, 3.3)  # inches


def draw_lines(axes: Axes, rows: pd.DataFrame, x: str, y: str, by: str, marker: str = "") -> None:
    """A line for each value of the column `by`, with a legend where there are several."""
    groups = list(rows.groupby(by, sort=False))
    for number, (name, part) in enumerate(groups):
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
        axes.plot(part[x], part[y], linestyle=style, marker=marker, markersize=4, color=colour, label=name)
    if len(groups) > 1:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, labelcolor=INK, fontsize=9)


def draw_roc(rows: pd.DataFrame) -> Figure:
    """Every class against the rest; `rows` as `accent.evaluation.plot_data.roc` gives them."""
    with drawing():
        figure = new_figure(*SIZE)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        draw_lines(axes, rows, "false_positive_rate", "true_positive_rate", "label")
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="share of the others taken for it", ylabel="share of it found")
        return figure


def draw_reliability(rows: pd.DataFrame) -> Figure:
    """How often it is right when it is so sure; `rows` as `accent.evaluation.plot_data.reliability` gives them."""
    with drawing():
        figure = new_figure(*SIZE)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        rows = rows.iloc[::-1].assign(scaling=rows["temperature_scaling"] + " scaling")
        draw_lines(axes, rows, "confidence", "accuracy", "scaling", "o")
        lowest = min(rows["confidence"].min(), 0.5)
        axes.set(xlim=(lowest, 1.01), ylim=(0, 1.03), xlabel="probability that it gave", ylabel="share that was right")
        return figure


def draw_loss(losses: dict[str, pd.DataFrame]) -> Figure:
    """Loss by epoch of every split; `losses` maps its name to rows of step and loss."""
    with drawing():
        figure = new_figure(*SIZE)
        axes = figure.subplots()
        rows = pd.concat([table.assign(split=split) for split, table in losses.items()])
        draw_lines(axes, rows, "step", "loss", "split")
        axes.set(ylim=(0, None), xlabel="epoch", ylabel="loss")
        axes.xaxis.get_major_locator().set_params(integer=True)
        return figure


def draw_risk_coverage(rows: pd.DataFrame) -> Figure:
    """Error against the share answered; `rows` as `accent.evaluation.selective.risk_coverage` gives them."""
    with drawing():
        figure = new_figure(*SIZE)
        axes = figure.subplots()
        draw_lines(axes, rows, "coverage", "risk", "label")
        axes.set(xlim=(0, 1.01), ylim=(0, None), xlabel="share answered, the surest first", ylabel="share wrong")
        axes.set_ylim(top=max(axes.get_ylim()[1], 0.05))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(mpl.ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))  # whole percents
            axis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        return figure
