"""The fast solver: from a data set to its best regions, in a few passes over the rows.

Many starts are screened and converged on a subsample that is spread evenly over the losses; the few
optima that could still be the best are then finished on all rows, keeping the curvature learnt on
the subsample: three to five steps, and a last one that is looked at when the region is closed. Each
takes one reading of rows that are too many to keep, else two. Small data is its own subsample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.spotlight.solver.ascent import Climbers, Race, ascend
from backend.spotlight.solver.names import Kernel
from backend.spotlight.solver.rows import EXACT_NUMBERS, Rows
from backend.spotlight.solver.shapes import SHAPES, AscentShape, Spherical
from backend.spotlight.solver.sizes import Problem, kernel_at, solve_sizes
from backend.spotlight.solver.starts import draw_starts, draw_subsample, storage_free_order

# Rows that starts are screened and converged on: at least so many, and enough for so many of the
# region's examples to be among them, but no more than the last.
_SCREEN_ROWS, _SCREEN_MEMBERS, _SCREEN_MOST = 2048, 40, 2**15
_SAMPLE_ROWS, _SAMPLE_MEMBERS, _SAMPLE_MOST = 8192, 100, 2**17
# For the sake of memory: numbers in a sample, and weights held at once.
_SAMPLE_NUMBERS, _WEIGHTS = 2**26, 2**25
# For each start that is converged this many are drawn, and climb this many steps.
_SCREENED, _SCREEN_STEPS = 4, 3
# Optima that go on to all rows, at most, unless more are asked for. After a few steps those that
# are this far behind the best (in loss deviations) stop.
_FINISHERS, _RACE_STEPS, _RACE_GAP = 4, 2, 0.01
# With more dimensions than this, only as many ellipsoids are fitted as are asked for.
_LARGE_FULL = 200
# An optimum that is not this far above the mean loss (in loss deviations) is none.
_ABOVE_MEAN = 1e-3
# Two climbers are on one optimum when the cosine of their weights exceeds this.
_SAME = 0.95
# Slopes that promise less end an ascent (in loss deviations): while exploring; where a shape is
# first stretched; and, at the least, in single precision.
_LOOSE, _STRETCH, _ROUNDING = 1e-4, 1e-5, 1e-7
# What may be left to win around round Gaussian regions (likewise) where there are many more rows
# than in the sample: each step more reads them all.
_LEFT = 1e-5
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
    value : float
        Its weighted loss, in loss deviations from the mean.
    ahead : float64 tensor of shape (d,)
        A better center, by a last step that was not looked at; else the center.
    """

    center: Tensor
    shape: Tensor
    log_precision: float
    steps: int
    arrived: bool
    value: float
    ahead: Tensor


