"""The paper's own optimiser: Adam against a barrier that tightens step by step.

Kept for parity with published runs. It climbs from the origin of the embeddings as given, with a
nearly flat kernel, and is therefore the one solver whose answer depends on their units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.core.errors import InputError
from backend.spotlight.kernels import PULL_FACTOR, Kernel, pull, weigh
from backend.spotlight.rows import Rows

STEPS = 5000
LEARNING_RATE = 1e-2
_PATIENCE, _FACTOR, _THRESHOLD = 10, 0.5, 1e-4
_FINAL_WIDTH = 0.05  # of S
_BETAS, _EPSILON = (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class AdamState:
    """Where the ascent stands after some steps.

    Parameters
    ----------
    step : int
        Steps taken.
    center : float64 tensor of shape (d,)
        In the coordinates of the rows.
    precision : float64 tensor of shape (), (d,) or (d, d)
    value, total_weight : float
        J and W before the step.
    learning_rate : float
    finite : bool
        False when J or a parameter stopped being finite; the parameters are the last finite ones.
    """

    step: int
    center: Tensor
    precision: Tensor
    value: float
    total_weight: float
    learning_rate: float
    finite: bool


def climb(
    rows: Rows,
    losses: Tensor,
    counts: Tensor | None,
    min_weight: float,
    *,
    kernel: Kernel = "gaussian",
    precision: str = "spherical",
    flip: bool = False,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    barrier_scale: float = 1.0,
) -> Iterator[AdamState]:
    """States of the ascent after each step, from the published start with published settings.

    The width of the barrier falls geometrically from ``N - S`` to ``0.05 S``. The learning rate is
    halved after more than 10 steps without a relative improvement of 1e-4 in J; each halving
    clears the memory of that test, because the barrier keeps moving.

    References
    ----------
    arXiv:2107.00758, Section 2 and its released code; Kingma, Ba, Adam, arXiv:1412.6980.
    """
    origin = rows.inward(torch.zeros(rows.d, dtype=torch.float64)).to(rows.device)
    log_precision = _first_precision(rows, origin, kernel, precision)
    parameters = [origin, log_precision]
    if precision == "full":
        parameters.append(torch.eye(rows.d, dtype=torch.float64, device=rows.device))
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    whole = float(rows.n if counts is None else counts.sum(dtype=torch.float64))
    widths = np.geomspace(whole - min_weight, _FINAL_WIDTH * min_weight, steps)
    best, bad = np.inf, 0
    for step, width in enumerate(widths, start=1):
        value, total, gradients = _slopes(
            rows, losses, counts, parameters, kernel, min_weight, float(width), barrier_scale, flip
        )
        if total == 0:
            raise InputError(
                f"solver 'adam' lost every example at step {step}: all {kernel!r} weights are 0. "
                "Use solver='fast', or kernel='gaussian', whose weights never vanish."
            )
        finite = bool(np.isfinite(value)) and all(bool(g.isfinite().all()) for g in gradients)
        if finite:
            for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                m.mul_(_BETAS[0]).add_(g, alpha=1 - _BETAS[0])
                v.mul_(_BETAS[1]).addcmul_(g, g, value=1 - _BETAS[1])
                root = (v / (1 - _BETAS[1] ** step)).sqrt_().add_(_EPSILON)
                p.addcdiv_(m, root, value=learning_rate / (1 - _BETAS[0] ** step))
            if precision == "full":
                left, _, right = torch.linalg.svd(parameters[2])
                parameters[2].copy_(left @ right)  # the nearest orthogonal matrix
        yield AdamState(
            step, parameters[0], _as_precision(parameters), value, total, learning_rate, finite
        )
        if not finite:
            return
        if -value < best * (1 - _THRESHOLD):  # also true a little below par when best < 0
            best, bad = -value, 0
        else:
            bad += 1
        if bad > _PATIENCE:
            learning_rate, best, bad = learning_rate * _FACTOR, np.inf, 0


def _first_precision(rows: Rows, origin: Tensor, kernel: Kernel, precision: str) -> Tensor:
    """Log precision of the first step: 1e-4, or 1e-3 per axis.

    The compact kernel sees nothing beyond its edge, so there it is at most half of what would
    leave the farthest example at weight 0.
    """
    start = 1e-4 if precision == "spherical" else 1e-3
    if kernel == "squared_distance":
        farthest = float(rows.distances(origin[None].to(rows.dtype)).max())
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


def _slopes(
    rows: Rows,
    losses: Tensor,
    counts: Tensor | None,
    parameters: list[Tensor],
    kernel: Kernel,
    min_weight: float,
    width: float,
    scale: float,
    flip: bool,
) -> tuple[float, float, list[Tensor]]:
    """J, W and the gradient of J by center, log precision and (full only) axes."""
    center, log_precision = parameters[0], parameters[1]
    scales = torch.exp(log_precision)
    q = _distances(rows, parameters, scales)
    k = weigh(q, kernel)
    g = pull(q, k, kernel)
    if counts is not None:
        k, g = k * counts, g * counts
    total = k.sum(dtype=torch.float64)
    mean = (k @ losses).double() / total
    sign = -1.0 if flip else 1.0
    short = total - (min_weight + width)
    active = bool(short < 0)
    value = sign * mean - (scale * (short / width) ** 2 if active else 0.0)
    penalty = 2 * scale * short / width**2 if active else torch.zeros_like(total)
    # dJ/dq of each example, without its sign
    h = g * (sign * (losses - mean) / total - penalty).to(g.dtype) * PULL_FACTOR[kernel]
    mass = h.sum(dtype=torch.float64)
    gradients = _chain(rows, parameters, scales, h, q, mass, center)
    return float(value), float(total), gradients


def _distances(rows: Rows, parameters: list[Tensor], scales: Tensor) -> Tensor:
    """(n,) squared distances ``q`` in units of the precision."""
    center = parameters[0]
    if scales.ndim == 0:
        return rows.distances(center[None].to(rows.dtype))[0] * scales.to(rows.dtype)
    q = torch.empty(rows.n, dtype=rows.dtype, device=rows.device)
    middle, weight = center.to(rows.dtype), scales.to(rows.dtype)
    for start, block in rows.blocks():
        apart = block - middle
        if len(parameters) == 3:
            apart = apart @ parameters[2].to(rows.dtype)
        q[start : start + len(block)] = apart.square_() @ weight
    return q


def _chain(
    rows: Rows,
    parameters: list[Tensor],
    scales: Tensor,
    h: Tensor,
    q: Tensor,
    mass: Tensor,
    center: Tensor,
) -> list[Tensor]:
    """Carry ``h = -dJ/dq`` of each example to the parameters."""
    if scales.ndim == 0:
        moved = rows.pull(h[None])[0].double() - mass * center
        return [2 * scales * moved, -(h @ q).double()]
    middle = center.to(rows.dtype)
    first = torch.zeros_like(center)
    spread = torch.zeros_like(center)
    axes = torch.zeros_like(parameters[2]) if len(parameters) == 3 else None
    for start, block in rows.blocks():
        part = h[start : start + len(block)]
        apart = block - middle
        first += (part @ apart).double()
        turned = apart if axes is None else apart @ parameters[2].to(rows.dtype)
        spread += (part @ turned.square()).double()
        if axes is not None:
            axes -= 2 * (apart.T @ (turned * part[:, None])).double() * scales
    if axes is None:
        return [2 * scales * first, -scales * spread]
    return [2 * _as_precision(parameters) @ first, -scales * spread, axes]
