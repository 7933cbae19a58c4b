"""How many members there are: from rows that were drawn with known chances, and from no other."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from backend.core.statistics import wilson_interval

FEWEST = 20
"""Drawn answers below which there is no more to say than "at least as many as were found"."""
_TAIL = 0.025

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def draw(open_rows: Rows, probabilities: Floats, m: int, seed: int) -> tuple[Rows, Floats]:
    """Draw about ``m`` rows, one half evenly, one half where the classifier is unsure.

    Parameters
    ----------
    open_rows : int64 array of shape (u,)
    probabilities : float64 array of shape (u,)
        Of these rows.
    m : int
        Expected number; systematic sampling draws it exactly but for rounding.
    seed : int

    Returns
    -------
    rows, chances
        The rows in random order, and with which chance each was drawn.
    """
    m = min(m, len(open_rows))
    if m == 0:
        return np.zeros(0, np.int64), np.zeros(0)
    unsure = np.sqrt(probabilities * (1 - probabilities))
    part = unsure / unsure.sum() if unsure.sum() > 0 else np.full(len(unsure), 1 / len(unsure))
    chances = np.minimum(1, m * (0.5 / len(open_rows) + 0.5 * part))
    random = np.random.default_rng(seed)
    order = random.permutation(len(open_rows))
    ends = np.cumsum(chances[order]) + random.uniform()
    starts = ends - chances[order]
    taken = order[np.floor(ends) > np.floor(starts)]
    return open_rows[taken], chances[taken]


def count_members(
    n: int,
    found: int,
    ruled_out: int,
    expected: float,
    residuals: Floats,
    chances: Floats,
    open_rows: int,
) -> tuple[float, float, float]:
    """Estimated number of members with a 95 % interval: (estimate, low, high).

    ``expected`` is what the classifier expects of the rows it was not told; residuals of drawn rows,
    weighted by one over their chance, correct it, as a share of ``open_rows``. A ratio is taken, so
    that draws of several rounds add up to one sample.

    Parameters
    ----------
    n : int
        Examples.
    found, ruled_out : int
        Answered yes and no.
    expected : float
        Members by chosen answers, and by the classifier among all others.
    residuals, chances : float64 arrays of shape (m,)
        Of drawn rows: answer minus probability, by a classifier that did not see the answer.
    open_rows : int
        Rows that could be drawn.

    Returns
    -------
    tuple of float
        Within [found, n - ruled_out]. Below 20 drawn answers the ends are these limits.

    References
    ----------
    Zrnic and Candes, Active Statistical Inference, 2024, arXiv:2403.03208; Hajek's ratio in place
    of the Horvitz-Thompson sum.
    """
    least, most = float(found), float(n - ruled_out)
    m = len(residuals)
    if m == 0:
        return min(max(expected, least), most), least, most
    weights = 1 / chances
    mean = float(weights @ residuals / weights.sum())
    estimate = min(max(expected + open_rows * mean, least), most)
    if m < FEWEST:
        return estimate, least, most
    off = weights * (residuals - mean) / weights.sum()
    error = open_rows * math.sqrt(m / (m - 1) * float(off @ off))
    reach = -float(stdtrit(m - 1, _TAIL)) * error
    return estimate, max(estimate - reach, least), min(estimate + reach, most)


def cut_precision(
    audit: Rows, weights: Floats, cut: int, known: int = 0
) -> tuple[float, float, float, int]:
    """Share of members among the first ``cut`` of a ranking: (share, low, high, drawn above).

    Parameters
    ----------
    audit, weights
        As ``Sharpened.audit`` and ``audit_weights``.
    cut : int
    known : int
        Of the first ``cut``, those answered yes that were chosen, not drawn: members for certain.

    Returns
    -------
    tuple
        The known members, and among the others the share of yes of drawn rows above the cut, each
        weighted by one over its chance, with the Wilson interval of as many answers as these
        weights are worth. NaN without a drawn row above, unless all are known.
    """
    known = min(known, cut)
    if known == cut:
        return 1.0, 1.0, 1.0, 0
    above = audit[:, 0] < cut
    m = int(above.sum())
    if m == 0:
        return math.nan, math.nan, math.nan, 0
    held, answers = weights[above], audit[above, 1]
    share = float(held @ answers / held.sum())
    worth = float(held.sum() ** 2 / (held @ held))
    low, high = (float(end) for end in wilson_interval(share * worth, worth))
    of_all = [(known + (cut - known) * part) / cut for part in (share, low, high)]
    return of_all[0], of_all[1], of_all[2], m
