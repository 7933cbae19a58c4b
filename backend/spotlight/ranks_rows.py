"""Rows of all processes: read from anywhere, dealt out in whole blocks, prepared together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.blocks import rows_per_step
from backend.core.preparation import (
    Preparation,
    apply_preparation,
    check_preparation,
    fit_preparation,
)
from backend.spotlight.solver.blocks import rows_per_block
from backend.spotlight.solver.ranks import Together
from backend.spotlight.solver.rows import BLOCK_UNITS


class Everywhere:
    """The rows of all processes as one array: reading some of them brings them together.

    All processes read the same ones at the same time.

    Parameters
    ----------
    values : array of shape (own, d)
        This process's rows.
    ranks : Together
    """

    def __init__(self, values: Any, ranks: Together):
        self._values, self._ranks = values, ranks
        self._first, n, _ = ranks.place(len(values))
        self.shape = (n, values.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: int | slice | NDArray[np.int64]) -> NDArray[Any]:
        """A row, a range of them, or those of ascending numbers."""
        if isinstance(which, slice):
            start, stop, _ = which.indices(len(self))
            low, high = np.clip([start, stop], self._first, self._first + len(self._values))
            own = self._values[low - self._first : max(low, high) - self._first]
            return self._ranks.gathered(np.asarray(own))
        rows = np.atleast_1d(which)
        low, high = np.searchsorted(rows, [self._first, self._first + len(self._values)])
        found = self._ranks.gathered(np.asarray(self._values[rows[low:high] - self._first]))
        return found[0] if np.ndim(which) == 0 else found


class Joined:
    """Rows of several arrays, one after the other, read as one array and held as they are."""

    def __init__(self, parts: list[NDArray[Any]]):
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        self.shape, self.dtype = (int(self._starts[-1]), parts[0].shape[1]), parts[0].dtype
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice | NDArray[np.int64]) -> NDArray[Any]:
        """A range of rows, or those of ascending numbers."""
        if isinstance(which, slice):
            start, stop, _ = which.indices(len(self))
            low = np.clip(start - self._starts[:-1], 0, None)
            high = np.clip(stop - self._starts[:-1], 0, None)
            taken = [p[a:b] for p, a, b in zip(self._parts, low, high, strict=True)]
        else:
            cuts = np.searchsorted(which, self._starts)
            taken = [
                p[which[a:b] - start]
                for p, start, a, b in zip(
                    self._parts, self._starts, cuts[:-1], cuts[1:], strict=False
                )
            ]
        filled = [part for part in taken if len(part)]
        return filled[0] if len(filled) == 1 else np.concatenate(taken)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


def even_cuts(n: int, d: int, world: int) -> list[int]:
    """Where the rows of each process begin, and the end: shares of whole blocks, as even as can be.

    Rows cut there stay where they are; other cuts make ``in_blocks`` send some.
    """
    step = rows_per_block(d, BLOCK_UNITS)
    blocks = -(-n // step)
    return [min(rank * blocks // world * step, n) for rank in range(world)] + [n]


def in_blocks(values: Any, ranks: Together, step: int) -> tuple[Any, Together]:
    """The rows dealt out anew, each process beginning at a multiple of ``step``.

    Only those near the borders move, at most ``step / 2`` per border. The order of all rows stays.
    """
    cuts = np.cumsum([0, *ranks.rows])
    n = int(cuts[-1])
    new = np.minimum((2 * cuts + step) // (2 * step) * step, n)
    new[-1] = n
    everywhere = Everywhere(values, ranks)
    first, last = cuts[ranks.rank : ranks.rank + 2]
    begin, end = new[ranks.rank : ranks.rank + 2]
    low, high = np.clip([first, last], begin, end)  # of the own rows, those that stay
    before = np.empty((low - begin, values.shape[1]), values.dtype)
    after = np.empty((end - high, values.shape[1]), values.dtype)
    for cut, border in zip(cuts[1:-1], new[1:-1], strict=True):
        start, stop = min(cut, border), max(cut, border)
        if start == stop:
            continue
        moved = everywhere[slice(start, stop)]
        for part, place in ((before, begin), (after, high)):
            a, b = max(start, place), min(stop, place + len(part))
            if a < b:
                part[a - place : b - place] = moved[a - start : b - start]
    stay = values[low - first : high - first]
    parts = [part for part in (before, stay, after) if len(part)]
    own = parts[0] if len(parts) == 1 else Joined(parts or [stay])
    return own, ranks.with_rows([int(rows) for rows in np.diff(new)])


def prepared_together(
    values: Any,
    ranks: Together,
    prepare: str,
    *,
    components: int | None,
    seed: int,
    tick: Callable[[], None],
) -> tuple[Any, Together, Preparation]:
    """This process's rows as ``prepare_embeddings`` makes them, dealt out in blocks.

    Every process measures the same sample, block after block: all come to the same digits, which
    are those of one process. Only the rows of a process's own are then changed by it.
    """
    check_preparation(prepare, components, values.shape[1])
    made = fit_preparation(
        Everywhere(values, ranks),  # type: ignore[arg-type]
        prepare,
        components=components,
        seed=seed,
        tick=tick,
    )
    made = replace(made, matrix=ranks.same(made.matrix), shift=ranks.same(made.shift))
    own, ranks = in_blocks(values, ranks, rows_per_step(values.shape[1]))
    return apply_preparation(own, made, tick), ranks, made
