"""Linear directions along which the loss grows: failures that are a half-space, which no ball can see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.core.strongest import largest
from backend.spotlight.regions.moments import column_sums
from backend.spotlight.regions.pool import Judged, JudgedLosses, base_of, counted_in, filled_up
from backend.spotlight.regions.scopes import Scope
from backend.spotlight.regions.settings import Settings
from backend.spotlight.regions.space import ReadyRows
from backend.spotlight.regions.views import FIRST, SECOND, Ground

# Fewer rows than this tell no direction.
_FEWEST = 20
# Losses of no more variance than this, in that of all, are equal.
_EQUAL = 1e-12


@dataclass(frozen=True)
class JudgedDirections(Judged):
    """Directions of one scope that one half found, each in several sizes.

    Parameters
    ----------
    vectors : float64 tensor of shape (v, d)
        Fitted on both halves, in the units of ``ReadyRows``: what members are ranked by. The
        candidates were judged by those that the half which found them fitted alone.
    which : int array of shape (k,)
        The vector of each candidate.
    levels : tensor of shape (v, m)
        Of the rows of the scope along these.
    """

    vectors: Tensor
    which: NDArray[np.int64]
    levels: Tensor

    def rank(self, ground: Ground, ats: NDArray[np.int64], settings: Settings) -> Tensor:
        return self.levels[torch.from_numpy(self.which[ats]).to(self.levels.device)]


@dataclass(frozen=True)
class _Sums:
    """Of rows ``x`` and losses ``t``: their number, and the sums of x, t, t t, x x' and x t."""

    count: float
    rows: Tensor
    loss: Tensor
    squares: Tensor
    scatter: Tensor
    toward: Tensor

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def slopes(self, ridges: tuple[float, ...]) -> Tensor | None:
        """(v, d) slopes of the loss, one per ridge, of unit length.

        None with too few rows, or where all losses are equal.
        """
        if self.count < _FEWEST:
            return None
        mean, level = self.rows / self.count, self.loss / self.count
        if float(self.squares / self.count - level.square()) <= _EQUAL:
            return None
        scatter = self.scatter / self.count - torch.outer(mean, mean)
        toward = self.toward / self.count - mean * level
        ridge = scatter.diagonal().mean().clamp_min(1e-12) * torch.eye(
            len(mean), dtype=torch.float64, device=mean.device
        )
        slopes = torch.stack([torch.linalg.solve(scatter + r * ridge, toward) for r in ridges])
        lengths = slopes.norm(dim=1, keepdim=True)
        return None if bool((lengths <= 0).any()) else slopes / lengths


@dataclass(frozen=True)
class _Fitted:
    """Slopes (v, d) in one scope: of the first half, of the second, and of both."""

    scope: Scope
    slopes: tuple[Tensor | None, Tensor | None, Tensor]

    @property
    def together(self) -> Tensor:
        """All of them that there are, one below the other."""
        return torch.cat([one for one in self.slopes if one is not None])


def find_directions(
    ground: Ground,
    rows: ReadyRows,
    order: NDArray[np.int64],
    scopes: list[Scope],
    settings: Settings,
    generator: np.random.Generator,
    tick: Callable[[float], None],
) -> list[Judged]:
    """A ridge regression of the loss on all dimensions, in each scope and half, judged on the other.

    Parameters
    ----------
    ground : Ground
    rows : ReadyRows
        The embeddings in the caller's order.
    order : int array of shape (n,)
        The caller's rows in the order of the ground.
    scopes, settings, generator, tick
        As elsewhere; the first scope holds all rows, each other one a label.

    Notes
    -----
    Rows are read once for the fits, label by label, whose sums add up to those of all rows; and once
    in blocks for the levels of all.
    """
    found: list[_Fitted] = []
    held = np.zeros(len(ground.side), bool)

    def sums(scope: Scope, half: int) -> tuple[_Sums, _Sums]:
        return _sums(ground, rows, order, scope, half, settings, generator)

    every = [sums(Scope((), np.empty(0, np.int64)), half)[1] for half in (FIRST, SECOND)]
    for number, scope in enumerate(scopes[1:]):
        tick(0.7 * number / len(scopes))
        held[scope.rows] = True
        parts = [sums(scope, half) for half in (FIRST, SECOND)]
        every = [before + plain for before, (_, plain) in zip(every, parts, strict=True)]
        found += _fitted(scope, [own for own, _ in parts], settings)
    left = Scope((), np.flatnonzero(~held))
    every = [before + sums(left, half)[1] for half, before in enumerate(every)]
    found += _fitted(scopes[0], every, settings)
    pool: list[Judged] = []
    levels_of = _levels(rows, order, found, len(held))
    for number, (fitted, levels) in enumerate(zip(found, levels_of, strict=True)):
        tick(0.7 + 0.3 * number / len(found))
        *apart, both = levels.split(len(settings.directions))
        for half in (FIRST, SECOND):
            if fitted.slopes[half] is not None:
                along = apart.pop(0)
                pool.append(_judge(ground, fitted, half, along, both, settings))
    return pool


