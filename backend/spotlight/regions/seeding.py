"""Where climbs begin: k-means centers of rows drawn by their loss."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_DRAWN, _TRIALS, _LLOYD = 1500, 3, 4
# Squared distances below this share of the squared lengths are rounding: the rows are the same.
_ROUNDING = 1e-14


def loss_centers(
    points: Tensor, losses: Tensor, count: int, generator: np.random.Generator
) -> Tensor:
    """(count, d) centers of high-loss rows; fewer when there are fewer distinct rows.

    Rows are drawn without replacement in proportion to their loss above the median (all alike
    where no row is), then clustered: greedy k-means++ and a few steps of Lloyd.
    """
    values = losses.double().cpu().numpy()
    excess = np.maximum(values - np.median(values), 0.0)
    able = int((excess > 0).sum())
    if able < count:
        excess, able = np.ones(len(values)), len(values)
    # The largest of u^(1/w) are a weighted draw without replacement (Efraimidis and Spirakis 2006).
    with np.errstate(divide="ignore"):
        keys = np.where(excess > 0, np.log(generator.random(len(values))) / excess, -np.inf)
    count_drawn = min(_DRAWN, able)
    drawn = np.argpartition(-keys, count_drawn - 1)[:count_drawn]
    drawn = drawn[np.argsort(-keys[drawn])]
    rows = points[torch.from_numpy(drawn).to(points.device)].double()
    squares = rows.square().sum(1)
    return _lloyd(rows, squares, _plus_plus(rows, squares, count, generator))


def _plus_plus(rows: Tensor, squares: Tensor, count: int, generator: np.random.Generator) -> Tensor:
    """Spread-out rows: of a few drawn by squared distance, the one that leaves least."""
    first = int(generator.integers(len(rows)))
    chosen = [first]
    nearest = _apart(rows[[first]], squares[[first]], rows, squares)[0]
    while len(chosen) < count and bool((nearest > 0).any()):
        running = torch.cumsum(nearest, 0)
        ticks = torch.from_numpy(generator.random(_TRIALS)).to(running) * running[-1]
        tried = torch.searchsorted(running, ticks, right=True).clamp_max(len(rows) - 1)
        left = torch.minimum(nearest, _apart(rows[tried], squares[tried], rows, squares))
        best = int(left.sum(1).argmin())
        chosen.append(int(tried[best]))
        nearest = left[best]
    return rows[chosen]


def _apart(some: Tensor, of_some: Tensor, rows: Tensor, squares: Tensor) -> Tensor:
    """(k, n) squared distances; 0 for what is no more than rounding."""
    scale = of_some[:, None] + squares
    apart = scale - 2.0 * (some @ rows.T)
    return torch.where(apart > _ROUNDING * scale, apart, 0.0)


def _lloyd(rows: Tensor, squares: Tensor, centers: Tensor) -> Tensor:
    for _ in range(_LLOYD):
        nearest = _apart(rows, squares, centers, centers.square().sum(1)).argmin(1)
        member = torch.nn.functional.one_hot(nearest, len(centers)).to(rows.dtype)
        counts = member.sum(0)
        means = (member.T @ rows) / counts.clamp_min(1.0)[:, None]
        centers = torch.where((counts > 0)[:, None], means, centers)
    return centers
