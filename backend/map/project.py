"""Where the examples lie on the map: two coordinates per embedding. PCA at once, UMAP after.

    >>> made = project(embeddings, method="pca")  # doctest: +SKIP
    >>> made.xy.shape, made.explained, made.note  # doctest: +SKIP

The map is for looking. Regions are searched in the full space, never here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.arrays import check_choice, check_matrix, check_vector
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.core.wording import percent
from backend.map.projection import Projection, on_principal_axes

METHODS = ("pca", "umap")
SAMPLE = 10_000
"""Examples that UMAP lays out itself; more would take minutes on a laptop."""


def project(
    embeddings: Any,
    *,
    method: str = "pca",
    seed: int = 0,
    sample: int = SAMPLE,
    losses: Any = None,
    progress: Progress = ignore_progress,
) -> Projection:
    """Lay examples out on a map.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        May be memory-mapped: it is read in blocks of rows, in its own precision.
    method : {"pca", "umap"}
        PCA keeps large distances, UMAP keeps neighbours. Embeddings of two dimensions or fewer are
        drawn as they are by either.
    seed : int
        Same input and seed, same map.
    sample : int
        With UMAP and more examples than this, so many are laid out, and each of the others is put
        at the mean of those of its five nearest among them that lie together, weighted by inverse
        squared distance.
    losses : array-like of shape (n,), optional
        The sample then holds easy and hard examples in their proportions; else it is uniform.
    progress : Progress
        Called between blocks and stages.

    Returns
    -------
    Projection

    Raises
    ------
    InputError
        If embeddings are not a finite matrix, losses do not fit them, or an option is unknown.

    References
    ----------
    McInnes, Healy and Melville, UMAP: Uniform Manifold Approximation and Projection for Dimension
    Reduction, 2018, arXiv:1802.03426.
    """
    check_choice("method", method, METHODS)
    values = check_matrix("embeddings", embeddings)
    n, d = values.shape
    if losses is not None:
        losses = check_vector("losses", losses, n)
    if sample < 1:
        raise InputError(f"sample must be at least 1: got {sample}.")
    if d <= 2:
        xy = np.zeros((n, 2), dtype=np.float32)
        xy[:, :d] = values
        progress(1.0, "Done")
        note = "The two dimensions of the embeddings, as they are."
        if d == 1:
            note = "The one dimension of the embeddings, as it is; the second axis is 0."
        return Projection(xy, None, None, note)
    if method == "pca":
        return _pca_map(values, seed, progress)
    # UMAP brings numba: seconds to load, which a PCA map must not wait for.
    from backend.map.umap_layout import umap_map

    return umap_map(values, losses, seed=seed, sample=sample, progress=progress)


def _pca_map(values: NDArray[Any], seed: int, progress: Progress) -> Projection:
    found, xy = on_principal_axes(values, 2, seed=seed, found_at=0.8, progress=progress)
    if not found.explained.any():
        return Projection(xy, None, None, "All embeddings are equal: the map is one point.")
    first, second = (float(share) for share in found.explained)
    note = f"PCA: the axes hold {percent(first)} and {percent(second)} of the variance."
    return Projection(xy, None, (first, second), note)
