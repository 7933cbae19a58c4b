"""The two kernels: how membership falls with squared distance.

``q`` is the squared distance in units of the precision. Next to each kernel stands its *pull*: its
slope ``-dk/dq`` up to a constant factor, the weight of an example in every gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backend.spotlight.solver.names import Kernel

# -dk/dq = SLOPE[kernel] * pull(q)
SLOPE: dict[Kernel, float] = {"gaussian": 0.5, "squared_distance": 1.0}


def weigh(q: Tensor, kernel: Kernel, softness: float = 0.0) -> Tensor:
    """Membership in [0, 1]: ``exp(-q/2)`` (arXiv:2107.00758) or ``max(0, 1 - q)`` (its code).

    A softness h rounds the compact kernel's edge to a parabola over ``1 - h < q < 1 + h``, so that
    a search is not stopped by the kink of every single example. The Gaussian has no edge.
    """
    if kernel == "gaussian":
        return torch.exp(-0.5 * q)
    inside = (1.0 - q).clamp_min(0.0)
    if softness == 0.0:
        return inside
    over_edge = (1.0 + softness - q).clamp_min(0.0).square() / (4 * softness)
    return torch.where((q - 1.0).abs() < softness, over_edge, inside)


def pull(q: Tensor, weights: Tensor, kernel: Kernel, softness: float = 0.0) -> Tensor:
    """Slope of the kernel at ``q``, where ``weights = weigh(q, kernel, softness)``.

    The Gaussian pulls with its own weight. The compact kernel pulls evenly inside its edge, and
    not at all at the edge itself or outside.
    """
    if kernel == "gaussian":
        return weights
    if softness == 0.0:
        return (weights > 0).to(weights.dtype)
    return ((1.0 + softness - q) / (2 * softness)).clamp(0.0, 1.0)
