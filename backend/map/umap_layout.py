"""The UMAP map. Loading this module takes seconds (numba): only ``project`` imports it, in a worker."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors

from backend.core.pca import Principal
from backend.core.progress import Progress, share_of
from backend.core.wording import percent
from backend.map.projection import Projection, on_principal_axes

with warnings.catch_warnings():
    # umap tells everybody who has no Tensorflow that one of its classes needs it.
    warnings.simplefilter("ignore", ImportWarning)
    from umap import UMAP

_DIMENSIONS = 50
_NEIGHBOURS = 15
_MIN_DISTANCE = 0.1
_PLACED_BY = 5
# How far apart on the map examples may lie to place another together, in median distances of a laid
# out example to its fifth nearest. From 2 to 4, placed examples keep their neighbours nearly as well
# as those that were laid out; without a limit, a third as well on data without clusters.
_TOGETHER = 3.0
_BLOCK_ROWS = 4096
_FEWEST = 5
# Seconds on one core that were measured: to read a number, to lay an example out, and to compare
# one with a sampled one. Shares of the progress follow them, so that it moves evenly.
_READ_S, _LAY_S, _COMPARE_S = 1.5e-8, 1e-3, 3.5e-9


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
    rows = sample_rows(n, sample, losses, seed=seed)
    axes, read, laying = _stages(n, d, len(rows))
    k = min(d, _DIMENSIONS)
    found, reduced = on_principal_axes(
        values, k, seed=seed, found_at=axes / read, progress=share_of(progress, 0, read)
    )
    if n < _FEWEST or not found.explained.any():
        progress(1.0, "Done")
        return Projection(reduced[:, :2], None, None, "Too few distinct examples for UMAP: PCA.")
    laid = _lay_out(reduced[rows], seed, share_of(progress, read, laying))
    note = _note(found, d)
    if len(rows) == n:
        progress(1.0, "Done")
        return Projection(laid, None, None, note)
    xy = _place(reduced, rows, laid, share_of(progress, laying, 1))
    progress(1.0, "Done")
    drawn = "in proportion to their losses" if losses is not None else "uniformly"
    note += (
        f" {len(rows):,} of {n:,} examples, drawn {drawn}, were laid out; each of the others "
        "was placed by its nearest among them."
    )
    return Projection(xy, len(rows), None, note)


def _stages(n: int, d: int, sampled: int) -> tuple[float, float, float]:
    """Where axes, coordinates and layout end, as shares of the whole work."""
    seconds = np.array(
        [
            2 * _READ_S * n * d,
            _READ_S * n * d,
            _LAY_S * sampled,
            _COMPARE_S * sampled * (n - sampled),
        ]
    )
    ends = np.cumsum(seconds) / seconds.sum()
    return float(ends[0]), float(ends[1]), float(ends[2])


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


class _Epochs:
    """A stream for umap's progress bar: what the bar writes is reported, and may stop the work."""

    def __init__(self, report: Callable[[float], None]):
        self._report = report

    def write(self, text: str) -> None:
        done, _, total = text.strip().partition("/")
        if done.isdecimal() and total.isdecimal():
            self._report(int(done) / max(1, int(total)))

    def flush(self) -> None:
        """Nothing is kept back."""


def _lay_out(points: NDArray[np.float32], seed: int, progress: Progress) -> NDArray[np.float32]:
    """UMAP of the points from their principal plane, which also keeps the map's orientation."""
    message = f"Laying out {len(points):,} examples with UMAP"
    progress(0.0, "Finding neighbours")
    spread = float(np.abs(points[:, :2]).max())
    # Exact neighbours take a second here; umap's own search would first compile for a minute.
    k = min(_NEIGHBOURS, len(points) - 1)
    distances, neighbours = (
        NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points).kneighbors(points)
    )
    progress(0.0, message)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "precomputed_knn")  # that new points cannot be placed
        layout = UMAP(
            n_neighbors=k,
            min_dist=_MIN_DISTANCE,
            init=(points[:, :2] * (10 / spread)).astype(np.float32),
            precomputed_knn=(neighbours.astype(np.int32), distances.astype(np.float32)),
            random_state=seed,
            n_jobs=1,  # what a seed means to umap; said, it does not warn
            tqdm_kwds={
                "file": _Epochs(partial(progress, message=message)),
                "bar_format": "{n}/{total}",
                "mininterval": 0.1,
                "miniters": 1,
                "disable": False,
            },
        )
        return np.asarray(layout.fit_transform(points), dtype=np.float32)


def _place(
    reduced: NDArray[np.float32],
    rows: NDArray[np.int64],
    laid: NDArray[np.float32],
    progress: Progress,
) -> NDArray[np.float32]:
    """All examples: the sampled ones where they were laid, the others among their nearest.

    A nearer one counts more, by inverse squared distance (Shepard, A two-dimensional interpolation
    function for irregularly-spaced data, 1968). Those that lie apart from the nearest on the map do
    not count: where UMAP tears what hangs together, a mean lies in between, near to neither.
    """
    together = _TOGETHER * float(np.median(cKDTree(laid).query(laid, k=[_PLACED_BY + 1])[0]))
    xy = np.empty((len(reduced), 2), dtype=np.float32)
    xy[rows] = laid
    is_other = np.ones(len(reduced), dtype=bool)
    is_other[rows] = False
    others = np.flatnonzero(is_other)
    message = f"Placing the other {len(others):,} examples"
    # umap's own transform would optimise every point again, which takes longer than the layout.
    nearest = NearestNeighbors(n_neighbors=min(_PLACED_BY, len(rows)), algorithm="brute")
    nearest.fit(reduced[rows])
    for start in range(0, len(others), _BLOCK_ROWS):
        progress(start / len(others), message)
        block = others[start : start + _BLOCK_ROWS]
        distances, found = nearest.kneighbors(reduced[block])
        distances = np.maximum(distances, np.finfo(np.float32).tiny)
        apart = np.linalg.norm(laid[found] - laid[found[:, :1]], axis=2)
        weights = (distances[:, :1] / distances) ** 2 * (apart <= together)
        weights /= weights.sum(axis=1, keepdims=True)
        xy[block] = np.einsum("nk,nkc->nc", weights, laid[found])
    return xy


def _note(found: Principal, d: int) -> str:
    if d <= _DIMENSIONS:
        return "UMAP: neighbours are kept, distances between clusters mean little."
    return (
        f"UMAP of the first {len(found.axes)} principal components "
        f"({percent(float(found.explained.sum()))} of the variance): neighbours are kept, distances between "
        "clusters mean little."
    )
