"""Principal axes, found and applied in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

_BLOCK_VALUES = 2**22
_DIRECT = 2048
"""Largest covariance that is decomposed, and most rows that are decomposed in its place."""


@dataclass(frozen=True)
class Axes:
    """Centre, turn and scale: ``apply`` has mean 0 and mean squared row norm near 1.

    ``mean`` (d,), ``axes`` (k, d) orthonormal rows by falling variance, ``scale`` the root of the
    summed variance along them.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    scale: float

    def apply(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Coordinates (m, k) of the rows of ``values`` (m, d)."""
        made = np.empty((len(values), len(self.axes)))
        for start, block in _blocks(values):
            made[start : start + len(block)] = (block - self.mean) @ self.axes.T
        made /= self.scale
        return made


def principal_axes(values: NDArray[Any], k: int, *, seed: int = 0) -> Axes:
    """The first ``min(k, n, d)`` principal axes of ``values`` (n, d).

    Exact where the smaller of ``n`` and ``d`` is at most 2048; beyond, those of a seeded sample of
    2048 rows. Signs are fixed by making the entry of
    largest magnitude positive.
    """
    n, d = values.shape
    mean = sum((block.sum(axis=0) for _, block in _blocks(values)), np.zeros(d)) / n
    k = min(k, n, d)
    if d < n and d <= _DIRECT:
        covariance = np.zeros((d, d))
        for _, block in _blocks(values):
            centred = block - mean
            covariance += centred.T @ centred
        covariance /= n
        variances, columns = scipy.linalg.eigh(covariance, subset_by_index=(d - k, d - 1))
        variances, axes = variances[::-1], columns.T[::-1]
    else:
        rows = np.sort(np.random.default_rng(seed).permutation(n)[:_DIRECT])
        sample = values[rows].astype(np.float64) - mean
        _, singular, right = scipy.linalg.svd(sample, full_matrices=False)
        k = min(k, len(singular))
        variances, axes = np.square(singular[:k]) / len(rows), right[:k]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    axes = axes * np.where(largest < 0, -1.0, 1.0)
    scale = float(np.sqrt(max(variances.sum(), 0.0)))
    # Rounding leaves a trace of variance where all rows are equal.
    flat = scale <= 1e-7 * max(float(np.abs(mean).max()), np.finfo(np.float64).tiny)
    return Axes(mean, np.ascontiguousarray(axes), 1.0 if flat or scale == 0 else scale)


def _blocks(values: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    step = max(1, _BLOCK_VALUES // values.shape[1])
    for start in range(0, len(values), step):
        yield start, np.asarray(values[start : start + step], dtype=np.float64)
