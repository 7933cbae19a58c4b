"""The least mean that a few values allow, where it is known how low a value can be, and no more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DRAWS = 999
_MOST = 400
"""Values above which nothing is said: what they hold back is little, and drawing takes long."""

Floats = NDArray[np.float64]


def least_mean(values: Floats, least: float, tail: float) -> float:
    """Lower bound of the mean of what these values were drawn from (Gaffke 2005).

    Parameters
    ----------
    values : float array of shape (n,)
        Independent draws, in any order.
    least : float
        No value lies below it.
    tail : float
        How often the mean may lie below the bound, in (0, 1).

    Returns
    -------
    float
        In the unit of the values, between ``least`` and their mean; ``-inf`` for more than 400 values.

    Notes
    -----
    The quantile at ``tail`` of ``least`` and the values weighted by spacings of uniform draws, 999
    times with one seed. It asks for no shape of the values: no distribution is known whose mean it
    misses more often than ``tail``. For values of two kinds it is Clopper and Pearson's bound.

    References
    ----------
    Gaffke, Three test statistics for a nonparametric one-sided hypothesis on the mean of a
    nonnegative variable, Mathematical Methods of Statistics 14 (2005). Learned-Miller, Thomas, A new
    confidence interval for the mean of a bounded random variable (2019).
    """
    n = len(values)
    if n > _MOST:
        return -np.inf
    spacings = np.random.default_rng(0).standard_exponential((_DRAWS, n + 1))
    means = spacings @ np.concatenate(([least], np.sort(values))) / spacings.sum(axis=1)
    place = round((_DRAWS + 1) * tail) - 1
    return float(np.partition(means, place)[place])
