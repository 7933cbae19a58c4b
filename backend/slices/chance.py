"""Whether losses are higher where groups are, for several groups at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.core.max_t import max_t
from backend.core.progress import Progress, ignore_progress

_LEAST_EFFECTIVE = 4.0


def p_of_groups(
    weights: NDArray[np.float64],
    losses: NDArray[np.float64],
    strata: NDArray[np.int64],
    shuffles: int,
    random: np.random.Generator,
    *,
    units: NDArray[np.int64] | None = None,
    progress: Progress = ignore_progress,
) -> NDArray[np.float64]:
    """One-sided p of each group, corrected for their number by the largest z of each shuffle.

    Parameters
    ----------
    weights : float array of shape (r, m)
        Fixed before these losses were looked at.
    losses : float array of shape (m,)
    strata : int array of shape (m,)
        Losses are shuffled within these.
    shuffles : int
    random : numpy Generator
    units : int array of shape (m,), optional
        Rows of one unit and stratum count as one: their mean residual is shuffled.
    progress : Progress

    Returns
    -------
    float array of shape (r,)
        ``(1 + b) / (1 + shuffles)``; NaN for groups with an effective size below 4 or no variance.
    """
    _, codes, counts = np.unique(strata, return_inverse=True, return_counts=True)
    residuals = losses - (np.bincount(codes, weights=losses) / counts)[codes]
    if units is not None:
        weights, residuals, codes = _joined(weights, residuals, codes, units)
        counts = np.bincount(codes)
    variances = (np.bincount(codes, weights=residuals**2) / counts)[codes]
    squares = np.square(weights).sum(axis=1)
    spread = np.sqrt(np.square(weights) @ variances)
    usable = (weights.sum(axis=1) ** 2 >= _LEAST_EFFECTIVE * squares) & (squares > 0) & (spread > 0)
    p = np.full(len(weights), np.nan)
    if not usable.any():
        return p
    scaled = weights[usable] / spread[usable, None]
    p[usable] = max_t(
        lambda orders: scaled @ residuals[orders].T, codes, shuffles, random, progress=progress
    ).p
    return p


def _joined(
    weights: NDArray[np.float64],
    residuals: NDArray[np.float64],
    codes: NDArray[np.int64],
    units: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Summed weights, mean residual and stratum of the rows of each unit in each stratum."""
    pairs = np.unique(units, return_inverse=True)[1] * (int(codes.max()) + 1) + codes
    _, firsts, cells = np.unique(pairs, return_index=True, return_inverse=True)
    means = np.bincount(cells, weights=residuals) / np.bincount(cells)
    joined = np.zeros((len(weights), len(firsts)))
    for row, own_weights in zip(joined, weights, strict=True):
        row += np.bincount(cells, own_weights)
    # Means of units need not have the mean 0 of their rows.
    own = codes[firsts]
    means -= (np.bincount(own, weights=means) / np.maximum(np.bincount(own), 1))[own]
    return joined, means, own
