"""Means, covariances and deviations of parts of a scope, whose rows are read once for all of them."""

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
# Deviations up to this are of lines that are constant.
_CONSTANT = 1e-12

Level = tuple[Tensor, Tensor]
"""(k, 1) means and deviations that make lines comparable; infinite where a line is constant."""


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


@dataclass(frozen=True)
class Moments:
    """(q,) mean and (q, q) covariance of rows, and the inverse of that with a ridge."""

    mean: Tensor
    covariance: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, sums: PartSums, ridge: float) -> Moments:
        """``ridge`` is the share of the covariance that is alike along all axes."""
        mean, covariance = sums.moments()
        level = ridge * covariance.diagonal().mean().clamp_min(1e-12)
        eye = torch.eye(len(covariance), dtype=torch.float64, device=covariance.device)
        return cls(mean, covariance, torch.linalg.inv((1 - ridge) * covariance + level * eye))

    def level(self, slopes: Tensor) -> Level:
        """Of the rows along (k, q) slopes."""
        exact = slopes.double()
        spread = (exact @ self.covariance * exact).sum(1, keepdim=True).clamp_min(0.0).sqrt()
        mean = exact @ self.mean[:, None]
        return mean.to(slopes.dtype), _divisors(spread).to(slopes.dtype)


def level_of(lines: Tensor) -> Level:
    """Of (k, n) lines."""
    mean = lines.mean(1, keepdim=True)
    return mean, _divisors((lines - mean).square_().mean(1, keepdim=True).sqrt_())


def _divisors(spread: Tensor) -> Tensor:
    """Deviations to divide by: what is constant becomes 0."""
    return torch.where(spread > _CONSTANT, spread, torch.inf)
