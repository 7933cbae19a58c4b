"""Candidates: found on one half of the rows, judged on the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.spotlight.regions.climb import Balls, climb
from backend.spotlight.regions.scopes import Scope
from backend.spotlight.regions.seeding import loss_centers
from backend.spotlight.regions.settings import Settings

# A start that ended this close to a better one (in units of 1 / tau) found the same.
_MET = 0.1
# Numbers of a kernel that are held at once.
_BLOCK = 2**24
# Rounds after the first search around what the best start at this size leaves.
_LEAD_SIZE = 2


@dataclass(frozen=True)
class Ground:
    """What all searches share. ``n`` rows in an order of their own.

    Parameters
    ----------
    points : tensor of shape (n, q)
    losses : tensor of shape (n,)
        Clipped, mean 0 and variance 1.
    side : bool array of shape (n,)
        Which rows are on the first half.
    codes : int array of shape (n,)
        Labels as numbers, 0 where there are none.
    """

    points: Tensor
    losses: Tensor
    side: NDArray[np.bool_]
    codes: NDArray[np.int64]

    def at(self, rows: NDArray[np.int64]) -> Tensor:
        """Rows as an index beside the points."""
        return torch.from_numpy(rows).to(self.points.device)


@dataclass(frozen=True)
class View:
    """The rows of one scope in one geometry.

    Parameters
    ----------
    scope : Scope
    turn : tensor of shape (q, q)
        From the space of all rows to where regions are round.
    points, squares, losses : tensors of shape (m, q), (m,) and (m,)
        Of the rows of the scope.
    """

    scope: Scope
    turn: Tensor
    points: Tensor
    squares: Tensor
    losses: Tensor


@dataclass(frozen=True)
class Found:
    """Candidates of one view, found on one half. ``k`` candidates.

    Parameters
    ----------
    view : View
    first : bool
        Whether the half that found them is the first.
    balls : Balls
    means, scores, effective : float64 arrays of shape (k,)
        On the other half: weighted mean loss; that minus the mean of all and a standard error;
        effective number of rows.
    """

    view: View
    first: bool
    balls: Balls
    means: NDArray[np.float64]
    scores: NDArray[np.float64]
    effective: NDArray[np.float64]


def views_of(ground: Ground, scope: Scope, settings: Settings) -> list[View]:
    """The scope in each geometry."""
    rows = ground.at(scope.rows)
    points, losses = ground.points[rows], ground.losses[rows]
    q = points.shape[1]
    views = []
    for geometry in settings.geometries:
        turn = torch.eye(q, dtype=torch.float64, device=points.device)
        seen = points
        if geometry == "w":
            center = points.double().mean(0)
            apart = points - center.to(points.dtype)
            lengths, axes = torch.linalg.eigh((apart.T @ apart).double() / len(points))
            mean = lengths.mean()
            if float(mean) <= 0:
                continue
            turn = (axes * (0.5 * lengths + 0.5 * mean).rsqrt()) @ axes.T
            seen = points @ turn.to(points.dtype)
        views.append(View(scope, turn, seen, seen.square().sum(1), losses))
    return views


def search(
    ground: Ground,
    view: View,
    first: bool,
    settings: Settings,
    generator: np.random.Generator,
) -> Balls | None:
    """Candidates of one view that one half finds, best round first; None where it cannot look."""
    mine = np.flatnonzero(ground.side[view.scope.rows] == first)
    if len(mine) > settings.search_rows:
        mine = np.sort(generator.choice(mine, settings.search_rows, replace=False))
    rows = ground.at(mine)
    points, squares, losses = view.points[rows], view.squares[rows], view.losses[rows]
    sizes = _sizes(len(ground.side), len(view.scope.rows), settings)
    inside = sizes * (len(mine) / len(view.scope.rows))
    if len(mine) < 8 or inside.max() >= len(mine) or float(losses.double().std()) <= 1e-9:
        return None
    wanted = torch.from_numpy(np.repeat(inside, settings.starts)).to(points.device)
    rounds = []
    for _ in range(settings.rounds):
        starts = [
            loss_centers(points, losses, settings.starts, generator) for _ in range(len(inside))
        ]
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
    sizes = sizes[(sizes >= settings.min_size) & (sizes <= in_scope / 2)]
    if len(sizes) == 0:
        sizes = np.array([max(settings.min_size, 0.1 * in_scope)])
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


def judge(ground: Ground, view: View, first: bool, balls: Balls, settings: Settings) -> Found:
    """Scores of candidates on the half that did not find them."""
    theirs = ground.at(np.flatnonzero(ground.side[view.scope.rows] != first))
    losses = view.losses[theirs].double()
    apart = losses - losses.mean()
    sums = torch.zeros((3, len(balls)), dtype=torch.float64, device=losses.device)
    error = torch.zeros(len(balls), dtype=torch.float64, device=losses.device)
    step = max(1, _BLOCK // max(1, len(balls)))
    for start in range(0, len(theirs), step):
        rows = theirs[start : start + step]
        kernel = balls.weights(view.points[rows], view.squares[rows])
        square = kernel.square()
        own = losses[start : start + step].to(kernel.dtype)
        sums[0] += kernel.sum(1)
        sums[1] += kernel @ own
        sums[2] += square.sum(1)
        error += square @ apart[start : start + step].square().to(kernel.dtype)
    mass = sums[0].clamp_min(1e-30)
    means = sums[1] / mass
    base = float(ground.losses[ground.at(np.flatnonzero(ground.side != first))].double().mean())
    scores = means - base - settings.caution * error.sqrt() / mass
    effective = (sums[0].square() / sums[2].clamp_min(1e-30)).cpu().numpy()
    return Found(view, first, balls, means.cpu().numpy(), scores.cpu().numpy(), effective)


def find_candidates(
    ground: Ground,
    scopes: list[Scope],
    settings: Settings,
    generator: np.random.Generator,
    tick: Callable[[float], None],
) -> list[Found]:
    """All candidates of all scopes, in both geometries, found on either half."""
    pool = []
    total = sum(len(scope.rows) for scope in scopes)
    done = 0
    for scope in scopes:
        for view in views_of(ground, scope, settings):
            for first in (True, False):
                tick(done / total)
                balls = search(ground, view, first, settings, generator)
                if balls is not None:
                    pool.append(judge(ground, view, first, balls, settings))
        done += len(scope.rows)
    return pool
