"""How strongly every row of a scope belongs to a candidate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.spotlight.regions.climb import Balls, squared_distances
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.views import Ground, ScopeView

# With fewer rows of low loss, a candidate is told from all rows of its scope.
_FEWEST = 20


@dataclass(frozen=True)
class Ranks:
    """``draft`` and ``final`` scores, higher first, and ``weights``: all of shape (k, m)."""

    draft: Tensor
    final: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Ranker:
    """Rankings of the rows of one view.

    ``scope`` and ``low`` are the mean and the inverse covariance, with a ridge, of all rows that it
    reads, and of those of low loss where losses may be looked at.
    """

    plain: Tensor
    points: Tensor
    squares: Tensor
    scope: tuple[Tensor, Tensor]
    low: tuple[Tensor, Tensor]
    settings: Settings

    @classmethod
    def of(
        cls,
        ground: Ground,
        view: ScopeView,
        halves: tuple[int, ...],
        settings: Settings,
        which: Tensor | None = None,
    ) -> Ranker:
        """A ranker of the rows at these positions in the view; of all by default.

        ``halves``: where losses are looked at. Only the one that found the candidates while the
        other judges them; both for the members in the end.
        """
        plain, points, squares, losses = view.plain, view.points, view.squares, view.losses
        mine = torch.from_numpy(np.isin(ground.side[view.scope.rows], halves)).to(plain.device)
        if which is not None:
            plain, points, squares = plain[which], points[which], squares[which]
            losses, mine = losses[which], mine[which]
        low = plain[mine & (losses <= 0)]
        return cls(
            plain,
            points,
            squares,
            _moments(plain, settings.ridge),
            _moments(low if len(low) >= _FEWEST else plain, settings.ridge),
            settings,
        )

    def rank(self, balls: Balls) -> Ranks:
        """How strongly each row belongs to each region.

        A score is the sum of two numbers, each of mean 0 and variance 1 over the scope: the log of
        the kernel, and a linear discriminant, which reaches the part of a failure that a ball
        cannot cover. In the draft it tells the kernel's rows from the scope. After
        that it tells the rows that rank first from rows whose loss is low, once for the draft and
        once more for what comes of it.
        """
        apart = squared_distances(balls.centers, self.points, self.squares)
        precisions = torch.exp(balls.log_precisions).to(apart.dtype)
        weights = torch.exp(apart * (-0.5 * precisions[:, None]))
        ball = _standard(apart).neg_()
        if self.settings.ranking == "kernel":
            return Ranks(ball, ball, weights)
        if self.settings.ranking == "linear":
            ball = torch.zeros_like(ball)
        draft = self._linear(weights, self.scope).add_(ball)
        final = draft
        for _ in range(self.settings.tellings):
            final = self._linear(self._first(final, weights), self.low).add_(ball)
        return Ranks(draft, final, weights)

    def _linear(self, inside: Tensor, others: tuple[Tensor, Tensor]) -> Tensor:
        """(k, m) discriminants of rows with these (k, m) weights from others of these moments."""
        mean, inverse = others
        mass = inside.sum(1, keepdim=True).double().clamp_min(1e-30)
        toward = (inside @ self.plain).double() / mass - mean
        return _standard((toward @ inverse).to(self.plain.dtype) @ self.plain.T)

    def _first(self, scores: Tensor, weights: Tensor) -> Tensor:
        """(k, m) ones for the rows that rank first, as many as the weights add up to."""
        rows = scores.shape[1]
        least = min(rows, self.settings.min_core)
        counts = weights.sum(1).round().long().clamp(least, rows)
        top = scores.topk(int(counts.max())).values
        return (scores >= top.gather(1, counts[:, None] - 1)).to(scores.dtype)


def _moments(rows: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Mean, and inverse of the covariance; ``ridge`` is its share that is alike along all axes."""
    mean = rows.double().mean(0)
    apart = rows - mean.to(rows.dtype)
    scatter = (apart.T @ apart).double() / len(rows)
    level = ridge * scatter.diagonal().mean().clamp_min(1e-12)
    eye = torch.eye(len(scatter), dtype=torch.float64, device=rows.device)
    return mean, torch.linalg.inv((1 - ridge) * scatter + level * eye)


def _standard(values: Tensor) -> Tensor:
    """Rows with mean 0 and variance 1; a constant row becomes 0."""
    apart = values - values.mean(1, keepdim=True)
    spread = apart.square().mean(1, keepdim=True).sqrt()
    return apart.div_(spread.clamp_min(1e-12))
