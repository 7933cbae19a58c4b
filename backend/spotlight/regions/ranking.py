"""How strongly every row of a scope belongs to a candidate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.spotlight.regions.climb import Balls
from backend.spotlight.regions.pool import View

_RIDGE = 0.05


@dataclass(frozen=True)
class Ranker:
    """Rankings of the rows of one scope, for candidates in one geometry.

    Built once per view: the covariance of the scope, and its inverse with a ridge.
    """

    view: View
    plain: Tensor
    mean: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, view: View, points: Tensor) -> Ranker:
        """A ranker of the rows at (n, q) points of the whole space."""
        plain = points[torch.from_numpy(view.scope.rows).to(points.device)]
        mean = plain.double().mean(0)
        apart = plain - mean.to(plain.dtype)
        scatter = (apart.T @ apart).double() / len(plain)
        ridge = _RIDGE * scatter.diagonal().mean().clamp_min(1e-12)
        eye = torch.eye(len(scatter), dtype=torch.float64, device=plain.device)
        return cls(view, plain, mean, torch.linalg.inv((1 - _RIDGE) * scatter + ridge * eye))

    def kernels(self, balls: Balls) -> Tensor:
        """(k, m) weights."""
        return balls.weights(self.view.points, self.view.squares)

    def rank(self, balls: Balls) -> tuple[Tensor, Tensor]:
        """(k, m) scores, higher first, and (k, m) weights.

        The score is the sum of two numbers, each of mean 0 and variance 1 over the scope: the log
        of the kernel, and Fisher's linear discriminant of the kernel's rows against the scope,
        which reaches the part of a failure that a ball cannot cover. Losses have no say.
        """
        weights = self.kernels(balls)
        mass = weights.sum(1, keepdim=True).double().clamp_min(1e-30)
        toward = (weights @ self.plain).double() / mass - self.mean
        normal = (toward @ self.inverse).to(self.plain.dtype)
        linear = normal @ self.plain.T
        centers = balls.centers.to(self.plain.dtype)
        ball = torch.addmm(self.view.squares[None], centers, self.view.points.T, alpha=-2.0)
        return _standard(linear).sub_(_standard(ball)), weights


def _standard(values: Tensor) -> Tensor:
    """Rows with mean 0 and variance 1; a constant row becomes 0."""
    apart = values - values.mean(1, keepdim=True)
    spread = apart.square().mean(1, keepdim=True).sqrt()
    return apart / spread.clamp_min(1e-12)
