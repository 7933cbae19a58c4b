"""``find_spotlights``: a few regions of embedding space where the losses are high together."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.arrays import check_choice, check_matrix, check_vector
from backend.core.device import choose_device
from backend.core.errors import InputError
from backend.core.progress import Progress, ignore_progress
from backend.core.threads import calm_threads
from backend.spotlight import adam
from backend.spotlight.fast import MAX_STEPS, FastSearch, Optimum
from backend.spotlight.kernels import Kernel, check_kernel, weigh
from backend.spotlight.objective import check_counts, squared_distances, weighted_mean
from backend.spotlight.outcome import Constraint, Outcome
from backend.spotlight.rows import Rows
from backend.spotlight.sizes import LOG_PRECISION_BOUNDS, Problem, solve_sizes

SOLVERS, SHAPES, MODES = (
    ("fast", "adam"),
    ("spherical", "diagonal", "full"),
    ("successive", "distinct"),
)
# A region ends this share above S, so that rounding elsewhere does not put it below.
_ABOVE = 1e-9
# Losses whose standard deviation is below this share of the largest are all equal.
_CONTRAST = 1e-12
_FULL_EXAMPLES, _FULL_DIMENSIONS = 5, 2000
_REPORT_SECONDS = 0.1


@dataclass(frozen=True)
class Region:
    """One spotlight. ``n`` examples, ``d`` dimensions.

    Parameters
    ----------
    weights : float64 array of shape (n,)
        Membership of each example, in [0, 1].
    center : float64 array of shape (d,)
        In the units of the embeddings.
    precision : float, or float64 array of shape (d,) or (d, d)
        Spherical, diagonal or full, in inverse squared units of the embeddings.
    weighted_loss : float
        On the raw losses, in loss units.
    objective : float
        What the search maximised: the weighted loss (its negative when flipped) on losses from
        which earlier regions were taken away.
    total_weight : float
        Size in examples.
    outcome : Outcome
    """

    weights: NDArray[np.float64]
    center: NDArray[np.float64]
    precision: float | NDArray[np.float64]
    weighted_loss: float
    objective: float
    total_weight: float
    outcome: Outcome


@dataclass(frozen=True)
class Spotlights:
    """Regions in the order they were found. ``r`` regions, ``n`` examples, ``d`` dimensions.

    Parameters
    ----------
    weights : float64 array of shape (r, n)
        Membership of each example in each region, in [0, 1].
    centers : float64 array of shape (r, d)
        In the units of the embeddings.
    precisions : float64 array of shape (r,), (r, d) or (r, d, d)
        Spherical, diagonal or full, in inverse squared units of the embeddings.
    weighted_losses : float64 array of shape (r,)
        On the raw losses, in loss units.
    objectives : float64 array of shape (r,)
        What each search maximised: see ``Region``.
    total_weights : float64 array of shape (r,)
        Sizes in examples.
    outcomes : tuple of r Outcome
        How each search ended.
    """

    weights: NDArray[np.float64]
    centers: NDArray[np.float64]
    precisions: NDArray[np.float64]
    weighted_losses: NDArray[np.float64]
    objectives: NDArray[np.float64]
    total_weights: NDArray[np.float64]
    outcomes: tuple[Outcome, ...]

    def __len__(self) -> int:
        return len(self.outcomes)


@dataclass(frozen=True)
class _Task:
    """A checked call."""

    values: NDArray[Any]
    losses: NDArray[np.float64]
    counts: NDArray[np.float64] | None
    whole: float
    min_weight: float
    n_spotlights: int
    kernel: Kernel
    precision: str
    solver: str
    mode: str
    starts: int
    flip: bool
    seed: int
    device: torch.device
    barrier_scale: float
    max_steps: int
    progress: Progress


def find_spotlights(
    embeddings: Any,
    losses: Any,
    *,
    size: float = 0.02,
    n_spotlights: int = 5,
    kernel: str = "gaussian",
    precision: str = "spherical",
    solver: str = "fast",
    starts: int = 16,
    counts: Any = None,
    flip: bool = False,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
    mode: str = "successive",
    barrier_scale: float | None = None,
    max_steps: int | None = None,
) -> Spotlights:
    """Regions of embedding space where the model does badly, the worst first.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
        Any float width; may be memory-mapped, and is then read in blocks.
    losses : array-like of shape (n,)
        Higher is worse.
    size : float
        Smallest allowed size of a region: a share of the total count in (0, 1), or a number of
        examples from 1 up.
    n_spotlights : int
    kernel : {"gaussian", "squared_distance"}
        How membership falls with the scaled squared distance q: ``exp(-q/2)`` as in the paper, or
        ``max(0, 1 - q)``, which leaves examples outside the region at exactly 0.
    precision : {"spherical", "diagonal", "full"}
        Round regions, regions stretched along the axes of the embedding, or any ellipsoid. With
        the fast solver no axis is more than 100 times as long as another.
    solver : {"fast", "adam"}
        "fast" solves the size constraint exactly and climbs from many starts. "adam" repeats the
        published optimiser: one start at the origin of the embeddings, 5000 steps, in their units.
    starts : int
        Starts that the fast solver converges, out of four times as many that it tries; Adam has
        one.
    counts : array-like of shape (n,), optional
        How often each row counts; 1 by default. Sizes are then in counts.
    flip : bool
        Find the regions where the model does best.
    seed : int
        Of the fast solver's starts. Adam draws nothing.
    device : str or torch.device
        "auto" is a GPU where there is one.
    progress : callable, optional
        See ``backend.core.progress.Progress``.
    mode : {"successive", "distinct"}
        "successive", as in the paper: after each region the losses are taken away from its
        members, ``l <- (1 - k / max k) l``, and the search is repeated. "distinct" (fast solver
        only): the different optima of one search on the losses as they are, which may be fewer
        than asked for.
    barrier_scale : float, optional
        Adam only: penalty at ``W = S``, in loss units; 1 by default. Published runs took 10 for
        ImageNet and SQuAD.
    max_steps : int, optional
        Steps per ascent: 200 for "fast", which rarely needs 50, and 5000 for "adam", whose barrier
        schedule is stretched over them.

    Returns
    -------
    Spotlights

    Raises
    ------
    InputError
        If an argument has the wrong shape or value; if the size is not above 0 and below the
        total count; if a full precision is asked for with fewer than 5 examples per dimension.

    Notes
    -----
    With the fast solver the regions do not depend on the order of the rows, nor (except for a
    diagonal precision) on shift, rotation or scale of the embeddings. The same input and seed give
    the same regions.

    Attenuation starts from the raw losses and accumulates. With ``flip`` it moves the losses of
    members towards the largest loss: towards 0 it would make the easiest region easier still. (The
    paper does not say; this makes a flipped search the search on ``max l - l``.)

    Equal losses everywhere give one arbitrary region with the outcome "no_contrast".

    References
    ----------
    d'Eon, d'Eon, Wright, Leyton-Brown, The Spotlight, FAccT 2022, arXiv:2107.00758.
    """
    regions = list(
        iterate_spotlights(
            embeddings,
            losses,
            size=size,
            n_spotlights=n_spotlights,
            kernel=kernel,
            precision=precision,
            solver=solver,
            starts=starts,
            counts=counts,
            flip=flip,
            seed=seed,
            device=device,
            progress=progress,
            mode=mode,
            barrier_scale=barrier_scale,
            max_steps=max_steps,
        )
    )
    return Spotlights(
        weights=np.stack([region.weights for region in regions]),
        centers=np.stack([region.center for region in regions]),
        precisions=np.stack([np.asarray(region.precision) for region in regions]),
        weighted_losses=np.array([region.weighted_loss for region in regions]),
        objectives=np.array([region.objective for region in regions]),
        total_weights=np.array([region.total_weight for region in regions]),
        outcomes=tuple(region.outcome for region in regions),
    )


def iterate_spotlights(
    embeddings: Any,
    losses: Any,
    *,
    size: float = 0.02,
    n_spotlights: int = 5,
    kernel: str = "gaussian",
    precision: str = "spherical",
    solver: str = "fast",
    starts: int = 16,
    counts: Any = None,
    flip: bool = False,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
    mode: str = "successive",
    barrier_scale: float | None = None,
    max_steps: int | None = None,
) -> Iterator[Region]:
    """The regions of ``find_spotlights``, each as soon as it is found.

    Parameters, errors and results are those of ``find_spotlights``. Arguments are checked at once,
    before the first region is asked for.
    """
    values = check_matrix("embeddings", embeddings)
    n, d = values.shape
    loss = check_vector("losses", losses, n)
    count = check_counts(counts, n)
    whole = float(n if count is None else count.sum())
    check_choice("precision", precision, SHAPES)
    check_choice("solver", solver, SOLVERS)
    check_choice("mode", mode, MODES)
    min_weight = _check_size(size, whole)
    if mode == "distinct" and solver == "adam":
        raise InputError("mode 'distinct' needs solver 'fast': Adam has a single start.")
    if barrier_scale is not None and solver == "fast":
        raise InputError("barrier_scale belongs to solver 'adam': 'fast' has no barrier.")
    if barrier_scale is not None and not (math.isfinite(barrier_scale) and barrier_scale > 0):
        raise InputError(f"barrier_scale must be above 0: got {barrier_scale}.")
    if precision == "full":
        _check_full(min_weight, d)
    for name, value in (("n_spotlights", n_spotlights), ("starts", starts)):
        _check_whole(name, value)
    if max_steps is not None:
        _check_whole("max_steps", max_steps)
    task = _Task(
        values=values,
        losses=loss,
        counts=count,
        whole=whole,
        min_weight=min_weight,
        n_spotlights=n_spotlights,
        kernel=check_kernel(kernel),
        precision=precision,
        solver=solver,
        mode=mode,
        starts=starts,
        flip=bool(flip),
        seed=seed,
        device=choose_device(device),
        barrier_scale=1.0 if barrier_scale is None else float(barrier_scale),
        max_steps=max_steps or (MAX_STEPS if solver == "fast" else adam.STEPS),
        progress=progress or ignore_progress,
    )
    return _with_adam(task) if solver == "adam" else _with_fast(task)


def _check_size(size: Any, whole: float) -> float:
    """The size in examples."""
    if isinstance(size, bool) or not isinstance(size, (int, float, np.number)):
        raise InputError(f"size must be a number: got {size!r}.")
    examples = float(size) * whole if 0 < size < 1 else float(size)
    if not 0 < examples < whole:
        raise InputError(
            f"size must be a share in (0, 1), or a number of examples from 1 to below the total "
            f"of {whole:g}: got {size}."
        )
    return examples


def _check_full(min_weight: float, d: int) -> None:
    """Refuse ellipsoids that could single out any few examples."""
    if d > _FULL_DIMENSIONS:
        raise InputError(
            f"precision 'full' takes at most {_FULL_DIMENSIONS} dimensions: got {d}. "
            "Project the embeddings first, for instance on principal components."
        )
    if min_weight < _FULL_EXAMPLES * d:
        raise InputError(
            f"precision 'full' needs a size of at least {_FULL_EXAMPLES} examples per dimension: "
            f"got size {min_weight:g} and {d} dimensions. Take 'diagonal' or 'spherical', a size "
            f"of {_FULL_EXAMPLES * d}, or project on at most {int(min_weight) // _FULL_EXAMPLES} "
            "dimensions first."
        )


def _check_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name} must be a whole number of at least 1: got {value!r}.")


class _Reporter:
    """Progress of a search whose number of steps is not known: often enough, never falling."""

    def __init__(self, progress: Progress, n_regions: int):
        self._progress, self._n_regions = progress, n_regions
        self._region, self._steps, self._last = 0, 0, -math.inf

    def begin(self, region: int) -> None:
        self._region, self._steps, self._last = region, 0, -math.inf

    def tick(self, done: float | None = None) -> None:
        """One step; ``done`` is the share of this region's steps, where it is known."""
        self._steps += 1
        now = time.monotonic()
        if now - self._last < _REPORT_SECONDS:
            return
        self._last = now
        share = 1 - math.exp(-self._steps / 30) if done is None else done
        message = f"Looking for region {self._region + 1} of {self._n_regions}"
        self._progress((self._region + min(share, 1.0)) / self._n_regions, message)

    def end(self) -> None:
        self._progress(1.0, "All regions found")


