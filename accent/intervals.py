"""How sure a number is: 95% intervals by bootstrap over speakers, since clips of one speaker are not independent."""

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import stats

LOW, HIGH = 2.5, 97.5  # percent


def speaker_intervals(
    metric: Callable[[np.ndarray], Mapping[str, float]],
    speakers: Sequence[str],
    resamples: int,
    seed: int,
    sides: Sequence | None = None,
) -> dict[str, list[float] | None]:
    """`[low, high]` of every number that `metric` gives, by the percentile bootstrap over whole speakers.

    `speakers` names the speaker of each row. `metric` is called with the numbers of the rows to look at, in which a
    speaker's rows may be repeated. Resamples in which a number is NaN (no clip of one class, say) do not count for it;
    None stands where those are half of them or more, and where there is one speaker, or one on a side: `sides` has for
    each row what is compared in it, its class for one.
    """
    _, numbers = np.unique(np.asarray(speakers), return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    rows_of = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    names = list(metric(np.arange(len(numbers))))
    sides = np.zeros(len(numbers)) if sides is None else np.asarray(sides)
    if any(len(set(numbers[sides == side])) < 2 for side in np.unique(sides)):
        return dict.fromkeys(names)

    def values(drawn: np.ndarray) -> list[float]:
        return list(metric(np.concatenate([rows_of[speaker] for speaker in drawn])).values())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # where a number is NaN or always the same
        found = stats.bootstrap(
            (np.arange(len(rows_of)),),
            values,
            n_resamples=resamples,
            vectorized=False,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    intervals = {}
    for name, row in zip(names, found.bootstrap_distribution, strict=True):
        known = row[~np.isnan(row)]
        intervals[name] = np.percentile(known, [LOW, HIGH]).tolist() if 2 * len(known) > len(row) else None
    return intervals


def say_interval(interval: list[float] | None) -> str:
    """An interval as it stands behind a number in a line of text."""
    return "(95%: {:.3f} to {:.3f})".format(*interval) if interval else "(95%: not known)"
