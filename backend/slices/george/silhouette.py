"""How well clusters separate: silhouettes of several clusterings from one pass over distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

_BLOCK_VALUES = 2**21


def silhouettes(
    points: NDArray[Any], clusterings: Sequence[NDArray[np.int64]]
) -> list[NDArray[np.float64]]:
    """Silhouette of each point under each clustering.

    ``(b - a) / max(a, b)``, ``a`` the mean distance to the other members of its own cluster, ``b``
    the smallest mean distance to the members of another. A point alone in its cluster has 0, and
    so have all when there is one cluster only.

    Parameters
    ----------
    points : float array of shape (n, d)
    clusterings : sequence of int arrays of shape (n,)
        Cluster numbers 0..k-1, each in use.

    Notes
    -----
    Distances are computed once for all clusterings, in blocks of rows: O(n^2 d) time, O(n) memory.

    References
    ----------
    Rousseeuw, Silhouettes: a graphical aid to the interpretation and validation of cluster
    analysis, Journal of Computational and Applied Mathematics 20, 1987.
    """
    n = len(points)
    sizes = [np.bincount(clusters) for clusters in clusterings]
    member = [
        np.eye(len(size))[clusters] for size, clusters in zip(sizes, clusterings, strict=True)
    ]
    borders = np.cumsum([0, *(len(size) for size in sizes)])
    every = np.hstack(member)
    made = [np.zeros(n) for _ in clusterings]
    step = max(1, _BLOCK_VALUES // n)
    for start in range(0, n, step):
        sums = cdist(points[start : start + step], points) @ every
        for index, (size, clusters) in enumerate(zip(sizes, clusterings, strict=True)):
            if len(size) < 2:
                continue
            part = sums[:, borders[index] : borders[index + 1]]
            own = clusters[start : start + step]
            at = np.arange(len(own))
            alone = size[own] == 1
            inside = part[at, own] / np.maximum(size[own] - 1, 1)
            means = part / size
            means[at, own] = np.inf
            outside = means.min(axis=1)
            widest = np.maximum(inside, outside)
            value = (outside - inside) / np.where(widest > 0, widest, 1.0)
            made[index][start : start + step] = np.where(alone, 0.0, value)
    return made


def separation(clusters: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """Mean over clusters of the mean silhouette of each: small clusters count like large ones.

    Below -1, so worse than any clustering, when there is one cluster only.
    """
    sizes = np.bincount(clusters)
    if len(sizes) < 2:
        return -np.inf
    return float((np.bincount(clusters, weights=values) / sizes).mean())
