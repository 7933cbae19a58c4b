"""Who belongs to a region, in plain numpy: pages use this without loading torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import check_vector
from backend.core.errors import InputError


def members(weights: Any, total_weight: float, counts: Any = None) -> NDArray[np.int64]:
    """Rows of a region's members: its ``round(total_weight)`` heaviest examples.

    Where rows count more than once, or less, they are the heaviest whose counts first add up to so
    many, as if each row stood there as often as it counts.

    Parameters
    ----------
    weights : array-like of shape (n,)
        Weight of each example, never negative.
    total_weight : float
        The region's size in examples. Halves round to the even number.
    counts : array-like of shape (n,), optional
        How often each row counts; 1 by default. Rows that count 0 times are no members.

    Returns
    -------
    int array of shape (m,)
        Rows from the heaviest down, ``min(n, round(total_weight))`` of them without counts. Equal
        weights: the lower row first.

    Raises
    ------
    InputError
        If weights are not one-dimensional and finite, or the size is negative or not finite.
    """
    weights = check_vector("weights", weights)
    if not np.isfinite(total_weight) or total_weight < 0:
        raise InputError(f"total_weight must be a number of at least 0: got {total_weight}.")
    if counts is not None:
        return _counted(weights, check_vector("counts", counts, len(weights)), total_weight)
    count = min(len(weights), round(float(total_weight)))
    if count == 0:
        return np.empty(0, dtype=np.int64)
    if count == len(weights):
        rows = np.arange(count)
    else:
        # Everything above the last member's weight, then the lowest rows that tie with it.
        border = np.partition(weights, len(weights) - count)[len(weights) - count]
        above = np.flatnonzero(weights > border)
        tied = np.flatnonzero(weights == border)[: count - len(above)]
        rows = np.union1d(above, tied)
    return rows[np.argsort(-weights[rows], kind="stable")].astype(np.int64)


def _counted(
    weights: NDArray[np.float64], counts: NDArray[np.float64], total_weight: float
) -> NDArray[np.int64]:
    rows = np.flatnonzero(counts > 0)
    rows = rows[np.argsort(-weights[rows], kind="stable")]
    before = np.cumsum(counts[rows]) - counts[rows]
    return rows[before < round(float(total_weight))].astype(np.int64)


def effective_size(weights: Any) -> float:
    """How many equal examples the weights are worth: ``(sum k)^2 / sum k^2``.

    Parameters
    ----------
    weights : array-like of shape (n,)
        Weight of each example, never negative.

    Returns
    -------
    float
        Between 1 and n; NaN when all weights are 0, since no example is then counted.
    """
    weights = check_vector("weights", weights)
    largest = np.abs(weights).max()
    if largest == 0:
        return float("nan")
    weights = weights / largest
    return float(weights.sum() ** 2 / np.square(weights).sum())


def shared_members(groups: Sequence[Any]) -> NDArray[np.float64]:
    """How much groups overlap: which share of each one's members are members of another.

    Parameters
    ----------
    groups : sequence of g int arrays
        Rows of each group's members, each row at most once.

    Returns
    -------
    float64 array of shape (g, g)
        ``[a, b]`` is the share of group ``a`` that group ``b`` holds too, in [0, 1]; 1 on the
        diagonal; a row of NaN where a group is empty.
    """
    sets = [np.asarray(rows, dtype=np.int64) for rows in groups]
    shares = np.full((len(sets), len(sets)), np.nan)
    for a, one in enumerate(sets):
        for b, other in enumerate(sets):
            if len(one):
                shares[a, b] = len(np.intersect1d(one, other)) / len(one)
    return shares


@dataclass(frozen=True)
class MostShared:
    """Of two different groups: this ``share`` of the members of ``group`` are members of ``holder``."""

    share: float
    group: int
    holder: int


def most_shared(shares: NDArray[np.float64]) -> MostShared | None:
    """The two groups of which one holds most of the other.

    Parameters
    ----------
    shares : float array of shape (g, g)
        From ``shared_members``.

    Returns
    -------
    MostShared or None
        Ties go to the lower group, then the lower holder. None where no two share a member.
    """
    apart = np.where(np.eye(len(shares), dtype=bool), np.nan, shares)
    if not np.any(apart > 0):
        return None
    group, holder = np.unravel_index(int(np.nanargmax(apart)), apart.shape)
    return MostShared(float(apart[group, holder]), int(group), int(holder))
