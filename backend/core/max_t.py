"""Is the best of many candidates better than shuffled values would make it? The max-T test.

Which values a candidate is given is left to chance, within strata; the largest statistic over all
candidates, shuffle by shuffle, is what choosing among them achieves when nothing is there. Comparing
each candidate with these maxima pays for the choice (Westfall and Young, Resampling-Based Multiple
Testing, Wiley 1993).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.core.progress import Progress, ignore_progress

Statistic = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""From ``c`` orders of the values, (c, m), to statistics (k, c): place i takes the value order[i]."""

# Numbers of orders held at once.
_AT_ONCE = 2**21
# Rounding must not decide a tie: where values are equal, many shuffles are the same.
_TIE = 1e-9


@dataclass(frozen=True)
class MaxT:
    """A test of ``k`` candidates by ``B`` shuffles.

    Parameters
    ----------
    z : float64 array of shape (k,)
        Statistic of each candidate on the values as they are; -inf where it could not be tested.
    null : float64 array of shape (B,)
        Largest statistic over the candidates, per shuffle.
    """

    z: NDArray[np.float64]
    null: NDArray[np.float64]

    @property
    def p(self) -> NDArray[np.float64]:
        """(k,) ``(1 + #{null >= z}) / (1 + B)``; NaN for candidates that could not be tested."""
        tested = np.isfinite(self.z)
        z = np.where(tested, self.z, 0.0)
        below = np.searchsorted(np.sort(self.null), z - _TIE * np.maximum(np.abs(z), 1))
        return np.where(tested, (1 + len(self.null) - below) / (1 + len(self.null)), np.nan)


def max_t(
    statistic: Statistic,
    strata: NDArray[np.int64],
    n_shuffles: int,
    generator: np.random.Generator,
    *,
    at_once: int | None = None,
    progress: Progress = ignore_progress,
) -> MaxT:
    """Compare each candidate with the best of all candidates on shuffled values.

    Parameters
    ----------
    statistic : callable
        See ``Statistic``; larger is more extreme. The order of the values as they are comes first,
        once. -inf for a candidate that cannot be tested.
    strata : int array of shape (m,)
        Values are shuffled within these, so that what differs between strata counts for nothing.
    n_shuffles : int
    generator : numpy.random.Generator
    at_once : int, optional
        Shuffles that ``statistic`` is given in one call; as many as memory likes by default.
    progress : Progress

    Returns
    -------
    MaxT
    """
    step = max(1, _AT_ONCE // max(len(strata), 1)) if at_once is None else at_once
    z, null = np.empty(0), np.full(n_shuffles, -np.inf)
    done = 0
    for orders in _orders(strata, n_shuffles, step, generator):
        progress(done / max(n_shuffles, 1), f"Comparing with {n_shuffles} shuffles of the losses")
        values = statistic(orders)
        if not done:
            z, values = values[:, 0], values[:, 1:]
        null[done : done + values.shape[1]] = values.max(axis=0, initial=-np.inf)
        done += values.shape[1]
    return MaxT(z, null)


def _orders(
    strata: NDArray[np.int64], count: int, step: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """The order as it is and ``count`` shuffles of it within strata, ``step`` shuffles at a time."""
    rows = np.argsort(strata, kind="stable")
    ends = np.flatnonzero(np.diff(strata[rows])) + 1
    blocks = [
        (start, stop)
        for start, stop in zip([0, *ends], [*ends, len(rows)], strict=True)
        if stop - start > 1
    ]
    for first in range(0, max(count, 1), step):
        made = min(step, count - first)
        orders = np.empty((made + (first == 0), len(rows)), np.int64)
        for at, order in enumerate(orders):
            shuffled = rows.copy()
            if first or at:
                for start, stop in blocks:
                    generator.shuffle(shuffled[start:stop])
            order[rows] = shuffled
        yield orders
