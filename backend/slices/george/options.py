"""What GEORGE's steps share: its options, samples of rows, cluster numbers without gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Options:
    """The options of ``george_clusters``, checked."""

    n_groups: int
    reduction: str
    n_components: int
    normalize: bool
    center: bool
    clusterer: str
    max_k: int
    restarts: int
    overcluster: bool
    max_silhouette: int
    max_fit: int
    seed: int


def sample(rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """At most so many of the rows, ascending."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def compact(clusters: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clusters renumbered 0.. without gaps, and the numbers they had."""
    used, compact = np.unique(clusters, return_inverse=True)
    return compact.astype(np.int64), used.astype(np.int64)
