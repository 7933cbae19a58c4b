"""Which regions other methods find too, and which of their groups no region contains."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.errors import InputError

HALF = 0.5
"""A group and a region are one finding when the smaller lies in the other by this share."""
APART = 0.2
"""A group is contained by no region when the regions together hold less than this share of it."""
LARGER = 5
"""A group more than this many times as large as a region is about something else."""
LEVEL = 0.05
FOLD_SHARE = 0.8
"""A group lies inside a larger one that holds this share of its members."""


@dataclass(frozen=True)
class Agreement:
    """What a comparison of methods says of some regions.

    Attributes
    ----------
    finders : tuple of tuples of str
        For each region the methods that found it too, in the order of the table.
    missed : tuple of int
        Rows of the groups that no region contains, highest mean loss first.
    """

    finders: tuple[tuple[str, ...], ...]
    missed: tuple[int, ...]


def find_agreement(
    table: pd.DataFrame,
    members: Sequence[NDArray[np.int64]],
    regions: Sequence[NDArray[np.int64]],
    *,
    ours: str,
    by_loss: Collection[str],
) -> Agreement | None:
    """Set the groups of several methods beside regions of one search.

    Parameters
    ----------
    table : DataFrame
        ``MethodComparison.table``: ``method``, ``p``, ``mean_loss`` and ``folded_into`` of each group.
    members : sequence of int arrays
        Rows of each group's members, each once, in the order of the table.
    regions : sequence of int arrays
        Rows of the members of each region, each once.
    ours : str
        The method that found them: its groups in the table say nothing.
    by_loss : collection of str
        Methods that know the loss of each example: they find every region.

    Returns
    -------
    Agreement or None
        Found too: a group and the region share half of the members of the smaller one or more, and
        the group is at most five times as large. Missed: the regions together hold less than a fifth
        of a group whose p is at most .05, and that does not lie in a larger group of the table. None
        where there is no region or no other method to compare.
    """
    if len(members) != len(table):
        raise InputError(f"members must be one per group: got {len(members)} for {len(table)}.")
    method = table["method"].tolist()
    others = [at for at, name in enumerate(method) if name != ours and name not in by_loss]
    if not len(regions) or not others:
        return None
    finders = tuple(
        tuple(dict.fromkeys(method[at] for at in others if _one_finding(region, members[at])))
        for region in regions
    )
    held = np.unique(np.concatenate(regions))
    p, alone = table["p"].to_numpy(dtype=float), table["folded_into"].isna().to_numpy()
    missed = [
        at
        for at in others
        if alone[at]
        and len(members[at])
        and p[at] <= LEVEL
        and np.isin(members[at], held).mean() < APART
    ]
    loss = table["mean_loss"].to_numpy(dtype=float)
    return Agreement(finders, tuple(sorted(missed, key=lambda at: (-loss[at], at))))


def _one_finding(region: NDArray[np.int64], group: NDArray[np.int64]) -> bool:
    fewer = min(len(region), len(group))
    if not fewer or len(group) > LARGER * len(region):
        return False
    return len(np.intersect1d(region, group, assume_unique=True)) >= HALF * fewer


def count_folded(table: pd.DataFrame) -> NDArray[np.int64]:
    """How many groups lie inside each group of ``MethodComparison.table``, shape (g,)."""
    into = table["folded_into"].dropna().to_numpy(dtype=np.int64)
    return np.bincount(into, minlength=len(table))
