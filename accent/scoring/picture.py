"""Pictures of a take, of practice, and of what the model listens to."""

from textwrap import fill

import librosa
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit, logit

from accent.audio.waveform import FULL_SCALE, SAMPLE_RATE
from accent.grading.take import MOMENT_SECONDS, GradedWord
from accent.network.model import ModelCard
from accent.scoring.explain import attributions, cells_of
from accent.scoring.scorer import Piece, Score, Scorer
from accent.scoring.style import AGAINST, FOR, INK, WIDTH, drawing, in_words, new_figure
from accent.scoring.timeline import curve, least_native, within

FOOTER_CHARACTERS = 90  # in a line of small print below a take
HZ_TICKS = (125, 250, 500, 1000, 2000, 4000, 8000)
CLIP_BOX = (0.1, 0.21, 0.885, 0.75)  # of a clip's picture, the axes: left, bottom, width and height, as shares


def band_hz(card: ModelCard) -> np.ndarray:
    """The middle frequency of each mel band, on the scale of `accent.audio.spectrogram` (HTK's)."""
    spectrogram = card.spectrogram
    points = librosa.mel_frequencies(
        spectrogram.n_mels + 2, fmin=spectrogram.fmin_hz, fmax=spectrogram.fmax_hz, htk=True
    )
    return points[1:-1]


def draw_take(scorer: Scorer, piece: Piece, score: Score, title: str) -> Figure:
    """Native range, timeline over the waveform, and spectrogram with what speaks for and against, one below the other.

    Of a recording of several pieces, the one given. A native's reading that it is compared with follows the timeline.
    """
    words = [word for word in score.graded.words if word.native_start_s is not None] if score.graded else []
    heights = [0.4, 1.5, *([0.7] if words else []), 2.2] if len(piece.waveform) else [0.5]
    with drawing():
        figure = new_figure(WIDTH, sum(heights) + (1.5 if len(piece.waveform) else 0.9))
        axes = figure.subplots(len(heights), 1, gridspec_kw={"height_ratios": heights}, squeeze=False)[:, 0]
        draw_range(axes[0], score, score.target)
        if len(piece.waveform):
            draw_timeline(axes[1], piece, score)
            if words:
                draw_words_beside(axes[2], words)
            explained = (scorer.model, scorer.card, scorer.target, piece.spectrogram)
            added = None if score.refused else attributions(*explained)
            draw_spectrogram(axes[-1], piece.spectrogram, scorer.card, piece.start_s, added)
            for above in axes[1:-1]:
                above.sharex(axes[-1])
                above.tick_params(labelbottom=False)
            if words:  # the native's may be the longer reading
                axes[-1].set_xlim(right=max(axes[-1].get_xlim()[1], axes[2].dataLim.x1))
            axes[-1].set_xlabel("seconds")
        figure.suptitle(title)
        figure.supxlabel(fill(score.fitness.sentence, FOOTER_CHARACTERS), size=8, color=INK)
        return figure


def draw_range(axes: Axes, score: Score, target: str) -> None:
    """The grade with its 95% interval and natives' range, on one line; the probability for a take without a grade.

    A refused take shows the reason instead.
    """
    if score.refused:
        axes.set_axis_off()
        axes.text(0.5, 0.5, fill(f"unsure: {score.reason}", FOOTER_CHARACTERS), ha="center", va="center", size=9)
        return
    if score.graded:
        whole = score.graded.whole
        low, high, value, own = whole.native_low, whole.native_high, whole.grade, (whole.low, whole.high)
        ends = min(low, own[0]) - (high - low) / 4, max(high, own[1]) + (high - low) / 4
    elif score.probability_low is not None:
        low, high, value, own = score.probability_low, score.probability_high, score.probability, None
        ends = 0.0, 1.0
        axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    else:
        axes.set_axis_off()
        return
    axes.axhspan(0.35, 0.65, 0, 1, color=INK, alpha=0.15)
    axes.barh(0.5, high - low, 0.5, left=low, color=FOR, alpha=0.45)
    axes.text((low + high) / 2, 0.86, "natives", ha="center", va="bottom", color=FOR, size=9)
    axes.plot([value] * 2, [0.1, 0.9], color=AGAINST if value < low else FOR, linewidth=3)
    if own:
        axes.plot(own, [0.5, 0.5], color=INK, linewidth=1.5)
    axes.set(xlim=ends, ylim=(0, 1.35), yticks=[])
    axes.set_ylabel(target, rotation=0, ha="right", va="center")
    axes.spines["left"].set_visible(False)


