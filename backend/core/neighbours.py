"""The nearest examples in representation space, by looking at every one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.blocks import row_blocks
from backend.core.errors import InputError


@dataclass(frozen=True)
class Neighbours:
    """Rows nearest to one row.

    ``rows`` (k,) from near to far, the row itself left out; ``distances`` (k,) Euclidean, float32.
    Equal distances: lower row first.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]


def nearest(embeddings: NDArray[Any], row: int, *, k: int = 10) -> Neighbours:
    """The ``k`` rows nearest to ``row``, exactly; fewer when there are not so many.

    Parameters
    ----------
    embeddings : float array of shape (n, d)
        Read in blocks, so a memory map stays on disk.
    row : int
        Whose neighbours, 0 to n - 1.
    k : int
        How many, at least 1.

    Raises
    ------
    InputError
        If ``row`` or ``k`` is out of its range.

    Notes
    -----
    Differences are squared, not expanded into dot products: far from the origin those lose all
    their digits.
    """
    n = len(embeddings)
    if not 0 <= row < n:
        raise InputError(f"row must be from 0 to {n - 1}: got {row}.")
    if k < 1:
        raise InputError(f"k must be at least 1: got {k}.")
    center = np.asarray(embeddings[row], dtype=np.float32)
    rows = np.zeros(0, dtype=np.int64)
    squares = np.zeros(0, dtype=np.float32)
    for start, block in row_blocks(embeddings):
        block = np.asarray(block, dtype=np.float32) - center
        found = np.einsum("ij,ij->i", block, block)
        at = np.arange(start, start + len(found))
        rows = np.concatenate([rows, at[at != row]])
        squares = np.concatenate([squares, found[at != row]])
        if len(rows) > k:
            bound = np.partition(squares, k - 1)[k - 1]
            kept = squares <= bound  # ties at the bound stay until they are ordered by row
            rows, squares = rows[kept], squares[kept]
    order = np.lexsort((rows, squares))[:k]
    return Neighbours(rows[order], np.sqrt(squares[order]))
