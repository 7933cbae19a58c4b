"""The paper's own optimiser: Adam against a barrier that tightens step by step.

Kept for parity with published runs. It climbs from the origin of the embeddings as given, with a
nearly flat kernel, and is therefore the one solver whose answer depends on their units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.core.errors import InputError
from backend.spotlight.solver.kernels import SLOPE, pull, weigh
from backend.spotlight.solver.names import Kernel
from backend.spotlight.solver.rows import Rows

STEPS, LEARNING_RATE = 5000, 1e-2
PATIENCE, FACTOR, THRESHOLD = 10, 0.5, 1e-4
FINAL_WIDTH = 0.05  # of S
_BETAS, _EPSILON = (0.9, 0.999), 1e-8
# Still moving: in the last share of the steps, or the last so many, the center by so many kernel
# radii, or the overall precision by such a factor. (The barrier alone moves it by less.)
_LAST_SHARE, _LAST_STEPS, _RADII, _LOG_FACTOR = 0.05, 100, 0.1, 0.2


@dataclass(frozen=True)
class Barrier:
    """What Adam ascends besides the data.

    Parameters
    ----------
    min_weight : float
        S, in examples.
    scale : float
        Penalty at ``W = S``, in loss units.
    kernel : {"gaussian", "squared_distance"}
    flip : bool
        Ascend ``-E`` minus the penalty.
    """

    min_weight: float
    scale: float
    kernel: Kernel
    flip: bool


@dataclass(frozen=True)
class Summit:
    """Where the ascent ended.

    Parameters
    ----------
    center : float64 tensor of shape (d,)
        In the coordinates of the rows.
    precision : float64 tensor of shape (), (d,) or (d, d)
    steps : int
    finite : bool
        False when J or its slope stopped being finite; center and precision are the last finite.
    steady : bool
        Whether the last steps hardly moved the region.
    """

    center: Tensor
    precision: Tensor
    steps: int
    finite: bool
    steady: bool


def climb(
    rows: Rows,
    losses: Tensor,
    counts: Tensor | None,
    barrier: Barrier,
    *,
    precision: str,
    steps: int,
    tick: Callable[[int], None],
) -> Summit:
    """Ascend from the published start with the published settings.

    The width of the barrier falls geometrically from ``N - S`` to ``0.05 S``. The learning rate is
    halved after more than 10 steps without a relative improvement of 1e-4 in J; each halving
    clears the memory of that test, because the barrier keeps moving. ``tick(step)`` is called
    before each step and may raise to stop.

    References
    ----------
    arXiv:2107.00758, Section 2 and its released code; Kingma, Ba, Adam, arXiv:1412.6980.
    """
    # The origin of the caller's coordinates; Adam does not mind that ours are shifted.
    origin = rows.inward(torch.zeros(rows.d, dtype=torch.float64)).to(rows.device)
    parameters = [origin, _first_log_precision(rows, origin, barrier.kernel, precision)]
    if precision == "full":
        parameters.append(torch.eye(rows.d, dtype=torch.float64, device=rows.device))
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    whole = float(rows.n if counts is None else rows.added(counts[None])[0])
    widths = np.geomspace(whole - barrier.min_weight, FINAL_WIDTH * barrier.min_weight, steps)
    rate, best, bad = LEARNING_RATE, np.inf, 0
    earlier, last_from = [p.clone() for p in parameters], steps - _last_steps(steps)
    for step, width in enumerate(widths, start=1):
        tick(step)
        value, total, slopes = objective_slopes(
            rows, losses, counts, parameters, barrier, float(width)
        )
        if total == 0:
            raise InputError(
                f"solver 'adam' lost every example at step {step}: all {barrier.kernel!r} weights "
                "are 0. Use solver='fast', or kernel='gaussian', whose weights never vanish."
            )
        # Adam divides by squares: where those overflow, it would stand still.
        if not np.isfinite([value, *(float(s.square().sum()) for s in slopes)]).all():
            return Summit(parameters[0], _as_precision(parameters), step, False, False)
        if step == last_from:
            earlier = [p.clone() for p in parameters]
        for p, slope, m, v in zip(parameters, slopes, first, second, strict=True):
            m.mul_(_BETAS[0]).add_(slope, alpha=1 - _BETAS[0])
            v.mul_(_BETAS[1]).addcmul_(slope, slope, value=1 - _BETAS[1])
            root = (v / (1 - _BETAS[1] ** step)).sqrt_().add_(_EPSILON)
            p.addcdiv_(m, root, value=rate / (1 - _BETAS[0] ** step))
            p.copy_(rows.ranks.lead(p))
        if precision == "full":
            left, _, right = torch.linalg.svd(parameters[2])
            parameters[2].copy_(left @ right)  # the nearest orthogonal matrix
        if -value < best * (1 - THRESHOLD):  # also true a little below par when best < 0
            best, bad = -value, 0
        else:
            bad += 1
        if bad > PATIENCE:
            rate, best, bad = rate * FACTOR, np.inf, 0
    steady = _steady(earlier, parameters)
    return Summit(parameters[0], _as_precision(parameters), steps, True, steady)


def objective_slopes(
    rows: Rows,
    losses: Tensor,
    counts: Tensor | None,
    parameters: list[Tensor],
    barrier: Barrier,
    width: float,
) -> tuple[float, float, list[Tensor]]:
    """J, W and the slopes of J.

    By center (d,), by log precision () or (d,) and, when the parameters have a third entry, by
    the (d, d) axes in which those precisions are taken.
    """
    q = _distances(rows, parameters)
    k = weigh(q, barrier.kernel)
    g = pull(q, k, barrier.kernel)
    if counts is not None:
        k, g = k * counts, g * counts
    total, lost = rows.added(torch.stack([k, k * losses]))
    mean = lost / total
    sign = -1.0 if barrier.flip else 1.0
    short = total - (barrier.min_weight + width)
    active = bool(short < 0)
    value = sign * mean - (barrier.scale * (short / width) ** 2 if active else 0.0)
    rise = -2 * barrier.scale * short / width**2 if active else torch.zeros_like(total)
    # -dJ/dq of each example: what its coming nearer would add.
    worth = g * (sign * (losses - mean) / total + rise).to(g.dtype) * SLOPE[barrier.kernel]
    return float(value), float(total), _chain(rows, parameters, worth, q)


def _first_log_precision(rows: Rows, origin: Tensor, kernel: Kernel, precision: str) -> Tensor:
    """Log precision of the first step: of 1e-4, or of 1e-3 per axis.

    The compact kernel sees nothing beyond its edge, so there it is at most half of what would
    leave the farthest example without weight.
    """
    start = 1e-4 if precision == "spherical" else 1e-3
    if kernel == "squared_distance":
        farthest = float(rows.ranks.gathered(rows.distances(origin[None])[0].cpu().numpy()).max())
        start = min(start, 0.5 / farthest) if farthest > 0 else start
    shape = () if precision == "spherical" else (rows.d,)
    return torch.full(shape, np.log(start), dtype=torch.float64, device=rows.device)


def _as_precision(parameters: list[Tensor]) -> Tensor:
    """The precision the parameters stand for: (), (d,) or (d, d)."""
    scales = torch.exp(parameters[1])
    if len(parameters) == 2:
        return scales
    axes = parameters[2]
    return (axes * scales) @ axes.T


def _last_steps(steps: int) -> int:
    return max(int(_LAST_SHARE * steps), _LAST_STEPS)


def _steady(earlier: list[Tensor], now: list[Tensor]) -> bool:
    """Whether center and overall precision moved little between two states."""
    scales = torch.exp(now[1])
    moved = float((now[0] - earlier[0]).norm() * scales.mean().sqrt())
    grown = float((now[1] - earlier[1]).mean().abs())
    return moved < _RADII and grown < _LOG_FACTOR


def _distances(rows: Rows, parameters: list[Tensor]) -> Tensor:
    """(n,) squared distances ``q`` in units of the precision."""
    center, scales = parameters[0], torch.exp(parameters[1])
    if len(parameters) == 3:
        return rows.turned_distances(center[None], (parameters[2] * scales.sqrt())[None])[0]
    if scales.ndim == 1:
        return rows.distances(center[None], scales[None])[0]
    return rows.distances(center[None])[0] * scales.to(rows.dtype)


def _chain(rows: Rows, parameters: list[Tensor], worth: Tensor, q: Tensor) -> list[Tensor]:
    """Carry the (n,) worths of ``-dq`` to the parameters."""
    center, scales = parameters[0], torch.exp(parameters[1])
    mass, scaled = rows.added(torch.stack([worth, worth * q]))
    first = rows.pull(worth[None])[0]
    moved = first - mass * center
    if len(parameters) == 2 and scales.ndim == 0:
        return [2 * scales * moved, -scaled]
    if len(parameters) == 2:
        second = rows.pull(worth[None], squared=True)[0]
        spread = second - 2 * center * first + mass * center.square()
        return [2 * scales * moved, -scales * spread]
    axes = parameters[2]
    spread = rows.scatter(worth[None])[0] - torch.outer(first, center) - torch.outer(center, moved)
    turned = spread @ axes
    by_scale = -scales * (axes * turned).sum(0)
    return [2 * _as_precision(parameters) @ moved, by_scale, -2 * turned * scales]