def _with_fast(task: _Task) -> Iterator[Region]:
    reporter = _Reporter(task.progress, task.n_spotlights if task.mode == "successive" else 1)
    reporter.begin(0)
    reporter.tick()
    rows = Rows.normalised(task.values, task.device)
    top = float(task.losses.max())
    score = top - task.losses if task.flip else task.losses
    search = FastSearch(
        rows,
        score,
        task.counts,
        task.min_weight,
        kernel=task.kernel,
        precision=task.precision,
        starts=task.starts,
        seed=task.seed,
        max_steps=task.max_steps,
        tick=reporter.tick,
    )
    if task.mode == "distinct":
        standard = _standardised(score, task.counts)
        wanted = task.n_spotlights if standard is not None else 1
        for optimum in _optima(search, standard, wanted):
            yield _closed(task, rows, optimum, score, standard)
    else:
        for number in range(task.n_spotlights):
            reporter.begin(number)
            standard = _standardised(score, task.counts)
            region = _closed(task, rows, _optima(search, standard, 1)[0], score, standard)
            yield region
            score = score * (1 - region.weights / region.weights.max())
    reporter.end()


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
    return [Optimum(center, shape[search.precision].double(), 0.0, 0, True)]


def _closed(
    task: _Task,
    rows: Rows,
    optimum: Optimum,
    score: NDArray[np.float64],
    standard: NDArray[np.float64] | None,
) -> Region:
    """The optimum's region in the caller's units, its size solved once more in float64."""
    center = rows.outward(optimum.center)
    shape = optimum.shape.cpu().numpy()
    distances = squared_distances(task.values, center, shape) / rows.scale**2
    problem = Problem(
        torch.from_numpy(np.zeros(len(score)) if standard is None else standard),
        None if task.counts is None else torch.from_numpy(task.counts),
        task.min_weight * (1 + _ABOVE),
        task.kernel,
    )
    guess = torch.tensor([optimum.log_precision], dtype=torch.float64)
    sizes = solve_sizes(torch.from_numpy(distances)[None], guess, problem, tolerance=1e-11)
    log_precision = float(sizes.log_precision[0])
    tau = math.exp(log_precision)
    weights = weigh(torch.from_numpy(distances * tau), task.kernel).numpy()
    precision = shape * (tau / rows.scale**2)
    slack = bool(sizes.slack[0])
    outcome = _fast_outcome(
        optimum, standard is None, slack, log_precision >= LOG_PRECISION_BOUNDS[1] - 1e-6, task
    )
    return _region(task, weights, center, precision, score, outcome)


