"""Means and covariances of parts of a scope, whose rows are read once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from torch import Tensor

# Rows that are added in their own width; these sums are added in float64. PyTorch's own mean of
# float32 rows in float64 takes fifteen times as long.
_TOGETHER = 2**8


@dataclass(frozen=True)
class PartSums:
    """Of ``count`` rows: sums of (q,) rows and of their (q, q) products, from a common center.

    What is told by the sum of several is told by all their rows together.
    """

    center: Tensor
    count: int
    rows: Tensor
    products: Tensor

    @classmethod
    def of(cls, rows: Tensor, center: Tensor) -> PartSums:
        """Of (n, q) rows, from a (q,) center in float64."""
        apart = rows - center.to(rows.dtype)
        return cls(center, len(rows), column_sums(apart), (apart.T @ apart).double())

    def __add__(self, other: PartSums) -> PartSums:
        return PartSums(
            self.center,
            self.count + other.count,
            self.rows + other.rows,
            self.products + other.products,
        )

    def moments(self) -> tuple[Tensor, Tensor]:
        """(q,) mean and (q, q) covariance, in float64."""
        apart = self.rows / self.count
        return self.center + apart, self.products / self.count - torch.outer(apart, apart)


def column_sums(rows: Tensor) -> Tensor:
    """(q,) sums of (n, q) rows, in float64."""
    n, q = rows.shape
    whole = n - n % _TOGETHER
    blocks = rows[:whole].reshape(-1, _TOGETHER, q).sum(1)
    return blocks.double().sum(0) + rows[whole:].double().sum(0)


def sum_of(parts: Sequence[PartSums]) -> PartSums:
    """All rows of one part or more together."""
    return reduce(add, parts)
