"""What a map is, and principal components: read in blocks, in the precision of the embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from backend.core.progress import Progress, ignore_progress, share_of

# A block is read as fast as it is multiplied, so one thread is enough; two that wait for each other
# on a busy machine were measured to take ten times the processor time.
_BLOCK_VALUES = 2**22
_DIRECT = 2048
_EXTRA = 16
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Projection:
    """A map.

    Attributes
    ----------
    xy : float32 array of shape (n, 2)
    sampled : int or None
        How many examples were laid out themselves, when the rest was placed among them.
    explained : tuple of two floats, or None
        Share of the variance along each axis, for PCA. None where there is no variance, or the
        axes are not principal ones.
    note : str
        What the map shows and what it does not, as a sentence for the page.
    """

    xy: NDArray[np.float32] = field(repr=False)
    sampled: int | None
    explained: tuple[float, float] | None
    note: str


@dataclass(frozen=True)
class Principal:
    """Principal components of the embeddings.

    ``mean`` (d,); ``axes`` (k, d) orthonormal rows, the entry of each that is largest in magnitude
    being positive; ``explained`` (k,) shares of the variance, all 0 where there is none.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    explained: NDArray[np.float64]


@threadpool_limits.wrap(limits=1, user_api="blas")  # see _BLOCK_VALUES
def principal_components(
    values: NDArray[Any], k: int, *, seed: int = 0, progress: Progress = ignore_progress
) -> Principal:
    """The first ``k`` principal components, read in blocks of rows.

    Products are float32 with float64 sums, over centred rows. With up to 2048 dimensions or
    examples the smaller of covariance and Gram matrix is solved exactly; beyond, block power
    iteration runs from a seeded start until the variance it finds is stable to 1e-6, at most 30
    passes. ``k`` is reduced to ``min(n, d)`` by padding with zero axes.

    Parameters
    ----------
    values : float array of shape (n, d)
        Finite.
    k : int
    seed : int
        Of the start of the iteration.
    progress : Progress
    """
    n, d = values.shape
    mean, scale = _mean_and_scale(values, progress)
    found = min(k, n, d)
    later = share_of(progress, 0.1, 1)
    if d <= _DIRECT:
        covariance = np.zeros((d, d))
        for start, block in _centred(values, mean, scale):
            covariance += block.T @ block
            later(start / n, "Finding principal axes")
        variances, axes = _top_eigen(covariance, found)
        total = float(np.trace(covariance))
    elif n <= _DIRECT:
        block = np.concatenate([block for _, block in _centred(values, mean, scale)])
        gram = (block @ block.T).astype(np.float64)
        variances, left = _top_eigen(gram, found)
        axes = np.linalg.qr((left @ block).T.astype(np.float64))[0].T
        total = float(np.trace(gram))
    else:
        variances, axes, total = _power_iteration(values, mean, scale, found, seed, later)
    axes = axes * np.where(_leading(axes) < 0, -1.0, 1.0)[:, None]
    padded = np.zeros((k, d))
    padded[:found] = axes
    explained = np.zeros(k)
    if total > 0:
        explained[:found] = np.clip(variances, 0, None) / total
    return Principal(mean, padded, explained)


@threadpool_limits.wrap(limits=1, user_api="blas")
def apply_components(
    values: NDArray[Any], found: Principal, *, progress: Progress = ignore_progress
) -> NDArray[np.float32]:
    """Coordinates of every row along the components, (n, k)."""
    n = len(values)
    placed = np.empty((n, len(found.axes)), dtype=np.float32)
    axes = found.axes.T.astype(np.float32)
    for start, block in _centred(values, found.mean, 1.0):
        placed[start : start + len(block)] = block @ axes
        progress(start / n, "Placing the examples")
    progress(1.0, "Placing the examples")
    return placed


def _mean_and_scale(values: NDArray[Any], progress: Progress) -> tuple[NDArray[np.float64], float]:
    """Mean (d,), and the largest distance from it along any dimension, 1 where all rows are equal."""
    n, d = values.shape
    total = np.zeros(d)
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    for start, block in _blocks(values):
        if block.dtype.itemsize < 4:  # numpy compares half floats one by one
            block = block.astype(np.float32)
        total += block.sum(axis=0, dtype=np.float64)
        low = np.minimum(low, block.min(axis=0))
        high = np.maximum(high, block.max(axis=0))
        progress(0.1 * start / n, "Reading embeddings")
    mean = total / n
    # Rounding of the mean alone must not look like variance.
    mean = np.where(low == high, low, mean)
    return mean, float(max(np.max(high - mean), np.max(mean - low))) or 1.0


def _blocks(values: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    step = max(1, _BLOCK_VALUES // values.shape[1])
    for start in range(0, len(values), step):
        yield start, values[start : start + step]


def _centred(
    values: NDArray[Any], mean: NDArray[np.float64], scale: float
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Blocks of ``(values - mean) / scale`` in float32; the difference is taken in float64 where
    float32 would lose it."""
    exact = np.float64 if values.dtype.itemsize > 4 else np.float32
    for start, block in _blocks(values):
        centred = block.astype(exact) - mean.astype(exact)
        if scale != 1.0:
            centred /= exact(scale)
        yield start, centred.astype(np.float32, copy=False)


def _top_eigen(matrix: NDArray[Any], k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ``k`` largest eigenvalues, descending, and their vectors as rows."""
    size = len(matrix)
    values, vectors = scipy.linalg.eigh(matrix, subset_by_index=(size - k, size - 1))
    return values[::-1], vectors[:, ::-1].T


def _power_iteration(
    values: NDArray[Any],
    mean: NDArray[np.float64],
    scale: float,
    k: int,
    seed: int,
    progress: Progress,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Top variances, axes and the total variance, without a (d, d) or (n, n) matrix."""
    n, d = values.shape
    basis = np.random.default_rng(seed).standard_normal((d, k + _EXTRA))
    known = np.zeros(k)
    for turn in range(30):
        basis = np.linalg.qr(basis)[0]
        small = basis.astype(np.float32)
        image = np.zeros((d, k + _EXTRA))
        total = 0.0
        for start, block in _centred(values, mean, scale):
            image += block.T @ (block @ small)
            total += float(np.einsum("ij,ij->", block, block, dtype=np.float64))
            progress((turn + start / n) / 30, "Finding principal axes")
        inner, rotation = np.linalg.eigh(basis.T @ image)
        variances = inner[::-1][:k]
        axes = (basis @ rotation[:, ::-1][:, :k]).T
        if np.all(np.abs(variances - known) <= _TOLERANCE * max(variances[0], 0.0)):
            break
        known, basis = variances, image
    return variances, axes, total


def _leading(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row the entry that is largest in magnitude; the first one on a tie."""
    return np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)[:, 0]
