"""Fitness of a model: whether its test results allow verdicts, and a sentence that says what they rest on."""

from collections.abc import Mapping

import numpy as np

from accent.corpus.selection import Bar
from accent.scoring.reference import Fitness

HEADLINES = {"roc_auc": "ROC AUC", "balanced_accuracy": "balanced accuracy"}


def judge_fitness(test: Mapping, second: Mapping | None, trained_on: Mapping[str, int], bar: Bar) -> Fitness:
    """Whether the results on the test split, and on a second source if there is one, allow verdicts.

    Both have `roc_auc`, `balanced_accuracy`, `interval` with the `[low, high]` of each (or None), and `speakers_of`,
    the speakers of each class; `trained_on` are those of the training and validation clips. Every test
    has to reach `bar`.
    """
    found = f"tested on {_numbers(test)}"
    if second is None:
        found += f", all of the source that it learnt from ({_voices(trained_on)}): elsewhere it may do worse"
    else:
        found += f"; on another source, {_numbers(second)}"
    shortfall = _shortfall(test, bar) or (second is not None and _shortfall(second, bar, "on another source "))
    if shortfall:
        return Fitness(verdicts=False, sentence=f"No verdicts: {shortfall} ({found}).")
    return Fitness(verdicts=True, sentence=f"{found[0].upper()}{found[1:]}.")


def _shortfall(test: Mapping, bar: Bar, where: str = "") -> str:
    """What of the bar a test does not reach, or ""."""
    fewest = min(test["speakers_of"], key=test["speakers_of"].get)
    if (count := test["speakers_of"][fewest]) < bar.min_speakers:
        return f"{where}it was tested on {count} {fewest} voices, and {bar.min_speakers} are asked for"
    for name, title in HEADLINES.items():
        needed = getattr(bar, f"min_{name}")
        if (low := _lower_end(test, name)) < needed:
            return f"{where}its {title} may be as low as {low:.2f}, and {needed:.2f} is asked for"
    return ""


def _lower_end(test: Mapping, name: str) -> float:
    """The lower end of a number's interval, 0 without one; 1 where no clip of any voice was wrong.

    No test of as many voices can be better, so it is for `min_speakers` to say how many that has to be true of.
    """
    interval = test["interval"][name]
    return 1.0 if test[name] == 1 else interval[0] if interval else 0.0


def _numbers(test: Mapping) -> str:
    said = []
    for name, title in HEADLINES.items():
        value, interval = test[name], test["interval"][name]
        bounds = f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else "not known"
        said.append(f"{title} not known" if np.isnan(value) else f"{title} {value:.2f} (95%: {bounds})")
    return f"{_voices(test['speakers_of'])}: {', '.join(said)}"


def _voices(speakers_of: Mapping[str, int]) -> str:
    return " and ".join(f"{count:,} {label}" for label, count in speakers_of.items()) + " voices"
