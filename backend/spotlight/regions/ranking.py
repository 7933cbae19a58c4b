"""How strongly every row of a scope belongs to a candidate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.spotlight.regions.climb import Balls, squared_distances
from backend.spotlight.regions.views import View

_RIDGE = 0.05


@dataclass(frozen=True)
class Ranker:
    """Rankings of the rows of one view; ``which`` are those it reads, ``mean`` and ``inverse`` the
    moments of the scope, the covariance with a ridge.
    """

    plain: Tensor
    points: Tensor
    squares: Tensor
    mean: Tensor
    inverse: Tensor
    ranking: str

    @classmethod
    def of(cls, view: View, ranking: str, which: Tensor | None = None) -> Ranker:
        """A ranker of the rows at these positions in the view; of all by default."""
        plain, points, squares = view.plain, view.points, view.squares
        if which is not None:
            plain, points, squares = plain[which], points[which], squares[which]
        mean = plain.double().mean(0)
        apart = plain - mean.to(plain.dtype)
        scatter = (apart.T @ apart).double() / len(plain)
        ridge = _RIDGE * scatter.diagonal().mean().clamp_min(1e-12)
        eye = torch.eye(len(scatter), dtype=torch.float64, device=plain.device)
        inverse = torch.linalg.inv((1 - _RIDGE) * scatter + ridge * eye)
        return cls(plain, points, squares, mean, inverse, ranking)

    def rank(self, balls: Balls) -> tuple[Tensor, Tensor]:
        """(k, m) scores, higher first, and (k, m) weights.

        The score is the sum of two numbers, each of mean 0 and variance 1 over the scope: the log
        of the kernel, and Fisher's linear discriminant of the kernel's rows against the scope,
        which reaches the part of a failure that a ball cannot cover. Losses have no say.
        """
        apart = squared_distances(balls.centers, self.points, self.squares)
        precisions = torch.exp(balls.log_precisions).to(apart.dtype)
        weights = torch.exp(apart * (-0.5 * precisions[:, None]))
        ball = _standard(apart).neg_()
        if self.ranking == "kernel":
            return ball, weights
        mass = weights.sum(1, keepdim=True).double().clamp_min(1e-30)
        toward = (weights @ self.plain).double() / mass - self.mean
        linear = _standard((toward @ self.inverse).to(self.plain.dtype) @ self.plain.T)
        return (linear if self.ranking == "linear" else linear.add_(ball)), weights


def _standard(values: Tensor) -> Tensor:
    """Rows with mean 0 and variance 1; a constant row becomes 0."""
    apart = values - values.mean(1, keepdim=True)
    spread = apart.square().mean(1, keepdim=True).sqrt()
    return apart.div_(spread.clamp_min(1e-12))
