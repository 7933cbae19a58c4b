"""Intervals and p-values that every topic shares. Undefined is NaN, never 0.

Intervals are ``Interval(value, low, high)``; for arrays of counts, ``wilson_interval`` returns
arrays. Sources are named where a formula is not in every textbook.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from backend.core.arrays import as_numpy, check_vector
from backend.core.errors import InputError

_NAN = float("nan")


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval, all in the same unit; NaN where undefined."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """For JSON: None where a number is undefined."""
        return {
            name: float(number) if np.isfinite(number) else None
            for name, number in (("value", self.value), ("low", self.low), ("high", self.high))
        }


UNDEFINED = Interval(_NAN, _NAN, _NAN)


def wilson_interval(
    successes: Any, n: Any, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score interval of a share, good for few trials and shares near 0 or 1.

    Parameters
    ----------
    successes, n : array-like, of shapes that broadcast
        Counts; ``0 <= successes <= n``. They need not be whole: effective counts are welcome.
    level : float
        Confidence, in (0, 1).

    Returns
    -------
    low, high : float64 arrays of the common shape
        In [0, 1]; NaN where ``n`` is 0.

    Raises
    ------
    InputError
        If a count is negative or not finite, successes exceed n, or the level is outside (0, 1).

    References
    ----------
    Wilson, Probable inference, JASA 22 (1927).
    """
    z = _normal_quantile(level)
    k, n = np.broadcast_arrays(
        np.asarray(as_numpy(successes), np.float64), np.asarray(as_numpy(n), np.float64)
    )
    if not (np.isfinite(k) & np.isfinite(n) & (k >= 0) & (k <= n)).all():
        raise InputError("wilson_interval needs finite counts with 0 <= successes <= n.")
    some = n > 0
    trials = np.where(some, n, 1.0)
    share = k / trials
    middle = share + z**2 / (2 * trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    # Exact at the ends, where rounding would leave 1e-17.
    low = np.where(k == 0, 0.0, np.maximum((middle - half) / scale, 0.0))
    high = np.where(k == n, 1.0, np.minimum((middle + half) / scale, 1.0))
    return np.where(some, low, np.nan), np.where(some, high, np.nan)


def adjust_p(p: Any) -> NDArray[np.float64]:
    """Benjamini-Hochberg adjusted p-values, in the order given.

    Parameters
    ----------
    p : array-like of shape (m,)
        In [0, 1]; NaN for tests that were not made, which stay NaN and are not counted.

    Returns
    -------
    float64 array of shape (m,)
        The smallest false discovery rate at which each test is rejected. Equal p-values get equal
        answers.

    Raises
    ------
    InputError
        If p is not one-dimensional, or a value is outside [0, 1].

    References
    ----------
    Benjamini, Hochberg, Controlling the false discovery rate, JRSS B 57 (1995).
    """
    p = np.asarray(as_numpy(p), dtype=np.float64)
    if p.ndim != 1:
        raise InputError(f"p must be one-dimensional: got shape {p.shape}.")
    made = np.flatnonzero(~np.isnan(p))
    if ((p[made] < 0) | (p[made] > 1)).any():
        raise InputError("p-values must be in [0, 1], or NaN where no test was made.")
    adjusted = np.full(len(p), np.nan)
    order = made[np.argsort(p[made], kind="stable")]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def mcnemar_p(first: float, second: float) -> float:
    """Exact two-sided p that two kinds of discordant pairs are equally likely; 1 without any.

    Counts need not be whole: effective counts are welcome.
    """
    n, least = first + second, min(first, second)
    if n == 0 or first == second:
        return 1.0
    # P(X <= least) of a binomial with chance one half, on both sides.
    return float(min(1.0, 2 * special.betainc(n - least, least + 1, 0.5)))


def mean_interval(values: Any, level: float = 0.95) -> Interval:
    """Mean of a sample with Student's t interval.

    Student's t and not a bootstrap: for the few dozen values shown on screen the percentile
    bootstrap is too narrow, and it depends on a seed.

    Parameters
    ----------
    values : array-like of shape (n,)
    level : float
        Confidence, in (0, 1).

    Returns
    -------
    Interval
        In the unit of the values. No value: all NaN. One value: its bounds are NaN.
    """
    values = np.asarray(as_numpy(values), dtype=np.float64)
    if values.size == 0:
        _normal_quantile(level)
        return UNDEFINED
    return weighted_mean_interval(values, np.ones(values.shape), level)


def mean_share_interval(shares: Any, level: float = 0.95, *, least: float = 0.0) -> Interval:
    """Student's t interval of the mean of shares, cut off at 0 and 1: none lies beyond.

    Differences of two shares each are cut off at ``least=-1`` and 1.
    """
    found = mean_interval(shares, level)
    low, high = np.clip((found.low, found.high), least, 1.0)
    return Interval(found.value, float(low), float(high))


def weighted_mean_interval(values: Any, weights: Any, level: float = 0.95) -> Interval:
    """``sum(w v) / sum(w)`` with an interval for weights that were fixed beforehand.

    The standard error is that of a ratio, ``sqrt(m / (m - 1) sum w^2 (v - mean)^2) / sum w``, with
    the effective size ``m = (sum w)^2 / sum w^2`` in place of n, and ``m - 1`` degrees of freedom
    for Student's t. With equal weights this is ``mean_interval``.

    Parameters
    ----------
    values, weights : array-like of shape (n,)
        Weights are never negative; their scale does not matter.
    level : float
        Confidence, in (0, 1).

    Returns
    -------
    Interval
        All NaN when no weight is positive; NaN bounds when the effective size is 1 (to 1e-9).

    Raises
    ------
    InputError
        If shapes disagree, a number is not finite, or a weight is negative.
    """
    values = check_vector("values", values)
    weights = check_vector("weights", weights, len(values), of="value")
    if (weights < 0).any():
        raise InputError(f"weights must not be negative: got {weights.min()}.")
    _normal_quantile(level)
    largest = weights.max()
    if largest == 0:
        return UNDEFINED
    weights = weights / largest
    mean = float(weights @ values / weights.sum())
    error, size = _standard_error(values, weights, mean)
    if not np.isfinite(error):
        return Interval(mean, _NAN, _NAN)
    half = float(special.stdtrit(size - 1, 0.5 + level / 2)) * error
    return Interval(mean, mean - half, mean + half)


def _standard_error(
    values: NDArray[np.float64], weights: NDArray[np.float64], mean: float
) -> tuple[float, float]:
    """Standard error of a weighted mean, NaN when one value decides it; and effective size."""
    squares = np.square(weights)
    size = float(weights.sum() ** 2 / squares.sum())
    if size - 1 < 1e-9:
        return _NAN, size
    scatter = float(np.sqrt(squares @ np.square(values - mean)))
    return scatter / float(weights.sum()) * float(np.sqrt(size / (size - 1))), size


def _normal_quantile(level: float) -> float:
    if not 0 < level < 1:
        raise InputError(f"level must be in (0, 1): got {level}.")
    return float(special.ndtri(0.5 + level / 2))


def mean_of(values: NDArray[Any]) -> float:
    """Mean of the finite ones among these numbers, however large; NaN where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> mean_of(np.array([1.5e308, 1.5e308, np.inf, np.nan])), mean_of(np.array([1.0, 2.0]))
    (1.5e+308, 1.5)
    """
    held = np.asarray(values, dtype=np.float64)
    held = held[np.isfinite(held)]
    peak = float(np.abs(held).max(initial=0.0))
    if peak < 1e290:  # the sum of that many is a number
        return float(held.mean()) if len(held) else float("nan")
    return peak * float((held / peak).mean())


def average_precision(scores: NDArray[np.float64], hits: NDArray[np.bool_]) -> float:
    """Area under the precision-recall steps of a ranking, highest score first.

    Equal scores enter together. NaN when nothing is to be found.
    """
    if not hits.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(hits[order])
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    gained = np.diff(found[ends], prepend=0)
    return float((gained * found[ends] / (ends + 1)).sum() / found[-1])
