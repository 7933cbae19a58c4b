"""The rows of each scope as the search sees them, and the candidates that one half finds."""

from __future__ import annotations

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
    geometry : str
    plain : tensor of shape (m, q)
        The rows before they are turned.
    turn : tensor of shape (q, q)
        From the space of all rows to where regions are round.
    points, squares, losses : tensors of shape (m, q), (m,) and (m,)
        Of the rows of the scope.
    """

    scope: Scope
    geometry: str
    plain: Tensor
    turn: Tensor
    points: Tensor
    squares: Tensor
    losses: Tensor


def views_of(ground: Ground, scope: Scope, settings: Settings) -> list[View]:
    """The scope in each geometry."""
    rows = ground.at(scope.rows)
    own, losses = ground.points[rows], ground.losses[rows]
    q = own.shape[1]
    views = []
    for geometry in settings.geometries:
        plain = own
        if "c" in geometry:
            if scope.bound or ground.codes.max() == 0:
                continue
            plain = own - _label_means(own, ground.at(ground.codes[scope.rows]))
        turn = torch.eye(q, dtype=torch.float64, device=own.device)
        seen = plain
        if "w" in geometry:
            center = plain.double().mean(0)
            apart = plain - center.to(plain.dtype)
            lengths, axes = torch.linalg.eigh((apart.T @ apart).double() / len(plain))
            mean = lengths.mean()
            if float(mean) <= 0:
                continue
            keep = settings.whiteness
            turn = (axes * (keep * lengths + (1 - keep) * mean).rsqrt()) @ axes.T
            seen = plain @ turn.to(plain.dtype)
        views.append(View(scope, geometry, plain, turn, seen, seen.square().sum(1), losses))
    return views


def _label_means(points: Tensor, codes: Tensor) -> Tensor:
    """(n, q) mean of each row's label."""
    count = int(codes.max()) + 1
    sums = points.new_zeros((count, points.shape[1]), dtype=torch.float64)
    sums.index_add_(0, codes, points.double())
    counts = torch.bincount(codes, minlength=count).clamp_min(1)[:, None]
    return (sums / counts).to(points.dtype)[codes]


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
