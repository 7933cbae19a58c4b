"""Rows read in blocks, so that memory-mapped embeddings are never in memory whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK_VALUES = 2**22


def rows_per_step(d: int) -> int:
    """Rows of ``d`` numbers that are read and changed at once."""
    return max(1, _BLOCK_VALUES // d)


def row_blocks(
    values: NDArray[Any],
    rows: NDArray[np.int64] | None = None,
    tick: Callable[[], None] | None = None,
) -> Iterator[tuple[int, NDArray[Any]]]:
    """First place and values of each block of rows, or of those rows that are chosen.

    ``values`` (n, d) may be anything that has a shape and gives ranges and lists of its rows;
    ``rows`` are ascending, and places are places among them. ``tick`` is called before each block is
    read, and may raise to stop.
    """
    step = rows_per_step(values.shape[1])
    for start in range(0, len(values) if rows is None else len(rows), step):
        if tick is not None:
            tick()
        stop = start + step
        yield start, values[start:stop] if rows is None else values[rows[start:stop]]
