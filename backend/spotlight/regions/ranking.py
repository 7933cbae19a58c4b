"""How strongly every row of a scope belongs to a candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from backend.core.strongest import kth_largest
from backend.spotlight.regions.climb import Balls, squared_distances
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.views import Ground, ScopeView

# With fewer rows of low loss, a candidate is told from all rows of its scope.
_FEWEST = 20


Level = tuple[Tensor, Tensor]
"""(k, 1) means and deviations that make lines comparable."""


@dataclass(frozen=True)
class Told:
    """What ``k`` regions are told by, for any rows of their scope.

    Parameters
    ----------
    balls : Balls
    near : Level
        Of the squared distances; None where they have no part.
    slopes : tensor of shape (k, q)
        Of the discriminants, of rows that are not turned; None where they have no part.
    along : Level
        Of the rows along these slopes.
    """

    balls: Balls
    near: Level | None
    slopes: Tensor | None = None
    along: Level | None = None

    def scores(self, plain: Tensor, apart: Tensor) -> Tensor:
        """(k, b) of (b, q) rows at these (k, b) squared distances; higher first."""
        scores = (
            torch.zeros_like(apart) if self.near is None else _levelled(apart, self.near).neg_()
        )
        if self.slopes is not None and self.along is not None:
            scores.add_(_levelled(self.slopes @ plain.T, self.along))
        return scores


@dataclass(frozen=True)
class Ranks:
    """``draft`` and ``final`` scores, higher first, and ``weights``: all of shape (k, s)."""

    draft: Tensor
    final: Tensor
    weights: Tensor
    told: Told


@dataclass(frozen=True)
class Ranker:
    """Rankings of the rows of one view.

    ``scope`` and ``low`` are the mean and the inverse covariance, with a ridge, of all rows that it
    reads, and of those of low loss where losses may be looked at.
    """

    view: ScopeView
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
        mine = torch.from_numpy(np.isin(view.sides(ground), halves)).to(plain.device)
        if which is not None:
            plain, points, squares = plain[which], points[which], squares[which]
            losses, mine = losses[which], mine[which]
        low = plain[mine & (losses <= 0)]
        return cls(
            view,
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
        weights = balls.kernel(apart)
        near: Level | None = _level(apart)
        told = Told(balls, near)
        if self.settings.ranking == "kernel":
            ball = told.scores(self.plain, apart)
            return Ranks(ball, ball, weights, told)
        if self.settings.ranking == "linear":
            told = Told(balls, None)
        told = self._telling(told, weights, self.scope)
        draft = final = told.scores(self.plain, apart)
        for _ in range(self.settings.tellings):
            told = self._telling(told, self._first(final, weights), self.low)
            final = told.scores(self.plain, apart)
        return Ranks(draft, final, weights, told)

    def _telling(self, told: Told, inside: Tensor, others: tuple[Tensor, Tensor]) -> Told:
        """Discriminants of rows with these (k, s) weights from others of these moments."""
        mean, inverse = others
        mass = inside.sum(1, keepdim=True).double().clamp_min(1e-30)
        toward = (inside @ self.plain).double() / mass - mean
        slopes = (toward @ inverse).to(self.plain.dtype)
        return replace(told, slopes=slopes, along=_level(slopes @ self.plain.T))

    def _first(self, scores: Tensor, weights: Tensor) -> Tensor:
        """(k, m) ones for the rows that rank first, as many as the weights add up to."""
        rows = scores.shape[1]
        least = min(rows, self.settings.min_core)
        counts = weights.sum(1).round().long().clamp(least, rows)
        return (scores >= kth_largest(scores, counts)[:, None]).to(scores.dtype)


def ranked(view: ScopeView, told: Told) -> Tensor:
    """(k, m) scores of all rows of the scope of a view."""
    return _of_all(view, told.balls, told.scores)


def kernel_of_all(view: ScopeView, balls: Balls) -> Tensor:
    """(k, m) Gaussian kernel of all rows of the scope of a view."""
    return _of_all(view, balls, lambda _, apart: balls.kernel(apart))


def _of_all(view: ScopeView, balls: Balls, made: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(k, m) of what is ``made`` of rows that are not turned and their squared distances."""
    # A row is turned or the center is: the angle between them is the same.
    turned = (balls.centers @ view.turn.T).to(view.plain.dtype)
    lengths = balls.centers.to(view.plain.dtype).square().sum(1, keepdim=True)
    parts = []
    for which, rows in view.blocks():
        apart = torch.addmm(view.all_squares[which][None], turned, rows.T, alpha=-2.0)
        parts.append(made(rows, apart.add_(lengths).clamp_min_(0.0)))
    return torch.cat(parts, dim=1)


def _moments(rows: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Mean, and inverse of the covariance; ``ridge`` is its share that is alike along all axes."""
    mean = rows.mean(0, dtype=torch.float64)
    apart = rows - mean.to(rows.dtype)
    scatter = (apart.T @ apart).double() / len(rows)
    level = ridge * scatter.diagonal().mean().clamp_min(1e-12)
    eye = torch.eye(len(scatter), dtype=torch.float64, device=rows.device)
    return mean, torch.linalg.inv((1 - ridge) * scatter + level * eye)


def _level(lines: Tensor) -> Level:
    mean = lines.mean(1, keepdim=True)
    return mean, (lines - mean).square_().mean(1, keepdim=True).sqrt_().clamp_min_(1e-12)


def _levelled(lines: Tensor, level: Level) -> Tensor:
    """Lines in which the rows of the level have mean 0 and variance 1; constant ones become 0."""
    mean, spread = level
    return (lines - mean).div_(spread)
