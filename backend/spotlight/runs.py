"""One region after the other, with either solver."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.progress import Progress
from backend.core.threads import calm_threads
from backend.spotlight.call import Search
from backend.spotlight.closing import close_optimum, close_summit
from backend.spotlight.solver import adam
from backend.spotlight.solver.fast import FastSearch, Optimum
from backend.spotlight.solver.rows import Rows
from backend.spotlight.spotlights import Region

# Losses whose standard deviation is below this share of the largest are all equal.
_CONTRAST = 1e-12
_REPORT_SECONDS, _USUAL_STEPS = 0.1, 30


class _Reporter:
    """Progress of a search whose number of steps is not known: often enough, never falling."""

    def __init__(self, progress: Progress, n_regions: int):
        self._progress, self._n_regions = progress, n_regions
        self._region, self._steps, self._share, self._last = 0, 0, 0.0, -math.inf

    def begin(self, region: int) -> None:
        """The search for this region begins."""
        self._region, self._steps, self._share, self._last = region, 0, 0.0, -math.inf
        self.breathe()

    def tick(self, done: float | None = None) -> None:
        """One step; ``done`` is the share of this region's steps, where it is known."""
        self._steps += 1
        self._share = 1 - math.exp(-self._steps / _USUAL_STEPS) if done is None else done
        self.breathe()

    def breathe(self) -> None:
        """A moment at which the work could stop."""
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS:
            self._last = now
            message = f"Looking for region {self._region + 1} of {self._n_regions}"
            self._progress((self._region + min(self._share, 1.0)) / self._n_regions, message)

    def end(self) -> None:
        self._progress(1.0, "All regions found")


def run(search: Search) -> Iterator[Region]:
    """One region after the other, as the options say."""
    return _run_adam(search) if search.options.solver == "adam" else _run_fast(search)


def _run_fast(search: Search) -> Iterator[Region]:
    """Regions of the fast solver, successive or distinct."""
    options = search.options
    reporter = _Reporter(
        search.progress, options.n_spotlights if options.mode == "successive" else 1
    )
    reporter.begin(0)
    rows = Rows.normalised(search.values, search.device, reporter.breathe, search.ranks)
    top = float(search.losses.max())
    score = top - search.losses if options.flip else search.losses
    floor = min(0.0, float(score.min()))
    fast = FastSearch(
        rows,
        score,
        search.counts,
        search.min_weight,
        kernel=search.kernel,
        precision=options.precision,
        starts=options.starts,
        seed=options.seed,
        max_steps=options.max_steps,
        tick=reporter.tick,
    )
    if options.mode == "distinct":
        standard = _standardised(score, search.counts)
        wanted = options.n_spotlights if standard is not None else 1
        for optimum in _optima(fast, standard, wanted):
            yield close_optimum(search, rows, optimum, score, standard, reporter.breathe)
    else:
        for number in range(options.n_spotlights):
            if number:
                reporter.begin(number)
            standard = _standardised(score, search.counts)
            optimum = _optima(fast, standard, 1)[0]
            region = close_optimum(search, rows, optimum, score, standard, reporter.breathe)
            yield region
            score = attenuated(score, region.weights, floor)
    reporter.end()


def attenuated(
    score: NDArray[np.float64], weights: NDArray[np.float64], floor: float
) -> NDArray[np.float64]:
    """Scores that a region's members have lost in part, down to ``floor`` where it weighs most.

    The paper's floor is 0. Where scores are negative it is the smallest of them: 0 would lift the
    members of a region above what is left to be found.
    """
    part = weights / weights.max()
    return score * (1 - part) + floor * part


def _standardised(
    score: NDArray[np.float64], counts: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Scores of mean 0 and variance 1, or None when all are equal."""
    largest = np.abs(score).max()
    if largest == 0:
        return None
    standard = score / largest  # squares of tiny or huge losses would leave the range of floats
    standard = standard - np.average(standard, weights=counts)
    deviation = float(np.sqrt(np.average(np.square(standard), weights=counts)))
    return standard / deviation if deviation > _CONTRAST else None


def _optima(search: FastSearch, standard: NDArray[np.float64] | None, count: int) -> list[Optimum]:
    """The best optima; around the mean of the data when there is nothing to find."""
    if standard is not None:
        with calm_threads():
            return search.best(standard, count)
    d = search.rows.d
    center = torch.zeros(d, dtype=torch.float64)
    shape = {"spherical": torch.ones(()), "diagonal": torch.ones(d), "full": torch.eye(d)}
    return [Optimum(center, shape[search.precision].double(), 0.0, 0, True, 0.0, center)]


def _run_adam(search: Search) -> Iterator[Region]:
    """Successive regions of the published optimiser."""
    options = search.options
    reporter = _Reporter(search.progress, options.n_spotlights)
    reporter.begin(0)
    rows = Rows.centered(search.values, search.device, reporter.breathe, search.ranks)
    counts = None if search.counts is None else rows.hold(search.counts)
    steps = options.max_steps or adam.STEPS
    barrier = adam.Barrier(search.min_weight, search.barrier_scale, search.kernel, options.flip)
    top = float(search.losses.max())
    score = top - search.losses if options.flip else search.losses
    floor = min(0.0, float(score.min()))
    for number in range(options.n_spotlights):
        if number:
            reporter.begin(number)
        # Adam's rate is halved where J gains too small a part of itself: below 0 that is at once.
        losses = top - score if options.flip else score - floor
        with calm_threads():
            summit = adam.climb(
                rows,
                rows.hold(losses),
                counts,
                barrier,
                precision=options.precision,
                steps=steps,
                tick=lambda step: reporter.tick(step / steps),
            )
        region = close_summit(search, rows, summit, score, reporter.breathe)
        yield region
        score = attenuated(score, region.weights, floor)
    reporter.end()