def draw_timeline(axes: Axes, piece: Piece, score: Score) -> None:
    """A take's value over time, as a curve over the waveform: the grade's, or the windows' log-odds.

    The least native stretches are shaded, and the words of the text stand below. A refused take has its waveform alone.
    """
    if score.refused:
        _draw_waveform(axes, piece, 0.0, 1.0)
        axes.set(ylim=(-1.1, 1.1), yticks=[])
        return
    end = piece.start_s + len(piece.waveform) / SAMPLE_RATE
    if score.graded:
        rows = [moment for moment in score.graded.timeline if piece.start_s <= moment.start_s < end]
        times = np.array([moment.start_s + MOMENT_SECONDS / 2 for moment in rows])
        values, zero = np.array([moment.grade for moment in rows]), score.graded.whole.native_low
        spans = [(stretch.start_s, stretch.end_s) for stretch in score.graded.stretches]
        size = max(np.abs(values - zero).max(initial=0), score.graded.whole.native_high - zero) * 1.1
    else:
        windows = within(score.windows, piece)
        times, values = curve(windows)
        zero, size = 0.0, max(np.abs(values).max(), 2.0) * 1.1
        spans = [(window.start_s, window.end_s) for window in least_native(windows) if window.probability < 0.5]
    _draw_waveform(axes, piece, zero, size)
    for begin, until in spans:
        axes.axvspan(begin, until, color=AGAINST, alpha=0.15, linewidth=0)
    axes.axhline(zero, color=INK, linewidth=0.8)
    axes.plot(times, values, color=INK, linewidth=1)
    axes.scatter(times, values, c=np.where(values < zero, AGAINST, FOR), s=12 if score.graded else 22, zorder=3)
    axes.set_ylim(zero - size, zero + size)
    if score.graded:
        axes.set_ylabel("grade; line:\nnatives begin")
        for word in score.graded.words:
            middle, colour = (word.start_s + word.end_s) / 2, AGAINST if word.below else INK
            axes.text(middle, zero - size, word.text, ha="center", va="bottom", color=colour, size=7, rotation=90)
        return
    ticks = [value for value in (0.01, 0.1, 0.5, 0.9, 0.99) if abs(logit(value)) <= size]
    axes.set(yticks=logit(ticks), yticklabels=[f"{value:.0%}" for value in ticks])
    axes.set_ylabel("window by window")


def draw_words_beside(axes: Axes, words: list[GradedWord]) -> None:
    """The words of a take above the same words of a native, whose first word is moved to where the take's begins.

    Lines join the same words: where they slant, the take is ahead or behind; where a word is coloured, it is below
    natives' range.
    """
    moved = words[0].start_s - words[0].native_start_s
    for word in words:
        ours, theirs = (word.start_s, word.end_s), (word.native_start_s + moved, word.native_end_s + moved)
        colour = AGAINST if word.below else INK
        for (start, end), place, own in ((ours, 1, colour), (theirs, 0, FOR)):
            axes.barh(place, end - start, 0.25, left=start, color=own, alpha=0.8, edgecolor="white")
        for start, end in zip(ours, theirs, strict=True):
            axes.plot([start, end], [1, 0], color=colour, linewidth=0.6, alpha=0.6)
        axes.text(sum(theirs) / 2, -0.25, word.text, ha="center", va="top", color=INK, size=7)
    axes.set(ylim=(-0.9, 1.3), yticks=[1, 0], yticklabels=["take", "native"])


def _draw_waveform(axes: Axes, piece: Piece, middle: float, size: float) -> None:
    blocks = np.array_split(piece.waveform.astype(np.float32) / FULL_SCALE, min(len(piece.waveform), 800))
    times = piece.start_s + np.linspace(0, len(piece.waveform) / SAMPLE_RATE, len(blocks))
    low, high = (np.array([float(f(block)) for block in blocks]) for f in (np.min, np.max))
    peak = max(np.abs(low).max(), np.abs(high).max(), 1e-6) / size
    axes.fill_between(times, middle + low / peak, middle + high / peak, color=INK, alpha=0.3, linewidth=0)


