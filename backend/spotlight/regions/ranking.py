"""How strongly every row of a scope belongs to a candidate."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from backend.core.strongest import kth_largest
from backend.spotlight.regions.climb import Balls, squared_distances
from backend.spotlight.regions.moments import Level, Moments, level_of, sum_of
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.views import PARTS, Ground, ScopeView

# With fewer rows of low loss, a candidate is told from all rows of its scope.
_FEWEST = 20


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

    def along_slopes(self, plain: Tensor, ball: Tensor) -> Tensor:
        """(k, b) scores of (b, q) rows that have these by their distance; higher first."""
        if self.slopes is None or self.along is None:
            return ball
        mean, spread = self.along
        return torch.addmm(ball - mean / spread, self.slopes / spread, plain.T)

    def scores(self, view: ScopeView, plain: Tensor, squares: Tensor) -> Tensor:
        """(k, b) of (b, q) rows that are not turned, with (b,) squared lengths turned.

        A score is linear in a row and its squared length: no distance is needed by itself.
        """
        k, q = len(self.balls), plain.shape[1]
        slopes, constant = plain.new_zeros((k, q)), plain.new_zeros((k, 1))
        if self.slopes is not None and self.along is not None:
            mean, spread = self.along
            slopes, constant = slopes + self.slopes / spread, constant - mean / spread
        if self.near is None:
            return torch.addmm(constant, slopes, plain.T)
        mean, spread = self.near
        turned, lengths = _turned_back(view, self.balls)
        slopes = slopes + 2.0 * turned / spread
        constant = constant + (mean - lengths) / spread
        return torch.addmm(constant, slopes, plain.T).addr_(-1.0 / spread[:, 0], squares)


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

    ``scope`` and ``low`` are of all rows that it reads, and of those of low loss where losses may be
    looked at.
    """

    view: ScopeView
    plain: Tensor
    points: Tensor
    squares: Tensor
    scope: Moments
    low: Moments
    settings: Settings

    @classmethod
    def of(
        cls,
        ground: Ground,
        view: ScopeView,
        halves: tuple[int, ...],
        settings: Settings,
        parts: tuple[int, ...] = PARTS,
    ) -> Ranker:
        """A ranker of the rows of the view that are in these parts, part by part; or of all as they are.

        ``halves``: where losses are looked at. Only the one that found the candidates while the
        other judges them; both for the members in the end.
        """
        plain, points, squares = view.plain, view.points, view.squares
        if parts != PARTS:
            which = view.positions(ground, parts)
            plain, points = plain.index_select(0, which), points.index_select(0, which)
            squares = squares[which]
        scope = sum_of([sums[part] for sums in (view.high, view.low) for part in parts])
        low = sum_of([view.low[half] for half in halves])
        return cls(
            view,
            plain,
            points,
            squares,
            Moments.of(scope, settings.ridge),
            Moments.of(low if low.count >= _FEWEST else scope, settings.ridge),
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
        near = level_of(apart)
        ball = apart.sub_(near[0]).div_(-near[1])
        told = Told(balls, near)
        if self.settings.ranking == "kernel":
            return Ranks(ball, ball, weights, told)
        if self.settings.ranking == "linear":
            told, ball = Told(balls, None), torch.zeros_like(ball)
        told = self._telling(told, weights, self.scope)
        draft = final = told.along_slopes(self.plain, ball)
        for _ in range(self.settings.tellings):
            told = self._telling(told, self._first(final, weights), self.low)
            final = told.along_slopes(self.plain, ball)
        return Ranks(draft, final, weights, told)

    def _telling(self, told: Told, inside: Tensor, others: Moments) -> Told:
        """Discriminants of rows with these (k, s) weights from others."""
        mass = inside.sum(1, keepdim=True).double().clamp_min(1e-30)
        toward = (inside @ self.plain).double() / mass - others.mean
        slopes = (toward @ others.inverse).to(self.plain.dtype)
        return replace(told, slopes=slopes, along=self.scope.level(slopes))

    def _first(self, scores: Tensor, weights: Tensor) -> Tensor:
        """(k, m) ones for the rows that rank first, as many as the weights add up to."""
        rows = scores.shape[1]
        least = min(rows, self.settings.min_core)
        counts = weights.sum(1).round().long().clamp(least, rows)
        return (scores >= kth_largest(scores, counts)[:, None]).to(scores.dtype)


def ranked(view: ScopeView, told: Told) -> Tensor:
    """(k, m) scores of all rows of the scope of a view."""
    parts = [told.scores(view, rows, view.all_squares[which]) for which, rows in view.blocks()]
    return torch.cat(parts, dim=1)


def kernel_of_all(view: ScopeView, balls: Balls) -> Tensor:
    """(k, m) Gaussian kernel of all rows of the scope of a view."""
    turned, lengths = _turned_back(view, balls)
    parts = []
    for which, rows in view.blocks():
        apart = torch.addmm(view.all_squares[which][None], turned, rows.T, alpha=-2.0)
        parts.append(balls.kernel(apart.add_(lengths).clamp_min_(0.0)))
    return torch.cat(parts, dim=1)


def _turned_back(view: ScopeView, balls: Balls) -> tuple[Tensor, Tensor]:
    """(k, q) what rows are multiplied with that are not turned, and (k, 1) squared lengths.

    A row is turned or the center is: the angle between them is the same.
    """
    centers = balls.centers
    turned = (centers @ view.turn.T).to(view.plain.dtype)
    return turned, centers.to(view.plain.dtype).square().sum(1, keepdim=True)
