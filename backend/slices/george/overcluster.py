"""Overclustering: every cluster is split, and pieces that do not earn their keep go back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from backend.slices.george.options import Options, compact, sample
from backend.slices.george.silhouette import silhouettes
from backend.slices.methods import PIECES

_KEEP_SHARE, _KEEP_ROWS = 0.005, 25


def overcluster_class(
    points: NDArray[np.float64],
    losses: NDArray[np.float64],
    clusters: NDArray[np.int64],
    assign: Callable[[NDArray[np.float64]], NDArray[np.int64]],
    n: int,
    options: Options,
) -> tuple[Callable[[NDArray[np.float64]], NDArray[np.int64]], NDArray[np.int64]]:
    """Clusters after splitting each in 5 and merging back what does not earn its keep."""
    splits: dict[int, Any] = {}
    pieces = clusters * PIECES
    for cluster in range(int(clusters.max()) + 1):
        rows = np.flatnonzero(clusters == cluster)
        parts = min(PIECES, len(np.unique(points[rows].round(12), axis=0)))
        if parts >= 2:
            model = KMeans(parts, n_init=options.restarts, random_state=options.seed)
            splits[cluster] = model.fit(points[rows])
            pieces[rows] += splits[cluster].labels_
    seen = sample(np.arange(len(points)), options.max_silhouette, options.seed)
    numbered = [compact(part[seen])[0] for part in (clusters, pieces)]
    before, after = silhouettes(points[seen], numbered)
    # Samples stand for the class: a piece must hold its share of them.
    least = max(_KEEP_SHARE * n, _KEEP_ROWS) * len(points) / n
    kept: list[int] = []
    for piece in np.unique(pieces).tolist():
        rows, held = np.flatnonzero(pieces == piece), pieces[seen] == piece
        parent = clusters == piece // PIECES
        if piece // PIECES in splits and len(rows) >= least and held.any():
            better = after[held].mean() > max(before[held].mean(), 0.0)
            if better and losses[rows].mean() >= losses[parent].mean():
                kept.append(piece)
    final, used = compact(np.where(np.isin(pieces, kept), pieces, -1 - clusters))
    return partial(_predict_split, assign, splits, used), final


def _predict_split(
    assign: Callable[[NDArray[np.float64]], NDArray[np.int64]],
    splits: dict[int, Any],
    used: NDArray[np.int64],
    points: NDArray[np.float64],
) -> NDArray[np.int64]:
    clusters = assign(points)
    pieces = clusters * PIECES
    for cluster, model in splits.items():
        rows = np.flatnonzero(clusters == cluster)
        if len(rows):
            pieces[rows] += model.predict(points[rows])
    wanted = np.where(np.isin(pieces, used), pieces, -1 - clusters)
    # A parent that was used up by its pieces takes nobody: the first cluster does, as above.
    at = np.searchsorted(used, wanted).clip(max=len(used) - 1)
    return np.where(used[at] == wanted, at, 0).astype(np.int64)
