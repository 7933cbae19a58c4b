"""Where the rows lie and how far they spread: their mean and scale, without far outliers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.errors import InputError
from backend.spotlight.solver.blocks import Sum, block_sums, lent, rows_per_block
from backend.spotlight.solver.ranks import ALONE, Processes

# Units per block of what is read and changed several times on the way: it should stay in the cache.
READ_UNITS = 2
# Rows farther from the mean than this many median distances do not help to place the origin. A
# monstrous outlier costs the first mean all its digits, which a few more rounds bring back.
_FAR, _ROUNDS = 16.0, 6
# The origin is rounded to this share of the scale, and the scale to so many digits: sums taken in
# another order (other blocks, other processes) then give the very same coordinates.
_GRID, _DIGITS = 2.0**-20, 2.0**24


def read_blocks(
    values: NDArray[Any], tick: Callable[[], None], *, lend: bool = False
) -> Iterator[tuple[int, torch.Tensor]]:
    """First row and a copy of each block of rows, in their own float width; lent, to read only."""
    step = rows_per_block(values.shape[1], READ_UNITS)
    for start in range(0, len(values), step):
        tick()
        if lend:
            yield start, lent(values[start : start + step])
            continue
        yield start, copied(values[start : start + step])


def copied(rows: NDArray[Any]) -> torch.Tensor:
    """A copy of rows in their own float width."""
    block = np.array(rows)
    if block.dtype.itemsize > 8:  # torch has no longer floats
        block = block.astype(np.float64)
    return torch.from_numpy(block)


def center_and_scale(
    values: NDArray[Any], tick: Callable[[], None], ranks: Processes = ALONE
) -> tuple[NDArray[np.float64], float]:
    """Mean of the rows, and root mean square distance from it, without far outliers.

    Both are rounded, so that they do not depend on the order of the rows.
    """
    n, d = values.shape
    step = rows_per_block(d, READ_UNITS)
    # The first row as a provisional origin: sums of differences keep their digits.
    first = ranks.gathered(np.array(values[:1], dtype=np.float64))[0]
    mean = torch.from_numpy(np.array(first))
    near = torch.ones(n, dtype=torch.float64)
    squares = torch.empty(n, dtype=torch.float64)
    room = torch.empty((min(step, n), d), dtype=torch.float64)
    for number in range(_ROUNDS):
        total = Sum(torch.zeros(d + 1, dtype=torch.float64))
        for start, block in read_blocks(values, tick, lend=True):
            taken = near[start : start + len(block)]
            apart = room[: len(block)].copy_(block).sub_(mean)
            total.add(torch.cat([taken @ apart, taken.sum()[None]]))
            squares[start : start + len(block)] = apart.square_().sum(1)
        sums = ranks.merged(total)
        shift = sums[:d] / sums[d]
        mean = mean + shift
        if number == 0 and _none_is_far(ranks.gathered(squares.numpy()), float(shift.norm())):
            around_first = float(ranks.merged(block_sums(squares[None], step))) / float(sums[d])
            return _rounded(mean.numpy(), math.sqrt(around_first - float(shift @ shift)))
        for start, block in read_blocks(values, tick, lend=True):
            apart = room[: len(block)].copy_(block).sub_(mean)
            squares[start : start + len(block)] = apart.square_().sum(1)
        median = float(torch.from_numpy(ranks.gathered(squares.numpy())).median())
        inside = (squares <= _FAR**2 * median).double()
        told = torch.stack([(near != inside).double(), (near == 0).double(), near * squares, near])
        moved, left_out, spread, kept = ranks.merged(block_sums(told, step)).tolist()
        # The mean of the first round is as good as any, unless outliers had a part in it.
        settled = float(shift @ shift) <= 1e-6 * spread / kept
        if moved == 0 and (settled or left_out == 0):
            break
        near = inside
    told = torch.stack([near * squares, near])
    spread, kept = ranks.merged(block_sums(told, step)).tolist()
    scale = float(np.sqrt(spread / kept))
    if not np.isfinite(scale):
        raise InputError(
            "embeddings are too large: their squared distances overflow. Rescale them."
        )
    return _rounded(mean.numpy(), scale)


def _none_is_far(squares: NDArray[np.float64], shift: float) -> bool:
    """Whether no row is a far outlier, for squared distances from a place that far from the mean.

    Distances from the mean differ by ``shift`` at the most: mostly that is enough to know, and the
    rows need not be read again for it.
    """
    median = float(torch.from_numpy(squares).median())
    return math.sqrt(squares.max()) + shift <= _FAR * (math.sqrt(median) - shift)


def _rounded(mean: NDArray[np.float64], scale: float) -> tuple[NDArray[np.float64], float]:
    """Mean and scale with the digits that matter; a scale of 0 becomes 1."""
    if scale == 0:
        return mean, 1.0
    digits, power = np.frexp(scale)
    scale = float(np.ldexp(np.rint(digits * _DIGITS) / _DIGITS, power))
    grid = scale * _GRID
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        steps = mean / grid
        fits = np.abs(steps) < 2.0**52  # beyond, the mean's own digits are coarser
        rounded = np.where(fits, np.rint(steps) * grid, mean)
    return rounded, scale