def draw_spectrogram(
    axes: Axes, spectrogram: np.ndarray, card: ModelCard, start_s: float = 0.0, added: np.ndarray | None = None
) -> None:
    """A spectrogram (frames, n_mels) in grey; over it, in colour, the cells that speak for (blue) and against."""
    step = card.spectrogram.seconds_of(1)
    extent = (start_s, start_s + len(spectrogram) * step, 0, spectrogram.shape[1])
    axes.imshow(spectrogram.T, origin="lower", aspect="auto", cmap="gray_r", extent=extent, alpha=0.9)
    if added is not None:
        cells = cells_of(card)
        totals = cells.total(added)
        scale = np.quantile(np.abs(totals), 0.98) or 1.0
        points = cells.spread(np.clip(totals / scale, -1, 1), spectrogram.shape)
        colours = np.where(points[..., np.newaxis] > 0, mpl.colors.to_rgb(FOR), mpl.colors.to_rgb(AGAINST))
        layer = np.concatenate([colours, 0.75 * np.abs(points)[..., np.newaxis]], axis=2)
        axes.imshow(layer.transpose(1, 0, 2), origin="lower", aspect="auto", extent=extent)
    hz = band_hz(card)
    ticks = [tick for tick in HZ_TICKS if hz[0] <= tick <= hz[-1] * 1.05]
    axes.set(yticks=np.interp(ticks, hz, np.arange(len(hz)) + 0.5), yticklabels=[f"{tick:,}" for tick in ticks])
    axes.set_ylabel("Hz")
    if added is not None:
        axes.set_title("blue: speaks for; orange: against", size=10)


def draw_clip(spectrogram: np.ndarray, card: ModelCard, start_s: float, added: np.ndarray) -> Figure:
    """One clip's spectrogram and explanation, small, with its axes in `CLIP_BOX`."""
    with drawing():
        figure = Figure(figsize=(WIDTH, 1.9), dpi=120)
        axes = figure.add_axes(CLIP_BOX)
        draw_spectrogram(axes, spectrogram, card, start_s, added)
        axes.set(title="", ylabel="")  # a page of many says it once
        every_other = slice(1, None, 2)
        labels = [label.get_text() for label in axes.get_yticklabels()]
        axes.set_yticks(axes.get_yticks()[every_other], labels[every_other])
        axes.set_xlabel("seconds, and Hz", labelpad=1)
        return figure


def draw_bands(rows, target: str) -> Figure:
    """What the model listens to: each band's share of all attributions, and their direction, by the true class.

    `rows` is the table of the explain stage: hz, label, share, added.
    """
    with drawing():
        figure = new_figure(WIDTH, 4.6)
        size, way = figure.subplots(2, 1, sharex=True)
        for style, (label, part) in zip(("-", "--", "-.", ":") * 9, rows.groupby("label"), strict=False):
            size.plot(part["hz"], part["share"], style, label=label, color=FOR if label == target else AGAINST)
            way.plot(part["hz"], part["added"], style, label=label, color=FOR if label == target else AGAINST)
        way.axhline(0, color=INK, linewidth=0.8)
        ticks = [tick for tick in HZ_TICKS if rows["hz"].min() <= tick <= rows["hz"].max() * 1.05]
        way.set(xscale="log", xticks=ticks, xticklabels=[f"{tick:,}" for tick in ticks], xlabel="Hz")
        way.minorticks_off()
        size.set(ylim=(0, None), ylabel="share of attributions")
        way.set_ylabel(f"added to the\nlog-odds of {target}")
        size.legend(title="clips of", frameon=False, labelcolor=INK)
        figure.suptitle("What the model listens to, over the test clips")
        return figure