def _region(
    task: _Task,
    weights: NDArray[np.float64],
    center: NDArray[np.float64],
    precision: NDArray[np.float64],
    score: NDArray[np.float64],
    outcome: Outcome,
) -> Region:
    objective = weighted_mean(weights, score, task.counts)
    return Region(
        weights=weights,
        center=center,
        precision=float(precision) if precision.ndim == 0 else precision,
        weighted_loss=weighted_mean(weights, task.losses, task.counts),
        objective=objective - task.losses.max() if task.flip else objective,
        total_weight=float(weights.sum() if task.counts is None else (weights * task.counts).sum()),
        outcome=outcome,
    )


def _fast_outcome(
    optimum: Optimum, no_contrast: bool, slack: bool, capped: bool, task: _Task
) -> Outcome:
    constraint: Constraint = "slack" if slack else "binding"
    if no_contrast:
        message = "All losses are equal: no region stands out, and this one is arbitrary."
        return Outcome("no_contrast", message, 0, constraint)
    if capped and slack:
        size = (
            f"Examples worth {task.min_weight:.6g} or more share the center's point, so that no "
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
    message = (
        f"Still improving when the limit of {task.max_steps} steps came: raise max_steps. {size}"
    )
    return Outcome("max_steps", message, optimum.steps, constraint)


def _with_adam(task: _Task) -> Iterator[Region]:
    reporter = _Reporter(task.progress, task.n_spotlights)
    reporter.begin(0)
    reporter.tick(0.0)
    rows = Rows.centered(task.values, task.device)
    counts = None
    if task.counts is not None:
        counts = rows.hold(task.counts)
    barrier = adam.Barrier(task.min_weight, task.barrier_scale, task.kernel, task.flip)
    top = float(task.losses.max())
    score = top - task.losses if task.flip else task.losses
    for number in range(task.n_spotlights):
        reporter.begin(number)
        losses = top - score if task.flip else score
        summit = adam.climb(
            rows,
            rows.hold(losses),
            counts,
            barrier,
            precision=task.precision,
            steps=task.max_steps,
            tick=lambda step: reporter.tick(step / task.max_steps),
        )
        center = rows.outward(summit.center)
        precision = summit.precision.cpu().numpy()
        distances = squared_distances(task.values, center, precision)
        weights = weigh(torch.from_numpy(distances), task.kernel).numpy()
        total = float(weights.sum() if task.counts is None else (weights * task.counts).sum())
        outcome = _adam_outcome(summit, total, task)
        region = _region(task, weights, center, precision, score, outcome)
        yield region
        score = score * (1 - region.weights / region.weights.max())
    reporter.end()


def _adam_outcome(summit: adam.Summit, total: float, task: _Task) -> Outcome:
    edge = (1 + adam.FINAL_WIDTH) * task.min_weight
    constraint: Constraint = "binding" if total < edge else "slack"
    size = f"Its size is {total:.6g}, the smallest allowed {task.min_weight:.6g}"
    if total < task.min_weight:
        size += ": the barrier is soft, and barrier_scale small beside the losses"
    if not summit.finite:
        message = (
            f"The objective overflowed at step {summit.steps}: rescale the embeddings. {size}."
        )
        return Outcome("not_finite", message, summit.steps, constraint)
    if summit.steady:
        message = f"The schedule of {summit.steps} steps ended at rest. {size}."
        return Outcome("converged", message, summit.steps, constraint)
    message = (
        f"The region still moved in the last of {summit.steps} steps: raise max_steps, "
        f"or take solver 'fast'. {size}."
    )
    return Outcome("max_steps", message, summit.steps, constraint)
