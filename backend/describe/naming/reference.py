"""What the members of a group are compared with: the other examples of their own labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.describe.chance import fisher_p, stratified_p

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """The members of a group beside the rest of their labels. Made by ``refer``.

    Attributes
    ----------
    members : int array of shape (m,)
    rest : int array of shape (k,)
        The other examples of the labels that members have; all others where labels are not known
        or no others of these labels are left. Empty where the group is everybody.
    weights : float64 array of shape (k,)
        Sums to 1: every label counts as much in the rest as among the members.
    chances : tuple of float64 arrays of shapes (m,) and (k,)
        How likely each is a member when members are drawn label by label.
    single : bool
        Whether all are of one label, so that Fisher's test is exact.
    everybody : bool
        Whether the rest are all others of n examples, counted alike.
    """

    members: Rows
    rest: Rows
    weights: Floats = field(repr=False)
    chances: tuple[Floats, Floats] = field(repr=False)
    single: bool
    everybody: bool

    def shares(
        self, codes: NDArray[np.integer[Any]], count: NDArray[np.int64]
    ) -> tuple[Floats, Floats]:
        """Share of the members, and of the rest, that have each code.

        ``codes`` (n,) are -1 for none; ``count`` says how many of all n have each.
        """
        size = len(count) + 1
        held = np.bincount(codes[self.members] + 1, minlength=size)[1:]
        if self.everybody:
            rest: Floats = (count - held) / max(1, len(self.rest))
        else:
            rest = np.bincount(codes[self.rest] + 1, self.weights, size)[1:].astype(np.float64)
        return held / len(self.members), np.minimum(rest, 1.0)

    def p(self, held: Mask, elsewhere: Mask) -> float:
        """How often as many members hold a thing by chance; masks of members and of the rest."""
        count, m = int(held.sum()), len(self.members)
        total = np.array([count + int(elsewhere.sum())])
        if self.single:
            return float(fisher_p(np.array([count]), m, total, m + len(self.rest))[0])
        mean = float(self.chances[0][held].sum() + self.chances[1][elsewhere].sum())
        return float(stratified_p(np.array([count]), m, total, np.array([mean]))[0])


def refer(
    members: Rows,
    labels: NDArray[np.int64] | None,
    candidates: Rows,
    *,
    everybody: bool = False,
) -> Reference:
    """The members beside those ``candidates`` that are none of them.

    Parameters
    ----------
    members : int array
    labels : int array of shape (n,), or None
        Codes from 0.
    candidates : int array
        Rows the rest is taken from.
    everybody : bool
        Whether these are all examples, and members are given once.
    """
    inside = np.zeros(max(int(members.max()), int(candidates.max(initial=0))) + 1, dtype=bool)
    inside[members] = True
    others = candidates[~inside[candidates]]
    if labels is not None:
        size = int(labels.max()) + 1
        own = np.bincount(labels[members], minlength=size)
        rest = others[own[labels[others]] > 0]
        left = np.bincount(labels[rest], minlength=size)
        if len(rest):
            weights = (own / np.maximum(left, 1))[labels[rest]]
            chance = own / np.maximum(own + left, 1)
            return Reference(
                members,
                rest,
                weights / weights.sum(),
                (chance[labels[members]], chance[labels[rest]]),
                int((own > 0).sum()) == 1,
                False,
            )
    m, k = len(members), len(others)
    share = m / max(1, m + k)
    weights, chances = np.full(k, 1 / max(1, k)), (np.full(m, share), np.full(k, share))
    return Reference(members, others, weights, chances, True, everybody)
