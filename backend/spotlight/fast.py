"""The fast solver: the size constraint is solved exactly instead of fought with a barrier.

For a center ``mu`` with squared distances ``D`` the total weight ``W(tau) = sum c k(tau D)`` falls
with the precision ``tau``, so ``W = S`` is a one-dimensional root. Let ``E`` be the weighted loss
there and ``c = sum g D l / sum g D`` with ``g`` the kernel's pull. Along ``W = S``

    dE/dmu  is proportional to  sum g_i (l_i - c) (x_i - mu)

and the Lagrange multiplier has the sign of ``E - c``. Where ``E < c`` a larger region is better:
``tau`` then falls until ``c = E``. All starts share two matrix products per step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.spotlight.kernels import Kernel, pull, weigh
from backend.spotlight.rows import Rows

# tau beyond these bounds is no region: everything, or single points. Data has unit size.
_LOG_TAU_LOW, _LOG_TAU_HIGH = -27.0, 27.0


@dataclass(frozen=True)
class Problem:
    """What one search maximises, on the solver's device.

    Parameters
    ----------
    rows : Rows
    losses : tensor of shape (n,)
        Mean 0 and variance 1 over the rows, higher is better to find.
    counts : tensor of shape (n,) or None
    min_weight : float
        S, in examples.
    kernel : {"gaussian", "squared_distance"}
    """

    rows: Rows
    losses: Tensor
    counts: Tensor | None
    min_weight: float
    kernel: Kernel


@dataclass
class Sizes:
    """Best sizes found for given centers: per center ``tau``, ``W``, ``E`` and ``c``."""

    log_tau: Tensor
    total: Tensor
    value: Tensor
    level: Tensor
    slack: Tensor


@dataclass(frozen=True)
class Found:
    """Where the starts ended, best first. Centers in normalised coordinates."""

    centers: Tensor
    log_tau: Tensor
    values: Tensor
    slack: Tensor
    steps: Tensor
    converged: Tensor


def sums(distances: Tensor, log_tau: Tensor, problem: Problem) -> tuple[Tensor, ...]:
    """float64 ``W``, ``E``, ``c`` and ``sum c g q`` for (k, n) distances at (k,) precisions."""
    q = distances * torch.exp(log_tau)[:, None].to(distances.dtype)
    k = weigh(q, problem.kernel)
    g = pull(q, k, problem.kernel)
    if problem.counts is not None:
        g = g * problem.counts if g is not k else g
        k = k * problem.counts
        g = k if problem.kernel == "gaussian" else g
    gq = g * q
    total = k.sum(1, dtype=torch.float64)
    slope = gq.sum(1, dtype=torch.float64)
    value = (k @ problem.losses).double() / total
    level = (gq @ problem.losses).double() / slope
    return total, value, level, slope


def solve_sizes(distances: Tensor, guess: Tensor, problem: Problem, *, steps: int = 40) -> Sizes:
    """The best allowed precision for each center: ``W = S``, or larger where that is better.

    Newton on ``log W`` as a function of ``tau``, which for the Gaussian is convex, inside a
    bracket in ``log tau``. Where S or more rows sit on the center there is no root: ``tau`` then
    ends at its cap.
    """
    goal = problem.min_weight
    low = torch.full_like(guess, _LOG_TAU_LOW)
    high = torch.full_like(guess, _LOG_TAU_HIGH)
    u = guess.clamp(_LOG_TAU_LOW, _LOG_TAU_HIGH)
    factor = 0.5 if problem.kernel == "gaussian" else 1.0
    tolerance = 1e-11 if distances.dtype == torch.float64 else 3e-6
    for _ in range(steps):
        total, value, level, slope = sums(distances, u, problem)
        gap = torch.log(total / goal)
        done = (gap.abs() < tolerance) | (high - low < 1e-9)
        if bool(done.all()):
            break
        low = torch.where(gap > 0, u, low)
        high = torch.where(gap > 0, high, u)
        # d log W / d log tau = -factor slope / W; the step in tau, written for log tau.
        step = gap * total / (factor * slope)
        new = u + torch.log1p(step.clamp(-0.85, 6.0))
        inside = (new > low) & (new < high) & torch.isfinite(new)
        u = torch.where(done, u, torch.where(inside, new, 0.5 * (low + high)))
    sizes = Sizes(u, total, value, level, torch.zeros_like(u, dtype=torch.bool))
    sizes.slack |= sizes.total > goal * (1 + 1e-3)
    grow = torch.nonzero((level - value > 1e-9) & ~sizes.slack)[:, 0]
    if len(grow):
        _grow(distances[grow], grow, sizes, problem)
    return sizes


def _grow(distances: Tensor, which: Tensor, sizes: Sizes, problem: Problem) -> None:
    """Lower ``tau`` of the centers in ``which`` until the level ``c`` has fallen to ``E``."""
    high = sizes.log_tau[which]
    low = high.clone()
    stride = torch.full_like(high, 0.1)
    open_ = torch.ones_like(high, dtype=torch.bool)
    for _ in range(12):
        low = torch.where(open_, low - stride, low)
        _, value, level, _ = sums(distances, low, problem)
        still = open_ & (level > value)
        high = torch.where(still, low, high)
        open_ = still
        stride = stride * 2
        if not bool(open_.any()):
            break
    for _ in range(30):
        middle = 0.5 * (low + high)
        _, value, level, _ = sums(distances, middle, problem)
        larger = level > value
        high = torch.where(larger, middle, high)
        low = torch.where(larger, low, middle)
        if float((high - low).max()) < 1e-7:
            break
    total, value, level, _ = sums(distances, high, problem)
    sizes.log_tau[which] = high
    sizes.total[which], sizes.value[which], sizes.level[which] = total, value, level
    sizes.slack[which] = True


def ascend(
    problem: Problem, centers: Tensor, *, max_steps: int, log_tau: Tensor | None = None
) -> Found:
    """Climb from every (k, d) center at once; those that have arrived leave the batch."""
    rows = problem.rows
    k = len(centers)
    eps = 0.01
    tol = 1e-7 if rows.dtype == torch.float64 else 1e-6
    guess = (
        log_tau if log_tau is not None else torch.zeros(k, dtype=torch.float64, device=rows.device)
    )
    final = [None] * k
    alive = torch.arange(k, device=rows.device)
    mu = centers.clone()
    D = rows.distances(mu)
    sizes = solve_sizes(D, guess, problem)
    scale = torch.ones(k, dtype=torch.float64, device=rows.device)
    calm = torch.zeros(k, dtype=torch.int64, device=rows.device)
    out_mu = mu.clone()
    out = Sizes(
        *(t.clone() for t in (sizes.log_tau, sizes.total, sizes.value, sizes.level, sizes.slack))
    )
    out_steps = torch.zeros(k, dtype=torch.int64)
    out_conv = torch.zeros(k, dtype=torch.bool)
    del final
    for step_count in range(1, max_steps + 1):
        tau = torch.exp(sizes.log_tau)
        q = D * tau[:, None].to(D.dtype)
        kk = weigh(q, problem.kernel)
        g = pull(q, kk, problem.kernel)
        if problem.counts is not None:
            g = g * problem.counts
        w = g * (problem.losses[None, :] - sizes.level[:, None].to(D.dtype))
        sw = w.sum(1, dtype=torch.float64)
        v = rows.pull(w).double() - sw[:, None] * mu.double()
        direction = v / torch.maximum(sw, eps * sizes.total)[:, None]
        length = direction.norm(dim=1)
        radius = torch.exp(-0.5 * sizes.log_tau)
        direction *= torch.clamp(radius / length.clamp_min(1e-30), max=1.0)[:, None]
        new_mu = (mu.double() + scale[:, None] * direction).to(mu.dtype)
        newD = rows.distances(new_mu)
        new = solve_sizes(newD, sizes.log_tau, problem)
        gain = new.value - sizes.value
        better = gain >= -1e-9
        calm = torch.where(gain.abs() < tol, calm + 1, torch.zeros_like(calm))
        mu = torch.where(better[:, None], new_mu, mu)
        D = torch.where(better[:, None], newD, D)
        for name in ("log_tau", "total", "value", "level", "slack"):
            setattr(sizes, name, torch.where(better, getattr(new, name), getattr(sizes, name)))
        scale = torch.where(better, (scale * 1.3).clamp(max=4.0), scale * 0.5)
        arrived = (calm >= 3) | (scale < 1e-3)
        out_mu[alive] = mu
        for name in ("log_tau", "total", "value", "level", "slack"):
            getattr(out, name)[alive] = getattr(sizes, name)
        out_steps[alive.cpu()] = step_count
        out_conv[alive.cpu()] = arrived.cpu()
        stay = ~arrived
        if not bool(stay.any()):
            break
        if not bool(stay.all()):
            alive, mu, D, scale, calm = alive[stay], mu[stay], D[stay], scale[stay], calm[stay]
            for name in ("log_tau", "total", "value", "level", "slack"):
                setattr(sizes, name, getattr(sizes, name)[stay])
    best = torch.argsort(out.value, descending=True, stable=True)
    return Found(
        out_mu[best],
        out.log_tau[best],
        out.value[best],
        out.slack[best],
        out_steps[best.cpu()],
        out_conv[best.cpu()],
    )
