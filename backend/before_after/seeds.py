"""How far seeds alone move a group: read off a control, or off what most labels did between two runs.

Two runs of one recipe differ by more than single examples: a border moves, and what lies there fails
or is repaired together. McNemar's test takes every change for a coin of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from backend.before_after.paired import PairedChange
from backend.core.arrays import as_numpy

_NAN = float("nan")
_MEDIAN = float(special.chdtri(1, 0.5))
FEWEST_LABELS = 4
"""Labels below which the usual change of one cannot be read off the others."""


def common_direction(changes: Iterable[PairedChange]) -> float:
    """How far the changes inside a group go in one direction, between runs that should be alike.

    Parameters
    ----------
    changes : iterable of PairedChange
        Of groups that nobody chose by these runs' errors.

    Returns
    -------
    float
        Mean correlation of the direction of two changes of one group, in [0, 1]: the sum of
        ``(failed - repaired)^2 - m`` over that of ``m (m - 1)``, with m changes. 0 where there is nothing to tell it by.
    """
    apart = pairs = 0.0
    for one in changes:
        m = one.failed + one.repaired
        apart += (one.failed - one.repaired) ** 2 - m
        pairs += m * (m - 1)
    return float(np.clip(apart / pairs, 0.0, 1.0)) if pairs else 0.0


def changes_of_seeds(
    wrong_before: Any, wrong_control: Any, labels: Any, rows: Any
) -> NDArray[np.float64]:
    """How many changes of each label a seed may well make inside a group, by what it did in a control.

    Parameters
    ----------
    wrong_before, wrong_control : bool array-like of shape (n,)
        Which predictions of all examples are wrong, in a run and in the same made anew.
    labels : int array-like of shape (n,)
        Classes from 0.
    rows : int array-like of shape (k,)
        The group.

    Returns
    -------
    float array of shape (n_labels,)
        As many as it made there, and as if it had changed every label as often as the one it changed
        most: another seed may move another label.
    """
    changed = np.asarray(as_numpy(wrong_before)) != np.asarray(as_numpy(wrong_control))
    codes, at = np.asarray(as_numpy(labels)), np.asarray(as_numpy(rows))
    count = int(codes.max(initial=0)) + 1
    of_label = np.bincount(codes, minlength=count)
    share = np.bincount(codes[changed], minlength=count) / np.maximum(of_label, 1)
    inside = np.bincount(codes[at], minlength=count)
    made = np.bincount(codes[at][changed[at]], minlength=count)
    return np.maximum(made, inside * share.max(initial=0.0))


def usual_direction(changes: Iterable[PairedChange]) -> float:
    """The same, read off a comparison in which some groups may really have changed.

    Returns
    -------
    float
        In [0, 1]: with it, half of the groups have a McNemar's statistic below its median by chance.
        Groups that changed for a reason, fewer than half, do not move it. NaN for fewer than four.
    """
    m = np.array([one.failed + one.repaired for one in changes], dtype=np.float64)
    apart = np.array([one.failed - one.repaired for one in changes], dtype=np.float64)
    held = m > 1
    if held.sum() < FEWEST_LABELS:
        return _NAN
    m, squares = m[held], np.square(apart[held]) / m[held]

    def over(together: float) -> bool:
        return float(np.median(squares / (1 + (m - 1) * together))) > _MEDIAN

    low, high = 0.0, 1.0
    if not over(low):
        return low
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if over(middle) else (low, middle)
    return high
