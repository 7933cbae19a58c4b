"""Who pays for compression, in a few numbers: everybody, and the class that pays most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from backend.core.statistics import Interval
from backend.populations.class_change import welch_half_width
from backend.populations.encode import check_populations

LEVEL = 0.05


@dataclass(frozen=True)
class Payer:
    """The class whose recall falls farthest behind the change of accuracy as a whole.

    Attributes
    ----------
    label : str
    n : int
        Its examples.
    change : float
        Recall after less recall before, a fraction.
    beyond : Interval
        The same less the change of mean accuracy, with its Welch 95 % interval over models; one
        class taken by itself, not widened for having been chosen as the lowest.
    p_adjusted : float
        Benjamini-Hochberg over all classes; NaN without a test.
    n_tested, n_paying : int
        Classes with a test, and those of them that lose more than the average at an adjusted p
        below .05.
    """

    label: str
    n: int
    change: float
    beyond: Interval
    p_adjusted: float
    n_tested: int
    n_paying: int

    @property
    def significant(self) -> bool:
        """Whether it loses more than the average at an adjusted p below .05."""
        return bool(self.p_adjusted < LEVEL and self.beyond.value < 0)


def accuracy_change(baseline: Any, compressed: Any, labels: Any) -> Interval:
    """Change of mean top-1 accuracy, compressed less baseline, with a Welch 95 % interval.

    Parameters
    ----------
    baseline, compressed : array-like of shape (m, n)
        Predicted labels, one row per model; the numbers of models may differ.
    labels : array-like of shape (n,)
        True labels.

    Returns
    -------
    Interval
        Fractions. The interval is over models, on these examples: NaN with fewer than two models
        in a population, of no width when accuracies vary in neither.

    Raises
    ------
    InputError
        As for ``class_change``.
    """
    encoded = check_populations(labels, baseline=baseline, compressed=compressed)
    *parts, truth = encoded.parts
    hits = [(models == truth).sum(axis=1) for models in parts]  # whole numbers: no rounding
    before, after = hits
    value = float(after.mean() - before.mean()) / len(truth)
    if min(len(before), len(after)) < 2:
        return Interval(value, np.nan, np.nan)
    first, second = (own.var(ddof=1) / len(truth) ** 2 / len(own) for own in hits)
    variance = np.array([first + second])
    with np.errstate(divide="ignore", invalid="ignore"):
        df = variance**2 / (first**2 / (len(before) - 1) + second**2 / (len(after) - 1))
    half = 0.0 if variance[0] == 0 else float(welch_half_width(variance, df)[0])
    return Interval(value, value - half, value + half)


@dataclass(frozen=True)
class ChangedClasses:
    """How many classes were tested, and how many change more or less than the average.

    ``n_significant`` have a p below ``LEVEL``, ``n_adjusted`` an adjusted one.
    """

    n_tested: int
    n_significant: int
    n_adjusted: int


def changed_classes(changes: pd.DataFrame) -> ChangedClasses:
    """How many classes change beyond the average, out of what ``class_change`` returns."""
    p, adjusted = changes["p"], changes["p_adjusted"]
    return ChangedClasses(
        int(p.notna().sum()), int((p < LEVEL).sum()), int((adjusted < LEVEL).sum())
    )


def who_pays(changes: pd.DataFrame) -> Payer | None:
    """The class that pays most, and whether that is more than chance among so many classes.

    Parameters
    ----------
    changes : DataFrame
        As ``class_change`` returns it.

    Returns
    -------
    Payer or None
        The lowest ``normalized_change`` among classes that have examples, a tie going to the first;
        but where classes lose significantly more than the average, the lowest of those. None with
        fewer than two classes that have examples: then nobody pays more than anybody else.

    References
    ----------
    Hooker et al., What Do Compressed Deep Neural Networks Forget?, 2019, arXiv:1911.05248, section
    3.1: recall per class less the change of accuracy. The adjustment is our addition.
    """
    held = changes[changes["n"] > 0]
    if len(held) < 2:
        return None
    paying = held[(held["p_adjusted"] < LEVEL) & (held["normalized_change"] < 0)]
    rows = paying if len(paying) else held
    row = next(rows.loc[[rows["normalized_change"].idxmin()]].itertuples())
    return Payer(
        str(row.label),
        int(row.n),
        float(row.change),
        Interval(
            float(row.normalized_change), float(row.normalized_low), float(row.normalized_high)
        ),
        float(row.p_adjusted),
        int(held["p"].notna().sum()),
        len(paying),
    )