def _fitted(scope: Scope, halves: list[_Sums], settings: Settings) -> list[_Fitted]:
    """The slopes in a scope; none where neither half, or not both together, tell a direction."""
    one, other = (half.slopes(settings.directions) for half in halves)
    both = (halves[0] + halves[1]).slopes(settings.directions)
    if both is None or (one is None and other is None):
        return []
    return [_Fitted(scope, (one, other, both))]


def _sums(
    ground: Ground,
    rows: ReadyRows,
    order: NDArray[np.int64],
    scope: Scope,
    half: int,
    settings: Settings,
    generator: np.random.Generator,
) -> tuple[_Sums, _Sums]:
    """Sums over the rows of one half in a scope: with the losses of the scope, and with those of all.

    Of many rows a sample stands for all.
    """
    mine = np.flatnonzero(ground.side[scope.rows] == half)
    factor = 1.0
    if len(mine) > settings.direction_rows:
        factor = len(mine) / settings.direction_rows
        mine = np.sort(generator.choice(mine, settings.direction_rows, replace=False))
    # The embeddings are read in the caller's order: ascending on disk.
    places = order[scope.rows[mine]]
    ascending = np.argsort(places, kind="stable")
    places, mine = places[ascending], mine[ascending]
    losses = [ground.losses[ground.at(scope.rows[mine])].double()]
    if scope.losses is not None:
        losses.append(scope.losses[ground.at(mine)].double())
    targets = torch.stack(losses, dim=1)
    d = rows.values.shape[1]
    scatter = torch.zeros((d, d), dtype=torch.float64, device=rows.device)
    toward = torch.zeros((d, len(losses)), dtype=torch.float64, device=rows.device)
    total = torch.zeros(d, dtype=torch.float64, device=rows.device)
    for start, block in rows.taken(places):
        scatter += block.T @ block
        total += column_sums(block)
        toward += block.T @ targets[start : start + len(block)].to(block.dtype)
    sums = [
        _Sums(
            factor * len(mine),
            factor * total,
            factor * targets[:, at].sum(),
            factor * targets[:, at].square().sum(),
            factor * scatter,
            factor * toward[:, at],
        )
        for at in range(len(losses))
    ]
    return sums[-1], sums[0]


def _levels(
    rows: ReadyRows, order: NDArray[np.int64], found: list[_Fitted], n: int
) -> list[Tensor]:
    """(v, m) levels of the rows of each scope along its vectors; all rows are read once."""
    if not found:
        return []
    counts = [len(fitted.together) for fitted in found]
    together = torch.cat([fitted.together for fitted in found]).to(rows.dtype)
    along = torch.empty((len(together), n), dtype=rows.dtype, device=rows.device)
    for start, block in rows.blocks():
        along[:, start : start + len(block)] = together @ block.T
    return [
        part[:, torch.from_numpy(order[fitted.scope.rows]).to(rows.device)]
        for part, fitted in zip(along.split(counts), found, strict=True)
    ]


def _judge(
    ground: Ground,
    fitted: _Fitted,
    half: int,
    along: Tensor,
    levels: Tensor,
    settings: Settings,
) -> JudgedDirections:
    """Candidates by the levels ``along`` the slopes of one half, with ``levels`` along those of both."""
    scope = fitted.scope
    side = ground.side[scope.rows]
    theirs = np.flatnonzero(side == 1 - half)
    losses = ground.losses[ground.at(scope.rows)] if scope.losses is None else scope.losses
    losses = losses[ground.at(theirs)].double()
    n, m = len(side), len(ground.side)
    cores = np.array(settings.sizes) * m
    cores = cores[(cores >= settings.min_core) & (cores <= settings.direction_most * n)]
    if len(cores) == 0:
        cores = np.array([max(1.0, settings.direction_most * n)])
    sizes = filled_up(cores, n, settings.direction_most, settings)
    counts, inside = (counted_in(some, len(theirs) / n, len(theirs)) for some in (cores, sizes))
    judged = JudgedLosses.empty(len(along) * len(sizes))
    held_out: list[NDArray[np.int64]] = []
    spread = along.std(dim=1).clamp_min(1e-12)
    for number, line in enumerate(along[:, ground.at(theirs)] / spread[:, None]):
        for at, (count, members) in enumerate(zip(counts.tolist(), inside.tolist(), strict=True)):
            held_out.append(scope.rows[theirs[largest(line, members)]])
            # The draft of a round region adds two such lines, each of variance 1.
            judged.write(number * len(sizes) + at, losses, 2.0 * line, count, settings)
    scores = judged.scores(
        base_of(ground, scope, half, losses, settings),
        np.tile(cores / m, len(along)),
        np.tile(counts, len(along)),
        settings,
        settings.direction_worth,
    )
    return JudgedDirections(
        scope,
        half,
        np.tile(sizes, len(along)),
        tuple(held_out),
        scores,
        fitted.slopes[-1],
        np.repeat(np.arange(len(along)), len(sizes)),
        levels,
    )
