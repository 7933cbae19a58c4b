"""The best size of a region around given centers: the size constraint, solved exactly.

Around a center with squared distances ``D`` the total weight ``W(tau) = sum c k(tau D)`` falls as
the precision ``tau`` grows, so ``W = S`` is a one-dimensional root. With ``g`` the kernel's pull,

    E = sum c k l / sum c k          the weighted loss
    c = sum g D l / sum g D          the loss level at which an example adds nothing to E

and ``dE / d log W = c - E`` along ``tau``. Where ``E >= c`` the smallest region is the best one
and the constraint binds. Where ``E < c`` a larger one is better: ``tau`` falls until ``c = E``.

With the Gaussian, searches pass through such places but do not end there: with ``w = g (l - c)``
both ``sum w`` and ``sum w D`` vanish, the latter is the trace of the second derivative by the
center, and a trace of 0 is a saddle. With the compact kernel they are proper optima.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from backend.spotlight.solver.blocks import Sum
from backend.spotlight.solver.kernels import SLOPE, pull, weigh
from backend.spotlight.solver.names import Kernel
from backend.spotlight.solver.ranks import ALONE, Processes

# Data has unit size. Beyond these bounds a region is everything, or a single point.
LOG_PRECISION_BOUNDS = (-27.0, 27.0)
_NEWTON_STEPS = 60
# On a GPU the host asks whether all roots are found only after so many steps: each question waits
# for the device, and a step more costs less.
_CUDA_STEPS = 4
# A level this far above the weighted loss (in standard deviations of the loss) asks for growth.
_SLACK = 1e-9


@dataclass(frozen=True)
class Problem:
    """What one search maximises, on the solver's device. ``n`` examples.

    Parameters
    ----------
    losses : tensor of shape (n,)
        Mean 0 and variance 1; higher is what the search looks for.
    counts : tensor of shape (n,) or None
        How often each row counts; None for once.
    min_weight : float
        S, in examples.
    kernel : {"gaussian", "squared_distance"}
    softness : float
        Rounding of the compact kernel's edge.
    ranks : Processes
        The processes that share the search; ``losses`` and ``counts`` are of the own rows.
    block : int
        Sums are taken over so many rows at a time; 0 for all at once.
    """

    losses: Tensor
    counts: Tensor | None
    min_weight: float
    kernel: Kernel
    softness: float = 0.0
    ranks: Processes = ALONE
    block: int = 0

    def of(self, part: slice) -> Problem:
        """The same for some of the own rows."""
        counts = None if self.counts is None else self.counts[part]
        return replace(self, losses=self.losses[part], counts=counts)


@dataclass
class Sizes:
    """Solved sizes around ``k`` centers; every field is a (k,) tensor, float64 but for ``slack``.

    Parameters
    ----------
    log_precision : log ``tau``
    total : ``W``
    value : ``E``, corrected to first order for what is left of ``W - S``
    level : ``c``
    slack : whether the size is above S
    """

    log_precision: Tensor
    total: Tensor
    value: Tensor
    level: Tensor
    slack: Tensor

    def parts(self) -> tuple[Tensor, ...]:
        """The fields in order."""
        return self.log_precision, self.total, self.value, self.level, self.slack

    def __getitem__(self, which: Tensor | slice) -> Sizes:
        return Sizes(*(part[which] for part in self.parts()))

    def __setitem__(self, which: Tensor, other: Sizes) -> None:
        for part, new in zip(self.parts(), other.parts(), strict=True):
            part[which] = new


def solve_sizes(
    distances: Tensor, guess: Tensor, problem: Problem, *, tolerance: float = 1e-3
) -> Sizes:
    """Best allowed precision for each row of (k, n) squared distances, searched from a guess.

    ``log W`` is convex and falling in ``tau`` for the Gaussian (for the compact kernel ``W`` is),
    so Newton runs on it in ``tau``, inside a bracket kept in ``log tau``. Where S or more rows sit
    on the center there is no root: ``tau`` then ends at its cap and ``slack`` is set.

    ``tolerance`` is on ``log(W / S)``. ``value`` errs by its square only.
    """
    low = torch.full_like(guess, LOG_PRECISION_BOUNDS[0])
    high = torch.full_like(guess, LOG_PRECISION_BOUNDS[1])
    now = guess.clamp(*LOG_PRECISION_BOUNDS)
    total, value, level, gap = (torch.zeros_like(now) for _ in range(4))
    ids, near = torch.arange(len(now), device=now.device), distances
    asked = _CUDA_STEPS if distances.is_cuda else 1
    for step in range(_NEWTON_STEPS):
        total[ids], value[ids], level[ids], slope = _sums(near, now[ids], problem)
        gap[ids] = torch.log(total[ids] / problem.min_weight)
        done = (gap[ids].abs() < tolerance) | (high[ids] - low[ids] < 1e-12)
        if step % asked == asked - 1 and bool(done.all()):
            break
        at, apart = now[ids], gap[ids]
        low[ids] = torch.where(apart > 0, at, low[ids])
        high[ids] = torch.where(apart > 0, high[ids], at)
        # Newton's step of tau over tau
        relative = apart * total[ids] / (SLOPE[problem.kernel] * slope)
        new = at + torch.log1p(relative.clamp(-0.9, 9.0))
        inside = (new > low[ids]) & (new < high[ids])  # false for NaN, too
        new = torch.where(inside, new, 0.5 * (low[ids] + high[ids]))
        now[ids] = torch.where(done, at, new)
        if asked == 1 and 2 * int(done.sum()) >= len(ids):  # sums are taken for the others only
            ids, near = ids[~done], near[~done]
    slack = gap > tolerance
    value = torch.where(slack, value, value - (level - value) * gap)
    sizes = Sizes(now, total, value, level, slack)
    grow = (level - value > _SLACK) & ~slack
    if bool(grow.any()):
        sizes[grow] = _grow(distances[grow], sizes[grow], problem)
    return sizes


def _sums(distances: Tensor, log_precision: Tensor, problem: Problem) -> tuple[Tensor, ...]:
    """float64 ``W``, ``E``, ``c`` and ``sum g q``, each (k,); ratios of empty sums are 0."""
    q, weights, slopes = kernel_at(distances, log_precision, problem)
    moments = slopes * q
    sums, own = Sum(), q.shape[1]
    for low in range(0, max(own, 1), problem.block or max(own, 1)):
        part = slice(low, low + problem.block if problem.block else own)
        w, m, losses = weights[:, part], moments[:, part], problem.losses[part]
        both = [w.sum(1, dtype=torch.float64), m.sum(1, dtype=torch.float64)]
        sums.add(torch.stack([*both, (w @ losses).double(), (m @ losses).double()]))
    total, slope, lost, lost_at_edge = problem.ranks.merged(sums)
    return total, lost / total.clamp_min(1e-300), lost_at_edge / slope.clamp_min(1e-300), slope


def kernel_at(
    distances: Tensor, log_precision: Tensor, problem: Problem
) -> tuple[Tensor, Tensor, Tensor]:
    """(k, n) scaled distances ``q``, counted weights ``c k`` and counted pulls ``c g``."""
    q = distances * torch.exp(log_precision)[:, None].to(distances.dtype)
    weights = weigh(q, problem.kernel, problem.softness)
    slopes = pull(q, weights, problem.kernel, problem.softness)
    if problem.counts is not None:
        same = slopes is weights
        weights = weights * problem.counts
        slopes = weights if same else slopes * problem.counts
    return q, weights, slopes


def _grow(distances: Tensor, sizes: Sizes, problem: Problem) -> Sizes:
    """Lower ``tau`` until the level ``c`` has fallen to ``E``: the nearest larger optimum."""
    high = sizes.log_precision
    low, stride = high, torch.full_like(high, 0.1)
    above = torch.ones_like(high, dtype=torch.bool)
    while bool(above.any()):
        low = torch.where(above, low - stride, low)
        _, value, level, _ = _sums(distances, low, problem)
        above &= (level > value) & (low > LOG_PRECISION_BOUNDS[0])
        high = torch.where(above, low, high)
        stride = stride * 2
    while bool((high - low > 1e-8).any()):
        middle = 0.5 * (low + high)
        _, value, level, _ = _sums(distances, middle, problem)
        larger = level > value
        high = torch.where(larger, middle, high)
        low = torch.where(larger, low, middle)
    total, value, level, _ = _sums(distances, high, problem)
    return Sizes(high, total, value, level, torch.ones_like(sizes.slack))
