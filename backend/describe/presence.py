"""Which examples hold which things, and how that compares between a group and its baseline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.core.groups import SMALL
from backend.describe.chance import fisher_p, stratified_p
from backend.describe.comparison import ANOTHER, Comparison

Codes = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Presence:
    """``n`` examples, each with the set of things it holds.

    Attributes
    ----------
    starts : int array of shape (n + 1,)
        Things of example i are ``codes[starts[i]:starts[i + 1]]``.
    codes : int array
        Each in 0 .. n_things - 1, none twice in one example.
    n_things : int
    """

    starts: NDArray[np.int64]
    codes: Codes
    n_things: int

    @classmethod
    def single(cls, codes: Codes, n_things: int) -> Presence:
        """Every example holds exactly one thing."""
        return cls(np.arange(len(codes) + 1), codes, n_things)

    @property
    def n(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def count(self) -> NDArray[np.int64]:
        """Examples that hold each thing, shape (n_things,)."""
        return np.bincount(self.codes, minlength=self.n_things)

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    def holders(self, thing: int) -> NDArray[np.int64]:
        """Rows of the examples that hold one thing, ascending."""
        places = np.flatnonzero(self.codes == thing)
        return np.searchsorted(self.starts, places, side="right") - 1

    def sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """``values`` (n,) summed over the holders of each thing."""
        repeated = np.repeat(values, self._lengths)
        summed = np.bincount(self.codes, weights=repeated, minlength=self.n_things)
        return summed.astype(np.float64)  # of no codes, bincount counts in whole numbers

    def counts(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Holders of each thing among the examples in ``mask``."""
        held = np.asarray(self.codes)[np.repeat(mask, self._lengths)]
        return np.bincount(held, minlength=self.n_things)

    def tally(self, comparison: Comparison, *, lacking: bool = False) -> pd.DataFrame:
        """Columns ``group_share``, ``base_share``, ``count``, ``group_count``, ``small``, ``p``.

        One row per thing, in the order of codes. Shares are sums of weights over holders;
        ``count`` and ``group_count`` are holders among all and among members; ``small`` marks
        fewer than 30 of all. ``p`` is Fisher's, one-sided (``backend.describe.chance``), for
        ``same label`` over several labels a bound on it. ``lacking`` asks how likely so few holders
        are by chance, in place of so many.
        """
        inside = self.counts(comparison.members)
        size, n = comparison.n_members, comparison.n
        # A sum of shares may round to 1 + 1e-16.
        group = inside / size if comparison.sharp else np.minimum(self.sums(comparison.shares), 1.0)
        if comparison.baseline == "all":
            base = self.count / n
        elif comparison.baseline == "rest":
            base = (self.count - inside) / (n - size)
        else:
            base = np.minimum(self.sums(comparison.base), 1.0)
        return pd.DataFrame(
            {
                "group_share": group,
                "base_share": base,
                "count": self.count,
                "group_count": inside,
                "small": self.count < SMALL,
                "p": self._p(comparison, inside, lacking),
            }
        )

    def _p(
        self, comparison: Comparison, inside: NDArray[np.int64], lacking: bool
    ) -> NDArray[np.float64]:
        size = comparison.n_members
        labels = np.unique(comparison.strata[comparison.members])
        if lacking:  # few holders are many examples that do not hold it
            inside = size - inside
        if comparison.baseline not in ("same label", ANOTHER):
            count = comparison.n - self.count if lacking else self.count
            return fisher_p(inside, size, count, comparison.n)
        if len(labels) == 1:
            own = comparison.strata == labels[0]
            n, count = int(own.sum()), self.counts(own)
            return fisher_p(inside, size, n - count if lacking else count, n)
        drawn = np.bincount(comparison.strata, weights=comparison.members)
        chance = (drawn / np.bincount(comparison.strata))[comparison.strata]
        expected, count = self.sums(chance), self.count
        if lacking:
            expected, count = size - expected, comparison.n - count
        return stratified_p(inside, size, count, expected)
