"""Is one side's mean loss higher? A studentised permutation test within strata.

The statistic is Welch's difference over its standard error. Losses have heavy tails and groups are
small, so its distribution is not taken from a table but from permutations of who matches, each
with a standard error of its own. It is exact when matching and other losses are alike, and right in
the limit when only their means are (Chung, Romano 2013). Far from that limit, where 20 matching
losses are spread three times as wide as the others, permutations alone err twice as often as they
say and Welch's t does not; where losses are skewed it is the other way around. p is therefore the
larger of the two, and the interval holds both: it excludes 0 exactly when p is at most the level. A
variance is never taken to be below that of all losses over the number of examples, so that a
handful of equal losses does not look like certainty.

References
----------
Welch, The generalization of Student's problem, Biometrika 34 (1947).
Janssen, Studentized permutation tests for non-iid hypotheses, Stat. Probab. Lett. 36 (1997).
Chung, Romano, Exact and asymptotically robust permutation tests, Ann. Statist. 41 (2013).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

_DRAWS = 30_000_000
_FEWEST = 499

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Mean losses of the matching and the others, their difference, its interval and p."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float


class StratifiedLosses:
    """Losses by stratum, and the statistic for any choice of who matches.

    ``n1``, ``n0`` (s,) sizes of the sides; ``small`` (s,) the lesser of the two: drawing the
    smaller side is enough, the other follows from the totals.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self._values: list[Floats] = []
        self._first: list[Mask] = []
        self._center = float(table["loss"].mean())
        for _, part in table.groupby("stratum", sort=True):
            first = part["match"].to_numpy()
            if first.any() and not first.all():
                self._values.append(part["loss"].to_numpy() - self._center)
                self._first.append(first)
        self.n1 = np.array([first.sum() for first in self._first], dtype=np.float64)
        self.n0 = np.array([(~first).sum() for first in self._first], dtype=np.float64)
        self.small = np.minimum(self.n1, self.n0)
        self._share = self.n1 / self.n1.sum()
        self._sums = np.array([values.sum() for values in self._values])
        self._squares = np.array([values @ values for values in self._values])
        n = self.n1 + self.n0
        self._variance = np.maximum(0.0, self._squares - self._sums**2 / n) / (n - 1)

    def affordable(self, permutations: int) -> int:
        """How many permutations are made of those asked for: fewer where both sides are large."""
        return min(permutations, max(_FEWEST, _DRAWS // max(1, int(self.small.sum()))))

    def test(self, random: np.random.Generator, permutations: int, level: float) -> Difference:
        """The difference of the means, against its permutations and Welch's t."""
        pairs = list(zip(self._values, self._first, strict=True))
        sums = np.array([[v[f].sum(), v[f] @ v[f]] for v, f in pairs])
        means1, means0, difference, parts = self._measure(sums[:, 0], sums[:, 1])
        error = math.sqrt(float(parts.sum()))
        first = float(self._center + self._share @ means1)
        second = float(self._center + self._share @ means0)
        if error == 0:  # all losses are equal
            return Difference(first, second, 0.0, 0.0, 0.0, 1.0)
        observed = difference / error
        null = np.sort([self._permuted(random) for _ in range(permutations)])
        # Sums are made in another order than the observed one: equal means equal up to rounding.
        slack = 1e-9 * max(1.0, abs(observed))
        above = int((null >= observed - slack).sum())
        below = int((null <= observed + slack).sum())
        p = 2 * (1 + min(above, below)) / (1 + permutations)
        at = max(1, math.floor(level / 2 * (permutations + 1)))
        freedom = self._freedom(parts)
        student = float(special.stdtrit(freedom, 1 - level / 2))
        upper, lower = max(student, null[permutations - at]), min(-student, null[at - 1])
        p = min(1.0, max(p, 2 * float(special.stdtr(freedom, -abs(observed)))))
        return Difference(
            first,
            second,
            float(difference),
            float(difference - upper * error),
            float(difference - lower * error),
            p,
        )

    def _permuted(self, random: np.random.Generator) -> float:
        sums, squares = np.empty(len(self._values)), np.empty(len(self._values))
        for at, values in enumerate(self._values):
            rows = random.choice(len(values), int(self.small[at]), replace=False, shuffle=False)
            drawn = values[rows]
            total, square = drawn.sum(), drawn @ drawn
            if self.n0[at] < self.n1[at]:  # the others were drawn
                total, square = self._sums[at] - total, self._squares[at] - square
            sums[at], squares[at] = total, square
        _, _, difference, parts = self._measure(sums, squares)
        return difference / math.sqrt(float(parts.sum()))

    def _measure(self, sums: Floats, squares: Floats) -> tuple[Floats, Floats, float, Floats]:
        """Means of both sides per stratum, the weighted difference, and its variance in parts.

        The parts (2, s) belong to the sides of the strata.
        """
        means1, means0 = sums / self.n1, (self._sums - sums) / self.n0
        spread1 = self._spread(squares - sums * means1, self.n1)
        other = self._squares - squares - (self._sums - sums) * means0
        spread0 = self._spread(other, self.n0)
        parts = self._share**2 * np.array([spread1 / self.n1, spread0 / self.n0])
        return means1, means0, float(self._share @ (means1 - means0)), parts

    def _freedom(self, parts: Floats) -> float:
        """Welch's and Satterthwaite's degrees of freedom."""
        shares = parts / parts.sum()
        return float(1 / (shares**2 / np.maximum([self.n1 - 1, self.n0 - 1], 1)).sum())

    def _spread(self, squares: Floats, n: Floats) -> Floats:
        return np.maximum(squares / np.maximum(n - 1, 1), self._variance / n)
