"""From the end of a search to a region in the caller's units, with a word on how it ended."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.spotlight.call import Search
from backend.spotlight.objective import squared_distances, weighted_mean
from backend.spotlight.outcome import Constraint, Outcome
from backend.spotlight.solver import adam
from backend.spotlight.solver.fast import Optimum
from backend.spotlight.solver.kernels import weigh
from backend.spotlight.solver.rows import Rows
from backend.spotlight.solver.sizes import LOG_PRECISION_BOUNDS, Problem, Sizes, solve_sizes
from backend.spotlight.spotlights import Region

# A region ends this share above S, so that rounding elsewhere does not put it below.
_ABOVE = 1e-9
# What a step that was not looked at may seem to lose by the rounding of the search, in loss
# deviations.
_LOST = 1e-6
# Adam ends a little inside its barrier's edge. Beyond this many times the edge it never met it.
_STRANDED = 1.5


def close_optimum(
    search: Search,
    rows: Rows,
    optimum: Optimum,
    score: NDArray[np.float64],
    standard: NDArray[np.float64] | None,
    tick: Callable[[], None],
) -> Region:
    """The optimum's region in the caller's units, its size solved once more in float64.

    A last step that the search did not look at is seen here, and taken back if it lost something.
    """
    shape = optimum.shape.cpu().numpy()
    problem = Problem(
        torch.from_numpy(rows.mine(np.zeros(len(score)) if standard is None else standard)),
        None if search.counts is None else torch.from_numpy(rows.mine(search.counts)),
        search.min_weight * (1 + _ABOVE),
        search.kernel,
        ranks=search.ranks,
        block=rows.step,
    )
    guess = torch.tensor([optimum.log_precision], dtype=torch.float64)

    def solved(place: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64], Sizes]:
        center = rows.outward(place)
        distances = squared_distances(search.values, center, shape, tick) / rows.scale**2
        sizes = solve_sizes(torch.from_numpy(distances)[None], guess, problem, tolerance=1e-11)
        return center, distances, sizes

    center, distances, sizes = solved(optimum.ahead)
    lost = optimum.value - float(sizes.value[0]) > _LOST
    if lost and not torch.equal(optimum.ahead, optimum.center):
        center, distances, sizes = solved(optimum.center)
    log_precision = float(sizes.log_precision[0])
    tau = math.exp(log_precision)
    weights = search.ranks.gathered(weigh(torch.from_numpy(distances * tau), search.kernel).numpy())
    precision = shape * (tau / rows.scale**2)
    slack = bool(sizes.slack[0])
    capped = log_precision >= LOG_PRECISION_BOUNDS[1] - 1e-6
    outcome = _fast_outcome(search, optimum, standard is None, slack, capped)
    return _region(search, weights, center, precision, score, outcome)


def close_summit(
    search: Search,
    rows: Rows,
    summit: adam.Summit,
    score: NDArray[np.float64],
    tick: Callable[[], None],
) -> Region:
    """The region of Adam's last parameters, in the caller's units."""
    center = rows.outward(summit.center)
    precision = summit.precision.cpu().numpy()
    distances = squared_distances(search.values, center, precision, tick)
    weights = search.ranks.gathered(weigh(torch.from_numpy(distances), search.kernel).numpy())
    total = float((weights if search.counts is None else weights * search.counts).sum())
    return _region(search, weights, center, precision, score, _adam_outcome(summit, total, search))


def _region(
    search: Search,
    weights: NDArray[np.float64],
    center: NDArray[np.float64],
    precision: NDArray[np.float64],
    score: NDArray[np.float64],
    outcome: Outcome,
) -> Region:
    objective = weighted_mean(weights, score, search.counts)
    return Region(
        weights=weights,
        center=center,
        precision=float(precision) if precision.ndim == 0 else precision,
        weighted_loss=weighted_mean(weights, search.losses, search.counts),
        objective=objective - search.losses.max() if search.options.flip else objective,
        total_weight=float((weights if search.counts is None else weights * search.counts).sum()),
        outcome=outcome,
    )


def _fast_outcome(
    search: Search, optimum: Optimum, no_contrast: bool, slack: bool, capped: bool
) -> Outcome:
    constraint: Constraint = "slack" if slack else "binding"
    if no_contrast:
        message = "All losses are equal: no region stands out, and this one is arbitrary."
        return Outcome("no_contrast", message, 0, constraint)
    if capped and slack:
        size = (
            f"Examples worth {search.min_weight:.6g} or more share the center's point, so that no "
            "precision makes the region as small as allowed."
        )
    elif slack:
        size = "It is larger than the smallest allowed size: that raises its weighted loss."
    else:
        size = "It has the smallest allowed size."
    if optimum.arrived:
        return Outcome(
            "converged", f"No further step improves it. {size}", optimum.steps, constraint
        )
    message = f"Still improving after {optimum.steps} steps: raise max_steps. {size}"
    return Outcome("max_steps", message, optimum.steps, constraint)


def _adam_outcome(summit: adam.Summit, total: float, search: Search) -> Outcome:
    edge = (1 + adam.FINAL_WIDTH) * search.min_weight
    constraint: Constraint = "binding" if total < edge else "slack"
    size = f"Its size is {total:.6g}, the smallest allowed {search.min_weight:.6g}"
    if total < search.min_weight:
        size += ": the barrier is soft, and barrier_scale small beside the losses"
    if not summit.finite:
        message = (
            f"The objective or its slope was not finite at step {summit.steps}: rescale embeddings "
            f"or losses, or raise barrier_scale. {size}."
        )
        return Outcome("not_finite", message, summit.steps, constraint)
    if total > _STRANDED * edge:
        message = (
            f"It came to rest long before the smallest allowed size: the learning rate fell too "
            f"early, or a larger region is better. Compare with solver 'fast'. {size}."
        )
        return Outcome("max_steps", message, summit.steps, constraint)
    if summit.steady:
        message = f"The schedule of {summit.steps} steps ended at rest. {size}."
        return Outcome("converged", message, summit.steps, constraint)
    message = (
        f"The region still moved in the last of {summit.steps} steps: raise max_steps, "
        f"or take solver 'fast'. {size}."
    )
    return Outcome("max_steps", message, summit.steps, constraint)
