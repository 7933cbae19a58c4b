"""Whether losses are higher where groups are, for several groups at once: a permutation test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.core.progress import Progress, ignore_progress

_LEAST_EFFECTIVE = 4.0


def max_t(
    weights: NDArray[np.float64],
    losses: NDArray[np.float64],
    strata: NDArray[np.int64],
    shuffles: int,
    random: np.random.Generator,
    *,
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
    progress : Progress

    Returns
    -------
    float array of shape (r,)
        ``(1 + b) / (1 + shuffles)``; NaN for groups with an effective size below 4 or no variance.
    """
    _, codes, counts = np.unique(strata, return_inverse=True, return_counts=True)
    residuals = losses - (np.bincount(codes, weights=losses) / counts)[codes]
    variances = (np.bincount(codes, weights=residuals**2) / counts)[codes]
    squares = np.square(weights).sum(axis=1)
    spread = np.sqrt(np.square(weights) @ variances)
    usable = (weights.sum(axis=1) ** 2 >= _LEAST_EFFECTIVE * squares) & (squares > 0) & (spread > 0)
    p = np.full(len(weights), np.nan)
    if not usable.any():
        return p
    scaled = weights[usable] / spread[usable, None]
    order = np.argsort(codes, kind="stable")
    scaled, ordered, codes = scaled[:, order], residuals[order], codes[order]
    z = scaled @ ordered
    reached = np.zeros(len(z))
    for shuffle in range(shuffles):
        progress(shuffle / shuffles, "Shuffling losses")
        # Sorting random numbers within strata shuffles each stratum by itself.
        shuffled = ordered[np.lexsort((random.random(len(codes)), codes))]
        # Rounding must not decide a tie: with equal losses every shuffle is the same.
        reached += (scaled @ shuffled).max() >= z - 1e-9 * np.maximum(np.abs(z), 1)
    p[usable] = (1 + reached) / (1 + shuffles)
    return p
