"""The rows of each scope as the search sees them, and the candidates that one half finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.spotlight.regions.climb import Balls, climb
from backend.spotlight.regions.moments import PartSums, column_sums, sum_of
from backend.spotlight.regions.scopes import Scope
from backend.spotlight.regions.seeding import loss_centers
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.space import Space

FIRST, SECOND, ASIDE = 0, 1, 2
"""Where a row is: on one of two halves that find and judge each other, or kept aside."""
HALVES = (FIRST, SECOND)
PARTS = (FIRST, SECOND, ASIDE)

# Rows of a scope that are ranked at once.
_BLOCK = 2**15
# A start that ended this close to a better one (in units of 1 / tau) found the same.
_MET = 0.1
# Rows of a region in a scope that is small itself.
_LEAST = 8.0
# Rounds after the first search around what the best start at this size leaves.
_LEAD_SIZE = 2


@dataclass(frozen=True)
class Ground:
    """What all searches share. ``n`` rows in an order of their own.

    Parameters
    ----------
    spaces : tuple of Space
        The embedding, and perhaps what is left of it beside the model's own answer; their points in
        this order.
    losses : tensor of shape (n,)
        Clipped, in units in which those of the two halves have mean 0 and variance 1; NaN for rows
        kept aside, which nothing here may look at.
    side : int8 array of shape (n,)
        ``FIRST``, ``SECOND`` or ``ASIDE``.
    codes : int array of shape (n,)
        Labels as numbers, 0 where there are none.
    pairs : int array of shape (n,) or None
        Numbers of label and prediction together: cells of the confusion matrix.
    missed : bool array of shape (n,) or None
        Whether the prediction is wrong.
    known : bool array of shape (n,)
        Rows that were set aside before the search; their losses are lowered already.
    """

    spaces: tuple[Space, ...]
    losses: Tensor
    side: NDArray[np.int8]
    codes: NDArray[np.int64]
    pairs: NDArray[np.int64] | None
    missed: NDArray[np.bool_] | None
    known: NDArray[np.bool_]

    @property
    def points(self) -> Tensor:
        """(n, q) of the embedding."""
        return self.spaces[0].points

    @property
    def open(self) -> NDArray[np.bool_]:
        """(n,) rows that find and choose."""
        return self.side != ASIDE

    def at(self, rows: NDArray[np.int64]) -> Tensor:
        """Rows as an index beside the points."""
        return torch.from_numpy(rows).to(self.points.device)


@dataclass(frozen=True)
class ScopeView:
    """Rows of one scope in one geometry: all ``m`` of them, or ``s`` that were drawn.

    Parameters
    ----------
    scope : Scope
    name : str
        As in ``Settings.views``.
    space : Space
    drawn : int array of shape (s,)
        Positions in the scope, ascending, of the rows that are looked at.
    plain : tensor of shape (s, q)
        These rows before they are turned.
    turn : tensor of shape (q, q)
        From the space of all rows to where regions are round.
    points, squares, losses : tensors of shape (s, q), (s,) and (s,)
        Of the rows drawn; losses cut as the scope cuts them.
    high, low : tuples of PartSums
        Of the rows drawn before they are turned, one for each of ``PARTS``: with losses above 0, the
        mean of all rows, or not known; and at most 0.
    """

    scope: Scope
    name: str
    space: Space
    drawn: NDArray[np.int64]
    plain: Tensor
    turn: Tensor
    points: Tensor
    squares: Tensor
    losses: Tensor
    high: tuple[PartSums, ...]
    low: tuple[PartSums, ...]

    @property
    def whole(self) -> bool:
        """Whether all rows of the scope are looked at."""
        return len(self.drawn) == len(self.scope.rows)

    def sides(self, ground: Ground) -> NDArray[np.int8]:
        """(s,) where each row drawn is."""
        return ground.side[self.scope.rows[self.drawn]]

    def positions(self, ground: Ground, parts: tuple[int, ...]) -> Tensor:
        """Of the rows drawn those in these parts, one part after the other."""
        sides = self.sides(ground)
        return ground.at(np.concatenate([np.flatnonzero(sides == part) for part in parts]))

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """All rows of the scope before they are turned, (b, q) at a time, and their positions."""
        points = self.space.points
        for start in range(0, len(self.scope.rows), _BLOCK):
            which = slice(start, start + _BLOCK)
            if len(self.scope.rows) == len(points):
                yield which, points[which]
            else:
                at = torch.from_numpy(self.scope.rows[which]).to(points.device)
                yield which, points.index_select(0, at)

    @cached_property
    def all_squares(self) -> Tensor:
        """(m,) squared lengths of all rows of the scope where regions are round."""
        turn = self.turn.to(self.plain.dtype)
        return torch.cat([(rows @ turn).square().sum(1) for _, rows in self.blocks()])


def views_of(
    ground: Ground, scope: Scope, settings: Settings, generator: np.random.Generator
) -> list[ScopeView]:
    """The scope in each geometry of each space."""
    drawn = _drawn(ground.side[scope.rows], settings.judge_rows, generator)
    rows = ground.at(scope.rows[drawn])
    losses = ground.losses[rows] if scope.losses is None else scope.losses[ground.at(drawn)]
    views = []
    told: dict[int, tuple[tuple[PartSums, ...], tuple[PartSums, ...]]] = {}
    beside = len(ground.spaces) > 1
    for name in settings.views if beside else settings.views_without:
        if name.startswith("o") and not beside:
            continue
        at = 1 if name.startswith("o") else 0
        space = ground.spaces[at]
        plain = space.points.index_select(0, rows)
        if at not in told:
            told[at] = _by_loss(plain, losses, ground.side[scope.rows[drawn]])
        high, low = told[at]
        q = plain.shape[1]
        turn = torch.eye(q, dtype=torch.float64, device=plain.device)
        seen = plain
        if name.endswith("w"):
            lengths, axes = torch.linalg.eigh(sum_of(high + low).moments()[1])
            mean = lengths.mean()
            if float(mean) <= 0:
                continue
            keep = settings.whiteness
            turn = (axes * (keep * lengths + (1 - keep) * mean).rsqrt()) @ axes.T
            seen = plain @ turn.to(plain.dtype)
        squares = seen.square().sum(1)
        views.append(
            ScopeView(scope, name, space, drawn, plain, turn, seen, squares, losses, high, low)
        )
    return views


def _by_loss(
    plain: Tensor, losses: Tensor, sides: NDArray[np.int8]
) -> tuple[tuple[PartSums, ...], tuple[PartSums, ...]]:
    """Sums of the rows of each part, with high losses and with low ones."""
    center = column_sums(plain) / len(plain)
    side = torch.from_numpy(sides).to(plain.device)
    low = losses <= 0
    high_sums, low_sums = (
        tuple(
            PartSums.of(plain.index_select(0, ((side == part) & kind).nonzero()[:, 0]), center)
            for part in PARTS
        )
        for kind in (~low, low)
    )
    return high_sums, low_sums


def _drawn(sides: NDArray[np.int8], most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Positions, ascending, of at most so many rows of each part."""
    parts = [np.flatnonzero(sides == side) for side in (FIRST, SECOND, ASIDE)]
    return np.sort(
        np.concatenate(
            [
                part if len(part) <= most else generator.choice(part, most, replace=False)
                for part in parts
            ]
        )
    )


