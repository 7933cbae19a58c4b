"""The UMAP map. Loading this module takes seconds (numba): only ``project`` imports it, in a worker."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from backend.core.progress import Progress
from backend.projection import Principal, Projection, apply_components, principal_components

with warnings.catch_warnings():
    # umap tells everybody who has no Tensorflow that one of its classes needs it.
    warnings.simplefilter("ignore", ImportWarning)
    from umap import UMAP

_DIMENSIONS = 50
_NEIGHBOURS = 15
_MIN_DISTANCE = 0.1
_PLACED_BY = 5
_BLOCK_ROWS = 8192
_FEWEST = 5


def umap_map(
    values: NDArray[Any],
    losses: NDArray[np.float64] | None,
    *,
    seed: int,
    sample: int,
    progress: Progress,
) -> Projection:
    """Lay out finite ``values`` (n, d), d > 2, as ``project`` says."""
    n, d = values.shape
    progress(0.0, "Finding principal axes")
    found = principal_components(values, min(d, _DIMENSIONS), seed=seed)
    progress(0.1, "Finding principal axes")
    reduced = apply_components(values, found)
    if n < _FEWEST or not found.explained.any():
        return Projection(reduced[:, :2], None, None, "Too few distinct examples for UMAP: PCA.")
    rows = sample_rows(n, sample, losses, seed=seed)
    progress(0.15, f"Laying out {len(rows):,} examples with UMAP; this can take a minute")
    laid = _lay_out(reduced[rows], seed)
    note = _note(found, d)
    if len(rows) == n:
        progress(1.0, "Done")
        return Projection(laid, None, None, note)
    xy = _place(reduced, rows, laid, progress)
    progress(1.0, "Done")
    drawn = "in proportion to their losses" if losses is not None else "uniformly"
    note += (
        f" {len(rows):,} of {n:,} examples, drawn {drawn}, were laid out; each of the others is at "
        f"the mean of its {min(_PLACED_BY, len(rows))} nearest among them."
    )
    return Projection(xy, len(rows), None, note)


def sample_rows(
    n: int, size: int, losses: NDArray[np.float64] | None, *, seed: int
) -> NDArray[np.int64]:
    """``min(n, size)`` rows, ascending.

    With losses, one row from each of ``size`` equal slices of the examples in order of loss: easy
    and hard ones are there in their proportions, and the few hardest are never all missed.
    """
    if n <= size:
        return np.arange(n)
    random = np.random.default_rng(seed)
    if losses is None:
        return np.sort(random.choice(n, size, replace=False))
    order = np.lexsort((random.permutation(n), losses))
    edges = np.linspace(0, n, size + 1).astype(np.int64)
    return np.sort(order[random.integers(edges[:-1], edges[1:])])


def _lay_out(points: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """UMAP of the points from their principal plane, which also keeps the map's orientation."""
    spread = float(np.abs(points[:, :2]).max())
    # Exact neighbours take a second here; umap's own search would first compile for a minute.
    k = min(_NEIGHBOURS, len(points) - 1)
    distances, neighbours = (
        NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points).kneighbors(points)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "precomputed_knn")  # that new points cannot be placed
        layout = UMAP(
            n_neighbors=k,
            min_dist=_MIN_DISTANCE,
            init=(points[:, :2] * (10 / spread)).astype(np.float32),
            precomputed_knn=(neighbours.astype(np.int32), distances.astype(np.float32)),
            random_state=seed,
            n_jobs=1,  # what a seed means to umap; said, it does not warn
        )
        return np.asarray(layout.fit_transform(points), dtype=np.float32)


def _place(
    reduced: NDArray[np.float32],
    rows: NDArray[np.int64],
    laid: NDArray[np.float32],
    progress: Progress,
) -> NDArray[np.float32]:
    """All examples: the sampled ones where they were laid, the others among their nearest."""
    xy = np.empty((len(reduced), 2), dtype=np.float32)
    xy[rows] = laid
    others = np.setdiff1d(np.arange(len(reduced)), rows, assume_unique=True)
    # umap's own transform would optimise every point again, which takes longer than the layout.
    nearest = NearestNeighbors(n_neighbors=min(_PLACED_BY, len(rows)), algorithm="brute")
    nearest.fit(reduced[rows])
    for start in range(0, len(others), _BLOCK_ROWS):
        progress(0.7 + 0.3 * start / len(others), "Placing the other examples")
        block = others[start : start + _BLOCK_ROWS]
        found = nearest.kneighbors(reduced[block], return_distance=False)
        xy[block] = laid[found].mean(axis=1)
    return xy


def _note(found: Principal, d: int) -> str:
    if d <= _DIMENSIONS:
        return "UMAP: neighbours are kept, distances between clusters mean little."
    return (
        f"UMAP of the first {len(found.axes)} principal components "
        f"({found.explained.sum():.0%} of the variance): neighbours are kept, distances between "
        "clusters mean little."
    )
