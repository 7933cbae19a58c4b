"""Which rows to draw when not all of them fit, and random samples to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError


@dataclass(frozen=True)
class MapSample:
    """Rows drawn on the map.

    ``rows`` (k,) ascending; ``n`` rows exist; ``kept`` (k,) tells the rows that were asked for;
    ``kept_all`` is False when even those exceeded the budget.
    """

    rows: NDArray[np.int64]
    kept: NDArray[np.bool_]
    n: int
    kept_all: bool

    @property
    def complete(self) -> bool:
        return len(self.rows) == self.n


def sample_for_map(n: int, keep: NDArray[Any], *, budget: int = 20_000, seed: int = 0) -> MapSample:
    """At most ``budget`` of ``n`` rows: every row of ``keep``, the rest drawn uniformly.

    ``keep`` is in order of importance; when it alone exceeds the budget its first rows are taken.
    Same arguments, same rows.
    """
    if n < 1 or budget < 1:
        raise InputError(f"n and budget must be at least 1: got {n} and {budget}.")
    keep = np.asarray(keep, dtype=np.int64)
    first = np.sort(np.unique(keep, return_index=True)[1])
    wanted = keep[first]
    chosen = wanted[:budget]
    taken = np.zeros(n, dtype=bool)
    taken[chosen] = True
    kept = taken.copy()
    if n <= budget:
        taken[:] = True
    else:
        rest = np.flatnonzero(~taken)
        drawn = np.random.default_rng(seed).choice(rest, budget - len(chosen), replace=False)
        taken[drawn] = True
    rows = np.flatnonzero(taken)
    return MapSample(rows, kept[rows], n, len(chosen) == len(wanted))


def random_rows(
    n: int, size: int, *, seed: int = 0, among: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """``size`` rows drawn without replacement from ``n`` (or from ``among``), in drawn order.

    When fewer exist, all of them.
    """
    pool = np.arange(n) if among is None else np.asarray(among, dtype=np.int64)
    return np.random.default_rng(seed).permutation(pool)[: max(0, int(size))]
