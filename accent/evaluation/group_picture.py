"""A picture of the subgroups of the test split: the error of each, with its interval."""

from textwrap import shorten

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from accent.scoring.style import FOR, INK, WIDTH, drawing, new_figure


def draw_subgroups(table: pd.DataFrame, overall: float) -> Figure:
    """A line for each group of `groups.subgroups`: share of wrong clips, interval, and how many clips.

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
            f"{row.dimension}: {shorten(row.value, 32, placeholder='…')}  ({row.clips:,} clips, {row.speakers:,} sp.)"
            for row in table.itertuples()
        ]
        axes.set(yticks=places, yticklabels=names, ylim=(places[-1] + 0.7, -0.7), xlim=(-0.02, 1.02))
        axes.tick_params(axis="y", length=0, labelsize=9)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("share of clips that were wrong, with its 95% interval\n(dotted: all clips)", size=9)
        return figure
