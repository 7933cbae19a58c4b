"""The UMAP reduction of GEORGE. Loading this takes seconds (numba): only reached when asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

with warnings.catch_warnings():
    # umap tells everybody who has no Tensorflow that one of its classes needs it.
    warnings.simplefilter("ignore", ImportWarning)
    from umap import UMAP

_NEIGHBOURS, _MIN_DISTANCE = 10, 0.0
FEWEST = 15
"""Below so many rows the neighbour graph is no guide."""


def umap_reduction(
    values: NDArray[Any], k: int, seed: int
) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """Map to ``k`` dimensions learned from ``values``; rows it was learned from keep their place."""
    reducer = UMAP(
        n_components=k,
        n_neighbors=_NEIGHBOURS,
        min_dist=_MIN_DISTANCE,
        random_state=seed,
        n_jobs=1,
    )
    with warnings.catch_warnings():
        # Duplicates leave parts of the graph without links; the layout copes by itself.
        warnings.simplefilter("ignore", UserWarning)
        reducer.fit(values)

    def reduce(rows: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(reducer.transform(rows), dtype=np.float64)

    return reduce