def draw_levels(table, levels: list[str], native: tuple[float, float], target: str, by: str) -> Figure:
    """The recordings of every level as dots on the scale of grades or log-odds, with natives' range.

    `table` has `level` and the column `by`: `grade` or `log_odds`.
    """
    with drawing():
        figure = new_figure(WIDTH, 1.3 + 0.7 * len(levels))
        axes = figure.subplots()
        axes.axvspan(*native, color=FOR, alpha=0.18, label="5-95% of natives' takes", linewidth=0)
        for place, level in enumerate(levels):
            scores = table.loc[table["level"] == level, by].to_numpy()
            offsets = np.linspace(-0.25, 0.25, len(scores)) if len(scores) > 1 else np.zeros(len(scores))
            axes.scatter(scores, place + offsets, color=AGAINST, alpha=0.8, s=24, linewidth=0)
            axes.plot([scores.mean()] * 2, [place - 0.35, place + 0.35], color=INK, linewidth=2)
        if by == "log_odds":
            low, high = min(table[by].min(), native[0]), max(table[by].max(), native[1])
            ticks = np.array([t for t in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999) if low - 2 <= logit(t) <= high + 2])
            axes.set(xticks=logit(ticks), xticklabels=[f"{expit(value):.3g}" for value in logit(ticks)])
        axes.set(yticks=range(len(levels)), yticklabels=levels, ylim=(len(levels) - 0.5, -0.5))
        what = "grade for" if by == "grade" else "probability of"
        axes.set_xlabel(f"{what} {target} (line: mean)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, labelcolor=INK)
        return figure


def draw_grades(table, target: str, native: tuple[float, float]) -> Figure:
    """How the clips of each class and probe are graded for a target, with natives' range.

    `table` has `label` and `grade`, a row a clip.
    """
    with drawing():
        labels = sorted(set(table["label"]), key=lambda label: (label != target, label))
        figure = new_figure(WIDTH, 1.4 + 0.8 * len(labels))
        axes = figure.subplots()
        axes.axvspan(*native, color=FOR, alpha=0.15, label="5-95% of natives' takes", linewidth=0)
        edges = np.linspace(table["grade"].min(), table["grade"].max(), 25)
        for place, label in enumerate(labels):
            grades = table.loc[table["label"] == label, "grade"]
            counts, _ = np.histogram(grades, edges)
            colour = FOR if label == target else AGAINST
            base = len(labels) - 1 - place
            heights = 0.85 * counts / max(counts.max(), 1)
            axes.bar(edges[:-1], heights, np.diff(edges), base, align="edge", color=colour, alpha=0.7, linewidth=0)
            axes.plot([grades.mean()] * 2, [base, base + 0.9], color=INK, linewidth=2)
        names = [f"{label}\n{(table['label'] == label).sum()} clips" for label in labels]
        axes.set(yticks=np.arange(len(labels))[::-1] + 0.4, yticklabels=names, ylim=(0, len(labels)))
        axes.set_xlabel(f"grade for {target} (line: mean)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, labelcolor=INK)
        return figure


def draw_audit(audit: dict) -> Figure:
    """The audit stage's metrics: AUC of the confounds and of the model, importance of each confound, channels."""
    with drawing():
        figure = new_figure(2.4 * WIDTH, 4.4)
        left, middle, right = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1, 1.25, 1.75]})
        _draw_aucs(left, audit["confounds"])
        _draw_importance(middle, audit["importance"])
        _draw_channels(right, audit["channels"])
        return figure


def _draw_aucs(axes: Axes, found: dict) -> None:
    for place, (name, colour) in enumerate((("roc_auc", AGAINST), ("model_roc_auc", FOR))):
        low, high = found[f"{name}_95"] or (found[name], found[name])
        axes.plot([place, place], [low, high], color=colour, linewidth=3, alpha=0.6)
        axes.plot(place, found[name], "o", color=colour, markersize=9)
        axes.text(place + 0.12, found[name], f"{found[name]:.2f}", va="center", color=colour)
    axes.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
    lowest = min([0.45, *(found["roc_auc_95"] or [])])
    axes.set(xlim=(-0.5, 1.6), ylim=(lowest - 0.02, 1.02), xticks=[0, 1], xticklabels=["confounds", "model"])
    axes.set_ylabel("ROC AUC, 95% over speakers")
    axes.set_title("confound baseline", size=11)


def _draw_importance(axes: Axes, importance: dict) -> None:
    means, sds = ([found[key] for found in importance.values()] for key in ("mean", "sd"))
    axes.barh(range(len(means)), means, xerr=sds, color=AGAINST, alpha=0.7, ecolor=INK)
    axes.set(yticks=range(len(means)), yticklabels=map(in_words, importance))
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("fall of the confounds' AUC when shuffled")
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.invert_yaxis()
    axes.set_title("permutation importance", size=11)


def _draw_channels(axes: Axes, channels: dict) -> None:
    for place, found in enumerate(channels.values()):
        if found["clips"]:
            axes.barh(place, found["mean_change"], color=FOR, alpha=0.7)
            axes.plot([found["mean_change"], found["p95_change"]], [place, place], color=INK, linewidth=1.5)
            axes.plot(found["p95_change"], place, "|", color=INK, markersize=10)
        for where, key in ((1.12, "flipped"), (1.32, "newly_refused")):
            text = "-" if found[key] is None else f"{found[key]:.0%}"
            axes.text(where, place, text, ha="center", va="center")
    for where, text in ((1.12, "flipped"), (1.32, "newly\nrefused")):
        axes.text(where, -0.9, text, ha="center", va="center", size=9)
    axes.set(yticks=range(len(channels)), yticklabels=map(in_words, channels))
    axes.set(xlim=(0, 1.42), ylim=(len(channels) - 0.5, -1.4), xticks=np.linspace(0, 1, 5))
    axes.set_xlabel("change of the probability (line: 95th percentile)")
    axes.set_title("the same clips re-encoded", size=11)
