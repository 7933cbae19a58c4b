"""Do two projections rank the training examples alike? A ranking that does not repeat is noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from backend.attribution.checks import Floats, check_attribution, check_features
from backend.core.arrays import check_vector
from backend.core.errors import InputError

LEAST = 0.3
"""Rank correlation of two projections below which no examples are shown as causes."""

_BLOCK_VALUES = 2**22


@dataclass(frozen=True)
class RankAgreement:
    """How far two rankings of the same training examples agree.

    Attributes
    ----------
    correlation : float
        Spearman's, in [-1, 1]; NaN where one ranking is constant.
    harmful, helpful : float
        Share of the ``top`` lowest, and highest, of the first that are among those of the second.
    top : int
    """

    correlation: float
    harmful: float
    helpful: float
    top: int


def projection_agreement(first: Any, second: Any) -> Floats:
    """Rank correlation of two attributions, per target.

    Parameters
    ----------
    first, second : array-like of shape (n_train, n)
        Scores of the same training examples and targets from two projections. May be memory maps:
        targets are read in blocks.

    Returns
    -------
    float64 array of shape (n,)
        Spearman's correlation over the training examples, ties sharing their mean rank; NaN where
        the scores of a target are constant.

    Raises
    ------
    InputError
        If the shapes differ or a score is not finite.
    """
    one, other = check_attribution(first), check_attribution(second)
    if one.shape != other.shape:
        raise InputError(
            f"both attributions must have the same shape: got {one.shape} and {other.shape}."
        )
    n_train, n = one.shape
    step = max(1, _BLOCK_VALUES // n_train)
    found = np.empty(n)
    for start in range(0, n, step):
        columns = slice(start, start + step)
        found[columns] = _spearman(one[:, columns], other[:, columns])
    return found


def rank_agreement(first: Any, second: Any, *, top: int = 20) -> RankAgreement:
    """How far two scores of the training examples agree, as a whole and at both ends.

    Parameters
    ----------
    first, second : array-like of shape (n_train,)
    top : int
        Examples at each end; at most half of them are compared. Ties go to the lower row.

    Returns
    -------
    RankAgreement

    Raises
    ------
    InputError
        If lengths differ, a score is not finite, there is one example, or ``top`` is below 1.
    """
    one = check_vector("first", first)
    other = check_vector("second", second, len(one), of="first score")
    if len(one) < 2 or top < 1:
        raise InputError(f"two examples and a top of 1 are needed: got {len(one)} and {top}.")
    size = min(int(top), len(one) // 2)

    def shared(sign: float) -> float:
        ends = [np.argsort(sign * scores, kind="stable")[:size] for scores in (one, other)]
        return int(np.isin(ends[0], ends[1]).sum()) / size

    correlation = float(_spearman(one[:, None], other[:, None])[0])
    return RankAgreement(correlation, shared(1.0), shared(-1.0), size)


def column_halves(features: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Projected features (t, n, k) as two of half as many columns: two projections of their own.

    The columns of a random projection are independent of one another, so its even and its odd
    columns are two projections, each with half the dimensions: what they agree on, the whole can
    be trusted with.

    Raises
    ------
    InputError
        If the features are not of that shape, or there are fewer than two columns.
    """
    values = check_features("features", features, "n")
    if values.shape[2] < 2:
        raise InputError(f"features must have two columns or more: got {values.shape[2]}.")
    even = values.shape[2] // 2 * 2
    return values[:, :, 0:even:2], values[:, :, 1:even:2]


def _spearman(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    ranks = [rankdata(part, axis=0) for part in (first, second)]
    a, b = (part - part.mean(axis=0) for part in ranks)
    scale = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    together = (a * b).sum(axis=0)
    return np.where(scale > 0, together / np.where(scale > 0, scale, 1.0), np.nan)
