"""Principal components of embeddings that are read in blocks of rows.

>>> found = principal_components(embeddings, 2)      # doctest: +SKIP
>>> apply_components(embeddings, found).shape        # doctest: +SKIP
(1000000, 2)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.blocks import row_blocks
from backend.core.progress import Progress, ignore_progress, share_of

DIRECT = 2048
"""Rows of the largest covariance or Gram matrix that is solved where nobody says otherwise."""
_EXTRA = 16
_PASSES = 30
_TOLERANCE = 1e-6
Float = type[np.float32] | type[np.float64]


@dataclass(frozen=True)
class Principal:
    """Principal components.

    Attributes
    ----------
    mean : float64 array of shape (d,)
        What the axes go through.
    axes : float64 array of shape (k, d)
        Orthonormal rows by falling variance, the entry of each that is largest in magnitude being
        positive; rows of 0 beyond as many as there are examples or dimensions.
    deviations : float64 array of shape (k,)
        Root of the variance along each axis, in the units of the embeddings.
    explained : float64 array of shape (k,)
        Shares of the whole variance, all 0 where there is none.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    deviations: NDArray[np.float64]
    explained: NDArray[np.float64]


def principal_components(
    values: NDArray[Any],
    k: int,
    *,
    rows: NDArray[np.int64] | None = None,
    center: NDArray[np.float64] | None = None,
    dtype: Float = np.float32,
    direct: int = DIRECT,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> Principal:
    """The first ``k`` principal components.

    Rows are centred, and their products summed over blocks in float64. Where the smaller of
    covariance and Gram matrix has at most ``direct`` rows it is solved exactly; beyond, block power
    iteration runs from a seeded start until the variance it finds is stable to 1e-6, at most 30
    passes.

    Parameters
    ----------
    values : float array of shape (n, d)
        Finite; as ``row_blocks`` takes them.
    k : int
    rows : int array, optional
        Ascending: the components of these rows only.
    center : float64 array of shape (d,), optional
        Taken for the mean of the rows.
    dtype : float32 or float64
        Of the products within a block.
    direct : int
    seed : int
        Of the start of the iteration.
    progress : Progress
    """
    mean, scale = mean_and_scale(values, rows, progress=share_of(progress, 0, 0.1))
    source = _Centred(values, rows, mean if center is None else center, scale, dtype)
    n, d = len(source), len(mean)
    later = share_of(progress, 0.1, 1)
    found = min(k, n, d)
    if min(n, d) > direct:
        sums, axes, total = _power_iteration(source, found, seed, later)
    elif d <= n:
        covariance = np.zeros((d, d))
        for start, block in source:
            covariance += block.T @ block
            later(start / n, "Finding principal axes")
        sums, axes = _top_eigen(covariance, found)
        total = float(np.trace(covariance))
    else:
        whole = np.concatenate([block for _, block in source])
        gram = (whole @ whole.T).astype(np.float64)
        sums, left = _top_eigen(gram, found)
        axes = np.linalg.qr((left @ whole).T.astype(np.float64))[0].T
        total = float(np.trace(gram))
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    padded, held = np.zeros((k, d)), np.zeros(k)
    padded[:found] = axes * np.where(largest < 0, -1.0, 1.0)
    held[:found] = np.clip(sums, 0, None)
    explained = held / total if total > 0 else np.zeros(k)
    return Principal(source.mean, padded, scale * np.sqrt(held / n), explained)


def apply_components(
    values: NDArray[Any],
    found: Principal,
    *,
    dtype: Float = np.float32,
    progress: Progress = ignore_progress,
) -> NDArray[Any]:
    """Coordinates of every row along the components, (n, k), in ``dtype``."""
    n = len(values)
    placed = np.empty((n, len(found.axes)), dtype=dtype)
    axes = found.axes.T.astype(dtype)
    for start, block in _Centred(values, None, found.mean, 1.0, dtype):
        placed[start : start + len(block)] = block @ axes
        progress(start / n, "Placing the examples")
    progress(1.0, "Placing the examples")
    return placed


def mean_and_scale(
    values: NDArray[Any],
    rows: NDArray[np.int64] | None = None,
    *,
    progress: Progress = ignore_progress,
) -> tuple[NDArray[np.float64], float]:
    """Mean (d,), and the largest distance from it along any dimension, 1 where all rows are equal."""
    n, d = len(values) if rows is None else len(rows), values.shape[1]
    total = np.zeros(d)
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    for start, block in row_blocks(values, rows):
        if block.dtype.itemsize < 4:  # numpy compares half floats one by one
            block = block.astype(np.float32)
        total += block.sum(axis=0, dtype=np.float64)
        low = np.minimum(low, block.min(axis=0))
        high = np.maximum(high, block.max(axis=0))
        progress(start / n, "Reading embeddings")
    mean = total / n
    # Rounding of the mean alone must not look like variance.
    mean = np.where(low == high, low, mean)
    return mean, float(max(np.max(high - mean), np.max(mean - low))) or 1.0


@dataclass(frozen=True)
class _Centred:
    """Blocks of ``(values - mean) / scale`` in ``dtype``, as often as they are asked for.

    The difference is taken in float64 where ``dtype`` would lose it.
    """

    values: NDArray[Any]
    rows: NDArray[np.int64] | None
    mean: NDArray[np.float64]
    scale: float
    dtype: Float

    def __len__(self) -> int:
        return len(self.values) if self.rows is None else len(self.rows)

    def __iter__(self) -> Iterator[tuple[int, NDArray[Any]]]:
        for start, block in row_blocks(self.values, self.rows):
            exact = np.float64 if block.dtype.itemsize > 4 else self.dtype
            centred = block.astype(exact) - self.mean.astype(exact)
            if self.scale != 1.0:
                centred /= exact(self.scale)
            yield start, centred.astype(self.dtype, copy=False)


def _top_eigen(matrix: NDArray[Any], k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ``k`` largest eigenvalues, descending, and their vectors as rows."""
    from scipy.linalg import eigh  # checking options need not wait for scipy

    size = len(matrix)
    values, vectors = eigh(matrix, subset_by_index=(size - k, size - 1))
    return values[::-1], vectors[:, ::-1].T


def _power_iteration(
    source: _Centred, k: int, seed: int, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Top sums of squares, axes and the whole sum, without a (d, d) or (n, n) matrix."""
    n, d = len(source), len(source.mean)
    basis = np.random.default_rng(seed).standard_normal((d, min(k + _EXTRA, d)))
    known = np.zeros(k)
    for turn in range(_PASSES):
        basis = np.linalg.qr(basis)[0]
        small = basis.astype(source.dtype)
        image = np.zeros_like(basis)
        total = 0.0
        for start, block in source:
            image += block.T @ (block @ small)
            total += float(np.einsum("ij,ij->", block, block, dtype=np.float64))
            progress((turn + start / n) / _PASSES, "Finding principal axes")
        inner, rotation = np.linalg.eigh(basis.T @ image)
        sums = inner[::-1][:k]
        axes = (basis @ rotation[:, ::-1][:, :k]).T
        if np.all(np.abs(sums - known) <= _TOLERANCE * max(sums[0], 0.0)):
            break
        known, basis = sums, image
    return sums, axes, total
