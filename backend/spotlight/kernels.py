"""The two kernels: how membership falls with squared distance.

``q`` is the squared distance in units of the precision. Next to each kernel stands its *pull*,
``-dk/dq`` up to a constant factor: the weight of an example in every gradient.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Kernel = Literal["gaussian", "squared_distance"]
KERNELS: tuple[Kernel, ...] = ("gaussian", "squared_distance")

# -dk/dq = PULL_FACTOR * pull(q)
PULL_FACTOR: dict[Kernel, float] = {"gaussian": 0.5, "squared_distance": 1.0}


def weigh(q: Tensor, kernel: Kernel) -> Tensor:
    """Membership in [0, 1]: ``exp(-q/2)`` (arXiv:2107.00758) or ``max(0, 1 - q)`` (its code)."""
    if kernel == "gaussian":
        return torch.exp(-0.5 * q)
    return (1.0 - q).clamp_min(0.0)


def pull(q: Tensor, weights: Tensor, kernel: Kernel) -> Tensor:
    """Slope of the kernel at ``q``, where ``weights = weigh(q, kernel)``.

    The Gaussian pulls with its own weight. The compact kernel pulls evenly inside its edge, and
    not at all at the edge itself or outside.
    """
    if kernel == "gaussian":
        return weights
    return (weights > 0).to(weights.dtype)
