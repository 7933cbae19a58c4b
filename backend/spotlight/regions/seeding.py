"""Where climbs begin: k-means centers of rows drawn by their loss."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_DRAWN, _TRIALS, _LLOYD = 1500, 3, 4
# Squared distances below so many units of rounding of the squared lengths: the rows are the same.
_ROUNDING = 45.0


def loss_centers(
    points: Tensor, losses: Tensor, count: int, sets: int, generator: np.random.Generator
) -> list[Tensor]:
    """(count, d) centers of high-loss rows in each of so many sets; fewer of fewer distinct rows.

    Rows are drawn without replacement in proportion to their loss above the median (all alike
    where no row is), then clustered: greedy k-means++ and a few steps of Lloyd. Sets are drawn each
    for itself, and clustered side by side.
    """
    values = losses.double().cpu().numpy()
    excess = np.maximum(values - np.median(values), 0.0)
    able = np.flatnonzero(excess)
    if len(able) < count:
        excess, able = np.ones(len(values)), np.arange(len(values))
    # The largest of u^(1/w) are a weighted draw without replacement (Efraimidis and Spirakis 2006).
    with np.errstate(divide="ignore"):
        keys = np.log(generator.random((sets, len(able)))) / excess[able]
    k = min(_DRAWN, len(able))
    drawn = able[np.argpartition(-keys, k - 1, axis=1)[:, :k]]
    at = torch.from_numpy(drawn.ravel()).to(points.device)
    rows = points.index_select(0, at).view(sets, k, -1)
    squares = rows.square().sum(2)
    starts, counts = _plus_plus(rows, squares, count, generator)
    centers = _lloyd(rows, squares, starts).double()
    return [some[:able] for some, able in zip(centers, counts, strict=True)]


def _plus_plus(
    rows: Tensor, squares: Tensor, count: int, generator: np.random.Generator
) -> tuple[Tensor, list[int]]:
    """Spread-out rows of each set, (s, count, d), and how many of them are distinct.

    Of a few drawn by squared distance each is the one that leaves least.
    """
    s, k, _ = rows.shape
    every = torch.arange(s, device=rows.device)[:, None]
    first = torch.from_numpy(generator.integers(k, size=(s, 1))).to(rows.device)
    chosen = first.expand(s, count).clone()
    counts = torch.ones(s, dtype=torch.int64, device=rows.device)
    nearest = _apart(rows[every, first], squares[every, first], rows, squares)[:, 0]
    for number in range(1, count):
        goes_on = (nearest > 0).any(1)
        if not bool(goes_on.any()):
            break
        running = torch.cumsum(nearest, 1)
        ticks = torch.from_numpy(generator.random((s, _TRIALS))).to(running) * running[:, -1:]
        tried = torch.searchsorted(running, ticks, right=True).clamp_max(k - 1)
        apart = _apart(rows[every, tried], squares[every, tried], rows, squares)
        left = torch.minimum(nearest[:, None], apart)
        best = left.sum(2).argmin(1, keepdim=True)
        chosen[:, number] = tried.gather(1, best)[:, 0]
        nearest = left[every[:, 0], best[:, 0]]
        counts += goes_on
    return rows[every, chosen], counts.tolist()


def _apart(some: Tensor, of_some: Tensor, rows: Tensor, squares: Tensor) -> Tensor:
    """(s, a, b) squared distances of (s, a, d) from (s, b, d); 0 for what is no more than rounding."""
    scale = of_some[:, :, None] + squares[:, None, :]
    apart = torch.baddbmm(scale, some, rows.transpose(1, 2), alpha=-2.0)
    return torch.where(apart > _ROUNDING * torch.finfo(rows.dtype).eps * scale, apart, 0.0)


def _lloyd(rows: Tensor, squares: Tensor, centers: Tensor) -> Tensor:
    for _ in range(_LLOYD):
        nearest = _apart(rows, squares, centers, centers.square().sum(2)).argmin(2)
        member = torch.nn.functional.one_hot(nearest, centers.shape[1]).to(rows.dtype)
        counts = member.sum(1)[:, :, None]
        means = torch.bmm(member.transpose(1, 2), rows) / counts.clamp_min(1.0)
        centers = torch.where(counts > 0, means, centers)
    return centers
