"""``find_spotlights``: a few regions of embedding space where the losses are high together."""

from __future__ import annotations

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
from backend.spotlight import adam
from backend.spotlight.fast import Problem, ascend, solve_sizes
from backend.spotlight.kernels import KERNELS, Kernel
from backend.spotlight.objective import check_counts, spotlight_objective, squared_distances
from backend.spotlight.outcome import Outcome, Status
from backend.spotlight.rows import Rows
from backend.spotlight.starts import draw_rows, draw_subsample, storage_free_order

_SUBSAMPLE = 8192
_FINISHERS = 4
# A region ends this much above S, so that rounding elsewhere does not put it below.
_ABOVE = 1e-9


@dataclass(frozen=True)
class Region:
    """One spotlight.

    Parameters
    ----------
    weights : float64 array of shape (n,)
        Membership of each example, in [0, 1].
    center : float64 array of shape (d,)
        In the units of the embeddings.
    precision : float, or float64 array of shape (d,) or (d, d)
    weighted_loss : float
        On the raw losses, in loss units.
    objective : float
        What the search maximised: the weighted loss (its negative when flipped) after the losses
        of earlier regions' members were attenuated.
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
    precisions : float64 array of shape (r,), (r, d) or (r, d, d)
    weighted_losses : float64 array of shape (r,)
        On the raw losses.
    objectives : float64 array of shape (r,)
        On the attenuated losses that each search maximised.
    total_weights : float64 array of shape (r,)
        In examples.
    outcomes : tuple of Outcome
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
    barrier_scale: float | None = None,
    max_steps: int | None = None,
) -> Spotlights:
    """Regions of embedding space where the model does badly, one after the other."""
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
            barrier_scale=barrier_scale,
            max_steps=max_steps,
        )
    )
    return Spotlights(
        np.stack([r.weights for r in regions]),
        np.stack([r.center for r in regions]),
        np.stack([np.asarray(r.precision) for r in regions]),
        np.array([r.weighted_loss for r in regions]),
        np.array([r.objective for r in regions]),
        np.array([r.total_weight for r in regions]),
        tuple(r.outcome for r in regions),
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
    barrier_scale: float | None = None,
    max_steps: int | None = None,
) -> Iterator[Region]:
    """The regions of ``find_spotlights``, each as soon as it is found."""
    values = check_matrix("embeddings", embeddings)
    n = len(values)
    loss = check_vector("losses", losses, n)
    check_choice("kernel", kernel, KERNELS)
    check_choice("precision", precision, ("spherical", "diagonal", "full"))
    check_choice("solver", solver, ("fast", "adam"))
    count = check_counts(counts, n)
    whole = float(n if count is None else count.sum())
    min_weight = size * whole if 0 < size < 1 else float(size)
    if not 0 < min_weight < whole:
        raise InputError(f"size must be above 0 and below the {whole:g} examples: got {size}.")
    place = choose_device(device)
    report = progress or ignore_progress
    generator = np.random.default_rng(seed)
    # What is maximised: losses, or for the easiest region the distance below the largest loss.
    top = float(loss.max())
    score = top - loss if flip else loss.copy()
    if solver == "fast":
        if precision != "spherical":
            raise InputError("precision must be 'spherical' with solver 'fast'.")
        rows = Rows.normalised(values, place)
    else:
        rows = Rows(values, values.mean(0, dtype=np.float64), 1.0, place)
    order = storage_free_order(score, rows)
    for number in range(n_spotlights):
        report(number / n_spotlights, f"Region {number + 1} of {n_spotlights}")
        if solver == "fast":
            center, tau, outcome = _fast(
                rows,
                score,
                count,
                min_weight,
                kernel,
                order,
                starts,
                generator,
                max_steps or 200,
                values,
            )
        else:
            center, tau, outcome = _adam(
                rows,
                top - score if flip else score,
                count,
                min_weight,
                kernel,
                precision,
                flip,
                max_steps or adam.STEPS,
                1.0 if barrier_scale is None else barrier_scale,
                report,
                number / n_spotlights,
                1 / n_spotlights,
            )
        raw = spotlight_objective(
            values, loss, center, tau, min_weight=min_weight, kernel=kernel, counts=count
        )
        k = raw.weights if count is None else raw.weights * count
        objective = float(k @ score / k.sum()) - (top if flip else 0.0)
        yield Region(
            raw.weights, center, tau, raw.weighted_loss, objective, raw.total_weight, outcome
        )
        score = score * (1 - raw.weights / raw.weights.max())
    report(1.0, "Done")


def _standard(score, count):
    scale = np.abs(score).max() or 1.0
    z = score / scale
    z = z - np.average(z, weights=count)
    sd = float(np.sqrt(np.average(z * z, weights=count)))
    return z / sd if sd > 1e-12 else None


def _fast(
    rows, score, count, min_weight, kernel: Kernel, order, starts, generator, max_steps, values
):
    z = _standard(score, count)
    status: Status = "converged"
    if z is None:
        status = "no_contrast"
        center, log_tau, steps = torch.zeros(rows.d, dtype=torch.float64), 0.0, 0
        z = np.zeros(rows.n)
    else:
        c = None if count is None else torch.from_numpy(count).to(rows.device, rows.dtype)
        L = torch.from_numpy(z).to(rows.device, rows.dtype)
        full = Problem(rows, L, c, min_weight, kernel)
        first = rows.points(draw_rows(z, count, order, rows, starts, generator))
        guess = None
        m = max(_SUBSAMPLE, int(np.ceil(200 * rows.n / min_weight)))
        if rows.n > 2 * m:
            sub = draw_subsample(order, m, generator)
            small = Problem(
                rows.take(sub),
                L[sub],
                None if c is None else c[sub],
                min_weight * m / rows.n,
                kernel,
            )
            near = ascend(small, first, max_steps=max_steps)
            first, guess = near.centers[:_FINISHERS].to(rows.dtype), near.log_tau[:_FINISHERS]
        found = ascend(full, first, max_steps=max_steps, log_tau=guess)
        center, log_tau, steps = found.centers[0], float(found.log_tau[0]), int(found.steps[0])
        if not bool(found.converged[0]):
            status = "max_steps"
    center = rows.outward(center)
    D = torch.from_numpy(squared_distances(values, center, np.array(1.0)) / rows.scale**2)[None]
    exact = Problem(
        rows,
        torch.from_numpy(z),
        None if count is None else torch.from_numpy(count),
        min_weight * (1 + _ABOVE),
        kernel,
    )
    sizes = solve_sizes(D, torch.tensor([log_tau], dtype=torch.float64), exact, steps=80)
    slack = bool(sizes.slack[0])
    return (
        center,
        float(torch.exp(sizes.log_tau[0])) / rows.scale**2,
        Outcome(status, status, steps, "slack" if slack else "binding"),
    )


def _adam(
    rows, losses, count, min_weight, kernel, precision, flip, steps, scale, report, start, share
):
    L = torch.from_numpy(losses).to(rows.device, rows.dtype)
    c = None if count is None else torch.from_numpy(count).to(rows.device, rows.dtype)
    state = None
    for state in adam.climb(
        rows,
        L,
        c,
        min_weight,
        kernel=kernel,
        precision=precision,
        flip=flip,
        steps=steps,
        barrier_scale=scale,
    ):
        if state.step % 50 == 0:
            report(start + share * state.step / steps, "Adam")
    binding = state.total_weight < min_weight * 1.05 * 1.01
    tau = state.precision.cpu().numpy()
    return (
        rows.outward(state.center),
        float(tau) if tau.ndim == 0 else tau,
        Outcome(
            "converged" if state.finite else "not_finite",
            "",
            state.step,
            "binding" if binding else "slack",
        ),
    )
