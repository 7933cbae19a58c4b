"""The fast solver: from a data set to its best regions, in a few passes over the rows.

Many starts are screened and converged on a subsample that is spread evenly over the losses; the few
optima that could still be the best are then finished on all rows, keeping the curvature learnt on
the subsample. Small data is its own subsample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.spotlight.ascent import Climbers, ascend
from backend.spotlight.kernels import Kernel
from backend.spotlight.rows import Rows
from backend.spotlight.shapes import SHAPES, Shape, Spherical
from backend.spotlight.sizes import Problem, kernel_at
from backend.spotlight.starts import draw_starts, draw_subsample, storage_free_order

MAX_STEPS = 200
# A subsample has at least this many rows, and expects this many of the region's examples in it.
_SAMPLE_ROWS, _SAMPLE_MEMBERS = 8192, 100
# ... but no more numbers than this (256 MiB).
_SAMPLE_NUMBERS = 2**26
# For each start that is converged this many are drawn, and climb this many steps.
_SCREENED, _SCREEN_STEPS = 4, 3
# Optima finished on all rows, at most, unless more are asked for.
_FINISHERS = 4
# Two climbers are on one optimum when the cosine of their weights exceeds this.
_SAME = 0.95
# Slopes that promise less end an ascent: while exploring, and on all rows (in loss deviations).
_LOOSE, _TIGHT = 1e-4, {torch.float64: 1e-9, torch.float32: 1e-7}
# Rounding of the compact kernel's edge in successive ascents; the last one is exact.
_SOFTNESS: dict[Kernel, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "gaussian": ((0.0,), (0.0,)),
    "squared_distance": ((0.3, 0.1), (0.03, 0.01, 0.003, 0.0)),
}


@dataclass(frozen=True)
class Optimum:
    """One optimum, in normalised coordinates.

    Parameters
    ----------
    center : float64 tensor of shape (d,)
    shape : float64 tensor of shape (), (d,) or (d, d)
        The precision up to its overall scale.
    log_precision : float
        Logarithm of that scale.
    steps : int
        Steps that its last ascent tried.
    arrived : bool
        Whether no further step improves it.
    """

    center: Tensor
    shape: Tensor
    log_precision: float
    steps: int
    arrived: bool


class FastSearch:
    """Searches one data set several times, for changing losses.

    What the searches share: the normalised rows, the subsample, and the optima of one search,
    which are among the starts of the next.

    Parameters
    ----------
    rows : Rows
    losses : float64 array of shape (n,)
        Sets the order of rows that draws follow.
    counts : float64 array of shape (n,) or None
    min_weight : float
    kernel : {"gaussian", "squared_distance"}
    precision : {"spherical", "diagonal", "full"}
    starts, seed, max_steps : int
    tick : callable
        Called before each step; may raise to stop.
    """

    def __init__(
        self,
        rows: Rows,
        losses: NDArray[np.float64],
        counts: NDArray[np.float64] | None,
        min_weight: float,
        *,
        kernel: Kernel,
        precision: str,
        starts: int,
        seed: int,
        max_steps: int,
        tick: Callable[[], None],
    ):
        self.rows, self.counts, self.min_weight = rows, counts, min_weight
        self.kernel, self.precision = kernel, precision
        self.shape = SHAPES[precision](rows)
        self.starts, self.max_steps, self.tick = starts, max_steps, tick
        self.generator = np.random.default_rng(seed)
        self.order = storage_free_order(losses, rows)
        self.carried = torch.empty((0, rows.d), dtype=torch.float64, device=rows.device)
        whole = rows.n if counts is None else counts.sum()
        size = _sample_size(rows.n, rows.d, min_weight / whole)
        self.sample = None if size is None else draw_subsample(self.order, size, self.generator)
        self.near = Spherical(rows if self.sample is None else rows.take(self.sample))

    def best(self, losses: NDArray[np.float64], count: int = 1) -> list[Optimum]:
        """The best optima for losses of mean 0 and variance 1, best first.

        At most ``count``, each with weights unlike those of the ones before it.
        """
        near, everything = self._problem(losses, self.sample), self._problem(losses, None)
        climbers = self._explore(losses, near)
        self.carried = climbers.parameters.clone()
        climbers = climbers[: max(count, self._promising(climbers, near))]
        climbers = self._finish(Spherical(self.rows), climbers, everything)
        if not isinstance(self.shape, Spherical):
            first = self.shape.first(climbers.parameters)
            guess = climbers.sizes.log_precision
            climbers = Climbers.at(self.shape, first, everything, guess)
            climbers = self._finish(self.shape, climbers, everything)
        climbers = climbers[_distinct(self.shape, climbers, everything)[:count]]
        return [self._optimum(climbers, region) for region in range(len(climbers.steps))]

    def _problem(self, losses: NDArray[np.float64], sample: NDArray[np.int64] | None) -> Problem:
        """The losses, and a size to scale, on all rows or on a sample of them."""
        counts, min_weight = self.counts, self.min_weight
        if sample is not None:
            whole = len(losses) if counts is None else counts.sum()
            losses, counts = losses[sample], None if counts is None else counts[sample]
            min_weight *= (len(losses) if counts is None else counts.sum()) / whole
        return Problem(
            self.rows.hold(losses),
            None if counts is None else self.rows.hold(counts),
            float(min_weight),
            self.kernel,
        )

    def _explore(self, losses: NDArray[np.float64], problem: Problem) -> Climbers:
        """Distinct optima among the sampled rows, best first."""
        n_drawn = _SCREENED * self.starts
        drawn = draw_starts(losses, self.counts, self.order, self.rows, n_drawn, self.generator)
        first = torch.cat([self.rows.points(drawn).double(), self.carried])
        stages = [replace(problem, softness=soft) for soft in _SOFTNESS[self.kernel][0]]
        guess = torch.zeros(len(first), dtype=torch.float64, device=first.device)
        climbers = Climbers.at(self.near, first, stages[0], guess)
        climbers = self._climb(self.near, climbers, stages[:1], _LOOSE, _SCREEN_STEPS)
        climbers = climbers[_distinct(self.near, climbers, stages[0])[: self.starts]]
        climbers = self._climb(self.near, climbers, stages, _LOOSE, self.max_steps)
        return climbers[_distinct(self.near, climbers, stages[-1])]

    def _promising(self, climbers: Climbers, problem: Problem) -> int:
        """How many of the best optima could still be the best among all rows."""
        behind = climbers.sizes.value[0] - climbers.sizes.value
        noise = 0.02 if self.sample is None else 2.0 / math.sqrt(problem.min_weight)
        return min(_FINISHERS, int((behind <= noise).sum()))

    def _finish(self, shape: Shape, climbers: Climbers, problem: Problem) -> Climbers:
        stages = [replace(problem, softness=soft) for soft in _SOFTNESS[self.kernel][1]]
        tight = _TIGHT[self.rows.dtype]
        return self._climb(shape, climbers, stages, tight, self.max_steps)

    def _climb(
        self,
        shape: Shape,
        climbers: Climbers,
        stages: list[Problem],
        tolerance: float,
        max_steps: int,
    ) -> Climbers:
        """Ascents one after the other, best first at the end."""
        for stage in stages:
            climbers = ascend(
                shape, climbers, stage, max_steps=max_steps, tolerance=tolerance, tick=self.tick
            )
        return climbers[torch.argsort(climbers.sizes.value, descending=True, stable=True)]

    def _optimum(self, climbers: Climbers, region: int) -> Optimum:
        return Optimum(
            self.shape.centers(climbers.parameters)[region],
            self.shape.precisions(climbers.parameters)[region],
            float(climbers.sizes.log_precision[region]),
            int(climbers.steps[region]),
            bool(climbers.arrived[region]),
        )


def _sample_size(n: int, d: int, share: float) -> int | None:
    """Rows of the subsample that starts are converged on; None when all rows are as cheap."""
    size = max(_SAMPLE_ROWS, math.ceil(_SAMPLE_MEMBERS / share))
    size = min(size, max(_SAMPLE_ROWS, _SAMPLE_NUMBERS // d))
    return size if n > 1.5 * size else None


def _distinct(shape: Shape, climbers: Climbers, problem: Problem) -> Tensor:
    """Positions of climbers whose weights are unlike those of every better one, best first."""
    order = torch.argsort(climbers.sizes.value, descending=True, stable=True)
    sizes = climbers.sizes[order]
    distances = shape.distances(climbers.parameters[order])
    _, weights, _ = kernel_at(distances, sizes.log_precision, problem)
    weights /= weights.norm(dim=1, keepdim=True).clamp_min(1e-30)
    alike = (weights @ weights.T > _SAME).tolist()
    kept: list[int] = []
    for candidate in range(len(order)):
        if not any(alike[candidate][better] for better in kept):
            kept.append(candidate)
    return order[torch.tensor(kept, device=order.device)]