@dataclass(frozen=True)
class Level:
    """All rows, or a subsample of them, around which spherical regions climb.

    Parameters
    ----------
    shape : Spherical
    sample : int array or None
        Which rows; None for all.
    counts : float64 array or None
        How many each row stands for; None for one.
    """

    shape: Spherical
    sample: NDArray[np.int64] | None
    counts: NDArray[np.float64] | None


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
    starts, seed : int
    max_steps : int or None
        Of one ascent; None leaves it to the shape.
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
        max_steps: int | None,
        tick: Callable[[], None],
    ):
        self.rows, self.counts, self.min_weight = rows, counts, min_weight
        self.kernel, self.precision = kernel, precision
        self.shape = SHAPES[precision](rows)
        self.starts, self.tick = starts, tick
        self.max_steps = max_steps or self.shape.max_steps
        self.generator = np.random.default_rng(seed)
        self.order = storage_free_order(losses, rows)
        self.carried = torch.empty((0, rows.d), dtype=torch.float64, device=rows.device)
        whole = rows.n if counts is None else counts.sum()
        share = min_weight / whole
        self.everything = Level(Spherical(rows), None, counts)
        size = min(max(_SAMPLE_ROWS, _SAMPLE_MEMBERS / share), _SAMPLE_MOST)
        self.near = self._level(losses, size, self.everything)
        size = min(max(_SCREEN_ROWS, _SCREEN_MEMBERS / share), _SCREEN_MOST)
        self.screen = self._level(losses, size, self.near)

    def best(self, losses: NDArray[np.float64], count: int = 1) -> list[Optimum]:
        """The best optima for losses of mean 0 and variance 1, best first.

        At most ``count``, each with weights unlike those of the ones before it, and (but for the
        first) above the mean loss: a start that lost its way ends on everything at once.
        """
        problem = self._problem(losses, self.everything)
        climbers = self._led(self._explore(losses))
        self.carried = climbers.parameters.clone()
        climbers = climbers[: max(count, self._promising(climbers))]
        climbers = self._finish(self.everything.shape, climbers, problem, count)
        if self.precision != "spherical":
            if self.precision == "full" and self.rows.d > _LARGE_FULL:
                climbers = climbers[:count]
            climbers = self._led(self._stretch(climbers, losses))
            climbers = self._finish(self.shape, climbers, problem, count)
        if count > 1:
            shape = SHAPES[self.precision](self.near.shape.rows)
            climbers = climbers[_distinct(shape, climbers, self._problem(losses, self.near))]
            found = climbers.sizes.value > _ABOVE_MEAN
            found[0] = True
            climbers = climbers[found]
        return [self._optimum(climbers, i) for i in range(min(count, len(climbers.steps)))]

    def _level(self, losses: NDArray[np.float64], wanted: float, above: Level) -> Level:
        """A subsample of about so many rows, or the level above when that is hardly larger."""
        size = math.ceil(min(wanted, max(_SCREEN_ROWS, _SAMPLE_NUMBERS // self.rows.d)))
        n_above = above.shape.rows.n
        if n_above <= 1.5 * size or n_above * self.rows.d <= EXACT_NUMBERS:
            return above
        sample, worth = draw_subsample(losses, self.counts, self.order, size, self.generator)
        return Level(Spherical(self.rows.take(sample)), sample, worth)

    def _problem(self, losses: NDArray[np.float64], level: Level) -> Problem:
        """The losses of a level's rows, and the size scaled to them."""
        min_weight = self.min_weight
        if level.sample is not None and level.counts is not None:
            whole = len(losses) if self.counts is None else self.counts.sum()
            losses = losses[level.sample]
            min_weight *= level.counts.sum() / whole
        rows = level.shape.rows
        counts = None if level.counts is None else rows.hold(level.counts)
        return Problem(
            rows.hold(losses),
            counts,
            float(min_weight),
            self.kernel,
            ranks=rows.ranks,
            block=rows.block,
        )

    def _explore(self, losses: NDArray[np.float64]) -> Climbers:
        """Distinct optima among the sampled rows, best first."""
        softness = _SOFTNESS[self.kernel][0]
        n_drawn = _SCREENED * self.starts
        drawn = draw_starts(losses, self.counts, self.order, self.rows, n_drawn, self.generator)
        first = torch.cat([self.carried, self.rows.points(drawn).double()])
        shape = self.screen.shape
        problem = replace(self._problem(losses, self.screen), softness=softness[0])
        # One center's size is a good guess of all.
        blank = torch.zeros(1, dtype=torch.float64, device=first.device)
        guess = solve_sizes(shape.distances(first[:1]), blank, problem).log_precision
        climbers = Climbers.at(shape, first, guess.expand(len(first)).clone())
        climbers = self._climb(shape, climbers, [problem], _LOOSE, _SCREEN_STEPS)
        climbers = climbers[_distinct(shape, climbers, problem)[: self.starts]]
        shape = self.near.shape
        problem = self._problem(losses, self.near)
        stages = [replace(problem, softness=soft) for soft in softness]
        climbers = self._climb(shape, climbers, stages, _LOOSE, self.max_steps)
        return climbers[_distinct(shape, climbers, stages[-1])]

    def _stretch(self, climbers: Climbers, losses: NDArray[np.float64]) -> Climbers:
        """Spherical optima as starts of another shape, which is fitted to the sample first."""
        guess = climbers.sizes.log_precision
        climbers = Climbers.at(self.shape, climbers.parameters, guess)
        if self.near is self.everything:
            return climbers
        shape = SHAPES[self.precision](self.near.shape.rows)
        problem = self._problem(losses, self.near)
        stages = [replace(problem, softness=_SOFTNESS[self.kernel][0][-1])]
        return self._climb(shape, climbers, stages, _STRETCH, self.max_steps)

    def _led(self, climbers: Climbers) -> Climbers:
        """The first process's climbers on all: each climbed on the sample by itself so far."""
        ranks = self.rows.ranks
        if ranks.world == 1:
            return climbers
        here = len(climbers.steps)
        count = int(ranks.lead(torch.tensor([here], device=self.rows.device)))
        return climbers[torch.arange(count, device=self.rows.device) % here].changed(ranks.lead)

    def _promising(self, climbers: Climbers) -> int:
        """How many of the best optima of the sample could still be the best among all rows."""
        noise = 0.02
        if self.near.sample is not None:
            noise = 2.0 / math.sqrt(self.min_weight * self.near.shape.rows.n / self.rows.n)
        behind = climbers.sizes.value[0] - climbers.sizes.value
        return min(_FINISHERS, int((behind <= noise).sum()))

    def _finish(
        self, shape: AscentShape, climbers: Climbers, problem: Problem, count: int
    ) -> Climbers:
        """Optima on all rows, best first; those that fall behind are left out."""
        stages = [replace(problem, softness=soft) for soft in _SOFTNESS[self.kernel][1]]
        tight = shape.patience
        if self.rows.dtype == torch.float32:
            tight = max(tight, _ROUNDING)
        race = Race(_RACE_STEPS, _RACE_GAP, count) if len(climbers.steps) > count else None
        sparing = (
            shape is self.everything.shape
            and self.kernel == "gaussian"
            and self.near is not self.everything
        )
        climbers = self._climb(shape, climbers, stages, tight, self.max_steps, race, sparing)
        behind = climbers.sizes.value[0] - climbers.sizes.value
        return climbers[: max(count, int((behind <= _RACE_GAP).sum()))]

    def _climb(
        self,
        shape: AscentShape,
        climbers: Climbers,
        stages: list[Problem],
        tolerance: float,
        max_steps: int,
        race: Race | None = None,
        sparing: bool = False,
    ) -> Climbers:
        """Ascents one after the other, as many climbers at once as fit; best first at the end.

        Those that fit at once race in the first ascent. ``sparing`` ones, around round Gaussian
        regions, climb only while there is something to win, and read large data once per step.
        """
        together = max(1, _WEIGHTS // max(1, shape.rows.most))
        arrived = []
        for first in range(0, len(climbers.steps), together):
            group = climbers[first : first + together]
            for number, stage in enumerate(stages):
                group = ascend(
                    shape,
                    group,
                    stage,
                    max_steps=max_steps,
                    tolerance=tolerance,
                    tick=self.tick,
                    race=race if number == 0 else None,
                    left=_LEFT if sparing else 0.0,
                    fold=sparing and shape.rows.large,
                )
            arrived.append(group)
        climbers = Climbers.joined(arrived)
        return climbers[climbers.ranking()]

    def _optimum(self, climbers: Climbers, region: int) -> Optimum:
        return Optimum(
            self.shape.centers(climbers.parameters)[region],
            self.shape.precisions(climbers.parameters)[region],
            float(climbers.sizes.log_precision[region]),
            int(climbers.steps[region]),
            bool(climbers.arrived[region]),
            float(climbers.sizes.value[region]),
            self.shape.centers(climbers.ahead)[region],
        )


def _distinct(shape: AscentShape, climbers: Climbers, problem: Problem) -> Tensor:
    """Positions of climbers whose weights are unlike those of every better one, best first."""
    order = climbers.ranking()
    sizes = climbers.sizes[order]
    distances = shape.distances(climbers.parameters[order])
    _, weights, _ = kernel_at(distances, sizes.log_precision, problem)
    products = problem.ranks.total((weights @ weights.T).double())
    lengths = products.diagonal().clamp_min(1e-60).sqrt()
    alike = (products > _SAME * lengths[:, None] * lengths).tolist()
    kept: list[int] = []
    for candidate in range(len(order)):
        if not any(alike[candidate][better] for better in kept):
            kept.append(candidate)
    return order[torch.tensor(kept, device=order.device)]
