"""Many round regions at once, each climbing to where the weighted loss around it is highest.

The size constraint is solved for each center by Newton's method, and centers move by a loss-weighted
mean shift: the plain form of the solver in ``fast``, for many sizes in one batch and few steps. What
it finds is judged on other rows, so no digit beyond the third is worth a step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_NEWTON_FIRST, _NEWTON_NEXT = 25, 4
_NEWTON_DONE, _NEWTON_LONGEST = 2e-3, 1.5
# The step divides by the pull of the rows above the level, but by no less than this share of W sd.
_FLOOR = 0.01
# A center that moves less than this share of its radius has arrived.
_ARRIVED = 1e-2
_LOG_BOUNDS = (-30.0, 30.0)
# Weights that are held at once.
_WEIGHTS = 2**25


@dataclass(frozen=True)
class Balls:
    """``k`` round regions: (k, d) centers, (k,) log precisions, wanted sizes and weighted losses."""

    centers: Tensor
    log_precisions: Tensor
    sizes: Tensor
    values: Tensor

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, which: Tensor) -> Balls:
        return Balls(
            self.centers[which],
            self.log_precisions[which],
            self.sizes[which],
            self.values[which],
        )

    def weights(self, points: Tensor, squares: Tensor) -> Tensor:
        """(k, n) Gaussian kernel of (n, d) points with (n,) squared lengths."""
        return self.kernel(squared_distances(self.centers, points, squares))

    def kernel(self, apart: Tensor) -> Tensor:
        """(k, n) Gaussian kernel at these squared distances."""
        return _kernel(apart, self.log_precisions)

    @staticmethod
    def joined(parts: list[Balls]) -> Balls:
        """All regions of all parts."""
        names = ("centers", "log_precisions", "sizes", "values")
        return Balls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def squared_distances(centers: Tensor, points: Tensor, squares: Tensor) -> Tensor:
    """(k, n) squared distances of (n, d) points of squared length (n,) from (k, d) centers."""
    centers = centers.to(points.dtype)
    apart = torch.addmm(squares[None], centers, points.T, alpha=-2.0)
    return apart.add_(centers.square().sum(1, keepdim=True)).clamp_min_(0.0)


def climb(
    points: Tensor, squares: Tensor, losses: Tensor, centers: Tensor, sizes: Tensor, iterations: int
) -> Balls:
    """The best region on the way of each start.

    Parameters
    ----------
    points : tensor of shape (n, d)
    squares : tensor of shape (n,)
        Their squared lengths.
    losses : tensor of shape (n,)
    centers : tensor of shape (k, d)
    sizes : tensor of shape (k,)
        Total weights, each below n.
    iterations : int
    """
    together = max(1, _WEIGHTS // len(points))
    parts = [
        _climb(points, squares, losses, centers[first : first + together], size, iterations)
        for first, size in zip(range(0, len(centers), together), sizes.split(together), strict=True)
    ]
    return Balls.joined(parts)


def _climb(
    points: Tensor, squares: Tensor, losses: Tensor, centers: Tensor, sizes: Tensor, iterations: int
) -> Balls:
    spread = float(losses.double().std(correction=0))
    now = centers.double()
    best_at, best = now.clone(), torch.full_like(sizes, -math.inf)
    log_tau = best_log = torch.zeros_like(sizes)
    for step in range(iterations + 1):
        apart = squared_distances(now, points, squares)
        if step == 0:
            log_tau = -apart.double().mean(1).clamp_min(1e-12).log()
        log_tau, kernel, pulled = _solve(
            apart, sizes, log_tau, _NEWTON_NEXT if step else _NEWTON_FIRST
        )
        mass = kernel.sum(1).double()
        value = (kernel @ losses).double() / mass
        better = value > best
        best = torch.where(better, value, best)
        best_at = torch.where(better[:, None], now, best_at)
        best_log = torch.where(better, log_tau, best_log)
        if step == iterations:
            break
        level = (pulled @ losses).double() / pulled.sum(1).double().clamp_min(1e-30)
        weight = kernel.mul_(losses - level[:, None].to(losses.dtype))
        total = weight.sum(1).double().clamp_min(_FLOOR * spread * mass)
        move = ((weight @ points).double() - weight.sum(1, keepdim=True).double() * now) / total[
            :, None
        ]
        radius = torch.exp(-0.5 * log_tau)
        length = move.norm(dim=1)
        move *= (radius / length.clamp_min(1e-30)).clamp_max(1.0)[:, None]
        now = now + move
        if bool((length < _ARRIVED * radius).all()):
            break
    return Balls(best_at, best_log, sizes, best)


def solve_precisions(apart: Tensor, sizes: Tensor) -> Tensor:
    """(k,) log precisions at which the total weights over (k, n) squared distances are the sizes."""
    guess = -apart.double().mean(1).clamp_min(1e-12).log()
    return _solve(apart, sizes, guess, _NEWTON_FIRST)[0]


def _solve(
    apart: Tensor, sizes: Tensor, log_tau: Tensor, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Log precisions at which total weights are the sizes, and the (k, n) kernel near there.

    The third is kernel times squared distance. Both are those before the last step where that was
    short: a part in a thousand of a weight changes no mean. Where more rows than the size sit on the
    center itself, the precision ends at its bound.
    """
    for _ in range(steps):
        kernel = _kernel(apart, log_tau)
        pulled = kernel * apart
        mass = kernel.sum(1).double()
        slope = 0.5 * torch.exp(log_tau) * pulled.sum(1).double() / mass
        move = (torch.log(mass / sizes) / slope.clamp_min(1e-6)).clamp(
            -_NEWTON_LONGEST, _NEWTON_LONGEST
        )
        log_tau = (log_tau + move).clamp(*_LOG_BOUNDS)
        if bool((move.abs() < _NEWTON_DONE).all()):
            return log_tau, kernel, pulled
    kernel = _kernel(apart, log_tau)
    return log_tau, kernel, kernel * apart


def _kernel(apart: Tensor, log_tau: Tensor) -> Tensor:
    """(k, n) Gaussian kernel; a power of two takes half the time of one of e."""
    factors = (-0.5 / math.log(2.0)) * torch.exp(log_tau)
    return torch.exp2(apart * factors[:, None].to(apart.dtype))