def search(
    ground: Ground,
    view: ScopeView,
    half: int,
    settings: Settings,
    generator: np.random.Generator,
) -> Balls | None:
    """Candidates of one view that one half finds, best round first; None where it cannot look."""
    mine = np.flatnonzero(view.sides(ground) == half)
    if len(mine) > settings.search_rows:
        mine = np.sort(generator.choice(mine, settings.search_rows, replace=False))
    rows = ground.at(mine)
    points = view.points.index_select(0, rows)
    squares, losses = view.squares[rows], view.losses[rows]
    sizes = _sizes(len(ground.side), len(view.scope.rows), settings)
    inside = sizes * (len(mine) / len(view.scope.rows))
    if len(mine) < 8 or inside.max() >= len(mine) or float(losses.double().std()) <= 1e-9:
        return None
    wanted = torch.from_numpy(np.repeat(inside, settings.starts)).to(points.device)
    rounds = []
    for _ in range(settings.rounds):
        starts = loss_centers(points, losses, settings.starts, len(inside), generator)
        wanted = torch.cat(
            [wanted.new_full((len(s),), size) for s, size in zip(starts, inside, strict=True)]
        )
        balls = climb(points, squares, losses, torch.cat(starts), wanted, settings.iterations)
        rounds.append(balls[_unlike(balls)])
        size = inside[min(_LEAD_SIZE, len(inside) - 1)]
        lead = torch.where(balls.sizes == size, balls.values, -torch.inf).argmax()
        kernel = balls[lead[None]].weights(points, squares)[0]
        low = losses.min()
        losses = low + (losses - low) * (1.0 - kernel)
    return Balls.joined(rounds)


def _sizes(n: int, in_scope: int, settings: Settings) -> NDArray[np.float64]:
    """Sizes in rows of the scope."""
    sizes = np.array(settings.sizes) * n
    sizes = sizes[(sizes >= settings.min_core) & (sizes <= in_scope / 2)]
    if len(sizes) == 0:
        sizes = np.array([max(_LEAST, min(float(settings.min_core), 0.25 * in_scope))])
    return sizes


def _unlike(balls: Balls) -> Tensor:
    """Positions of those that did not end on a better one of the same size, best first."""
    order = torch.argsort(balls.values, descending=True, stable=True)
    centers, taus = balls.centers[order], balls.log_precisions[order].exp()
    near = torch.cdist(centers, centers).square() * taus[None] < _MET
    same = near & (balls.sizes[order][:, None] == balls.sizes[order][None])
    kept: list[int] = []
    for at, row in enumerate(same.cpu().numpy()):
        if not row[kept].any():
            kept.append(at)
    return order[torch.tensor(kept, device=order.device)]
