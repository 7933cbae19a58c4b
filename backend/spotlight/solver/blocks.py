"""Blocks of rows, and sums over them that come out the same however the rows are shared.

An ascent of a few hundred steps turns a difference in the last digit of a sum into another path,
and often into another region. So that one process and several take the same path to the last
digit, rows are read in blocks that begin at the same rows whoever holds them, and the sums of the
blocks are added to twice the digits of their result: no order of adding them changes it.

References
----------
Ogita, Rump, Oishi, Accurate Sum and Dot Product, SIAM J. Sci. Comput. 26 (2005), Algorithm 4.4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Numbers in the smallest block; the others are made of whole ones.
UNIT = 2**18
# Blocks begin at the alignment that their memory has: products may round by it.
_EVEN = 16


def rows_per_block(d: int, units: int = 1) -> int:
    """Rows of ``d`` numbers in a block of so many units."""
    rows = UNIT // d
    return units * max(1, rows - rows % _EVEN if rows > _EVEN else rows)


def lent(rows: NDArray[Any]) -> Tensor:
    """Rows as a tensor to read only: in their own memory, or copied where torch cannot share it."""
    if rows.dtype.itemsize > 8:  # torch has no longer floats
        rows = rows.astype(np.float64)
    # A memory-mapped bundle is read-only, which torch does not take; nor steps backwards.
    shared = rows.flags.writeable and rows.flags.c_contiguous
    return torch.from_numpy(rows if shared else np.array(rows))


def block_sums(numbers: Tensor, step: int) -> Sum:
    """(k,) float64 sums of (k, own) numbers, block after block of so many."""
    total = Sum()
    for low in range(0, max(1, numbers.shape[1]), step):
        total.add(numbers[:, low : low + step].sum(1, dtype=torch.float64))
    return total


class Sum:
    """float64 sum of tensors of one shape, to twice the digits.

    Which order they come in does not show in ``value`` (but where the exact sum lies within 1e-32
    of halfway between two numbers).
    """

    def __init__(self, first: Tensor | None = None):
        self._halves = None if first is None else (first, torch.zeros_like(first))

    def add(self, part: Tensor) -> None:
        """Add a float64 tensor."""
        if self._halves is None:
            self._halves = (part, torch.zeros_like(part))
            return
        was, low = self._halves
        high = was + part
        if not part.is_cuda:  # there each of these small steps would take as long as a block
            other = high - was
            low = low + ((was - (high - other)) + (part - other))
        self._halves = (high, low)

    def both(self) -> Tensor:
        """(2, ...) the sum and what rounding took from it, to be added to another one."""
        return torch.stack(self._sound())

    def value(self) -> Tensor:
        """The sum."""
        high, low = self._sound()
        return high + low

    def _sound(self) -> tuple[Tensor, Tensor]:
        """Both halves; what was lost of an infinite sum is nothing."""
        if self._halves is None:
            raise ValueError("a sum of nothing has no shape: add a part first.")
        high, low = self._halves
        return high, torch.where(torch.isfinite(high), low, 0.0)
