"""What a spotlight maximises, for one given region: the authority that the solvers answer to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.core.arrays import as_numpy, check_finite, check_matrix, check_vector
from backend.core.errors import InputError
from backend.spotlight.solver.blocks import lent, rows_per_block
from backend.spotlight.solver.kernels import weigh
from backend.spotlight.solver.names import check_kernel


@dataclass(frozen=True)
class SpotlightObjective:
    """Value of one region, and what it is made of.

    Parameters
    ----------
    value : float
        The objective J. Without a barrier: the weighted loss (its negative when flipped), or
        -inf when the total weight is below the smallest allowed.
    weighted_loss : float
        ``sum c k l / sum c k``, in loss units; NaN when every weight is 0.
    total_weight : float
        ``sum c k``: the region's size in examples.
    weights : float64 array of shape (n,)
        Membership ``k`` of each example, in [0, 1].
    """

    value: float
    weighted_loss: float
    total_weight: float
    weights: NDArray[np.float64]


def spotlight_objective(
    embeddings: Any,
    losses: Any,
    center: Any,
    precision: Any,
    *,
    min_weight: float,
    kernel: str = "gaussian",
    barrier_width: float | None = None,
    barrier_scale: float = 1.0,
    counts: Any = None,
    flip: bool = False,
) -> SpotlightObjective:
    """How bad the model is inside one region of embedding space.

    Parameters
    ----------
    embeddings : array-like of shape (n, d)
    losses : array-like of shape (n,)
    center : array-like of shape (d,)
    precision : float, or array-like of shape (d,) or (d, d)
        Spherical, diagonal or full. Never negative; a full one symmetric positive semidefinite.
    min_weight : float
        Smallest allowed size S, in examples.
    kernel : {"gaussian", "squared_distance"}
        ``exp(-q/2)`` or ``max(0, 1 - q)`` of the squared distance ``q``.
    barrier_width : float, optional
        Width b of the penalty ``a ((W - (S + b)) / b)^2``, applied while ``W < S + b``. Without
        it the constraint is hard.
    barrier_scale : float
        Scale a of the penalty, in loss units: its value at ``W = S``.
    counts : array-like of shape (n,), optional
        How often each row counts; 1 by default. Zero is allowed.
    flip : bool
        Value the region by ``-weighted_loss``: the easiest region is then the best.

    Returns
    -------
    SpotlightObjective

    Raises
    ------
    InputError
        If shapes disagree, a number is not finite, a precision is not positive semidefinite, the
        width is not positive, or counts are negative.

    Notes
    -----
    Everything is float64. Distances are taken from differences, not from expanded squares, so
    that embeddings far from the origin lose no digits. When every weight is 0, the weighted loss
    is undefined: it is NaN, and so is a value with a barrier; without one the value is -inf.

    References
    ----------
    d'Eon, d'Eon, Wright, Leyton-Brown, The Spotlight, FAccT 2022, arXiv:2107.00758, Section 2.
    """
    rows = check_matrix("embeddings", embeddings)
    n, d = rows.shape
    loss = check_vector("losses", losses, n)
    middle = check_vector("center", center, d, of="dimension")
    shape = check_precision(precision, d)
    named = check_kernel(kernel)
    count = check_counts(counts, n)
    if not np.isfinite(min_weight) or min_weight < 0:
        raise InputError(f"min_weight must be a number of at least 0: got {min_weight}.")
    if barrier_width is not None and not (np.isfinite(barrier_width) and barrier_width > 0):
        raise InputError(f"barrier_width must be above 0, or None: got {barrier_width}.")
    if not np.isfinite(barrier_scale) or barrier_scale < 0:
        raise InputError(f"barrier_scale must be a number of at least 0: got {barrier_scale}.")

    q = squared_distances(rows, middle, shape)
    weights = weigh(torch.from_numpy(q), named).numpy()
    total = float(weights.sum() if count is None else (count * weights).sum())
    mean = weighted_mean(weights, loss, count)
    value = -mean if flip else mean
    if barrier_width is not None:
        edge = min_weight + barrier_width
        if total < edge:
            value -= barrier_scale * ((total - edge) / barrier_width) ** 2
    elif total < min_weight or total == 0:
        value = -np.inf
    return SpotlightObjective(float(value), mean, total, weights)


def check_precision(precision: Any, d: int) -> NDArray[np.float64]:
    """A precision as a float64 array of shape (), (d,) or (d, d), or an error that names it."""
    shape = as_numpy(precision).astype(np.float64)
    if shape.shape not in ((), (d,), (d, d)):
        raise InputError(
            f"precision must be a number, ({d},) or ({d}, {d}): got shape {shape.shape}."
        )
    check_finite("precision", np.atleast_1d(shape))
    if shape.ndim < 2:
        if (shape < 0).any():
            raise InputError(f"precision must not be negative: got {shape.min()}.")
        return shape
    if not np.allclose(shape, shape.T, rtol=1e-6, atol=1e-9 * np.abs(shape).max()):
        raise InputError("precision must be symmetric. Pass (P + P.T) / 2.")
    shape = (shape + shape.T) / 2
    lowest, highest = np.linalg.eigvalsh(shape)[[0, -1]]
    if lowest < -1e-8 * max(highest, 0.0) or highest < 0:
        raise InputError(
            f"precision must be positive semidefinite: its lowest eigenvalue is {lowest:.3g}."
        )
    return shape


def check_counts(counts: Any, n: int) -> NDArray[np.float64] | None:
    """Counts as float64 (n,), or None for one each."""
    if counts is None:
        return None
    count = check_vector("counts", counts, n)
    if (count < 0).any():
        row = int(np.argmax(count < 0))
        raise InputError(f"counts must not be negative: got {count[row]} in row {row}.")
    if count.sum() <= 0:
        raise InputError("counts must not all be 0.")
    return count


def weighted_mean(
    weights: NDArray[np.float64], losses: NDArray[np.float64], counts: NDArray[np.float64] | None
) -> float:
    """``sum c k l / sum c k``, safe for losses of any magnitude; NaN when all weights are 0."""
    k = weights if counts is None else weights * counts
    largest = k.max()
    if largest == 0:
        return float("nan")
    k = k / largest  # weights of a far region underflow when they are multiplied by small losses
    scale = np.abs(losses).max() or 1.0
    return float((k * (losses / scale)).sum() / k.sum() * scale)


def squared_distances(
    rows: NDArray[Any],
    center: NDArray[np.float64],
    precision: NDArray[np.float64],
    tick: Callable[[], None] | None = None,
) -> NDArray[np.float64]:
    """``(x - center)^T precision (x - center)`` per row, in float64, read in blocks of rows."""
    n, d = rows.shape
    out = torch.empty(n, dtype=torch.float64)
    middle = torch.from_numpy(center)
    shape = torch.from_numpy(np.ascontiguousarray(precision))
    step = rows_per_block(d)  # small enough to stay in the cache
    room = torch.empty((min(step, n), d), dtype=torch.float64)
    for start in range(0, n, step):
        if tick is not None:
            tick()
        raw = lent(rows[start : start + step])  # torch lengthens floats faster than numpy
        block = room[: len(raw)].copy_(raw).sub_(middle)
        part = out[start : start + len(raw)]
        if shape.ndim == 0:
            torch.sum(block.square_(), dim=1, out=part).mul_(shape)
            continue
        other = block @ shape if shape.ndim == 2 else block * shape
        torch.linalg.vecdot(block, other, out=part)
    return out.clamp_min_(0.0).numpy()  # rounding of a semidefinite form can dip below 0
