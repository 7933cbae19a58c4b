"""The three shapes of a region: how its parameters make distances, and what improves them.

A shape turns (k, p) float64 parameters into (k, n) squared distances ``D``, and weights ``w`` of
the examples into the slope of the weighted loss: along the solved size,

    dE / d parameter = -rate sum w_i dD_i / d parameter,   w_i = g_i (l_i - c)

where ``rate`` is the kernel's slope factor times ``tau / W`` (see ``sizes``). Each slope comes with
the scale of a good first step, one per parameter: for a center the loss-weighted mean shift
``sum w (x - mu) / sum w``, for the logarithm of a precision the slope itself.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from backend.spotlight.solver.rows import Rows

# Largest ratio of two eigenvalues of a diagonal or full precision: the square of how many times
# longer one axis of a region can be than another. Without a bound, some precision singles out any
# few examples.
CONDITION = 100.0
_BOUND = 0.5 * math.log(CONDITION)
# Smallest share of the total weight that a mean shift divides by: near a slack optimum the
# weights sum to 0, and without a floor the step would have a random sign.
_FLOOR = 0.01


class AscentShape(Protocol):
    """What the ascent needs to know of a region's shape."""

    rows: Rows
    memory: int  # past steps worth remembering
    max_steps: int  # after which an ascent is given up, unless the caller says otherwise
    patience: float  # slopes that promise less end an ascent on all rows, in loss deviations

    def first(self, centers: Tensor) -> Tensor:
        """(k, p) parameters of spherical regions around (k, d) centers."""

    def distances(self, parameters: Tensor) -> Tensor:
        """(k, n) squared distances, up to the precision's overall scale."""

    def slopes(
        self, parameters: Tensor, weights: Tensor, total: Tensor, rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(k, p) slopes of ``E``, and (k, p) or (k, 1) first step scales."""

    def reach(self, parameters: Tensor, step: Tensor, log_precision: Tensor) -> Tensor:
        """(k,) length of a step: of the center in kernel radii, of logarithms as they are."""

    def centers(self, parameters: Tensor) -> Tensor:
        """(k, d) centers."""

    def precisions(self, parameters: Tensor) -> Tensor:
        """(k,), (k, d) or (k, d, d) precisions up to their overall scale."""


class Spherical:
    """One precision for all directions. Parameters: the center."""

    memory, max_steps, patience = 8, 200, 1e-9

    def __init__(self, rows: Rows):
        self.rows = rows

    def first(self, centers: Tensor) -> Tensor:
        return centers.double()

    def distances(self, parameters: Tensor) -> Tensor:
        return self.rows.distances(parameters)

    def slopes(
        self, parameters: Tensor, weights: Tensor, total: Tensor, rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        mass, first = self.rows.moments(weights)
        return self.slopes_of(parameters, mass, first, total, rate)

    def slopes_of(
        self, parameters: Tensor, mass: Tensor, first: Tensor, total: Tensor, rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same from (k,) sums of the weights and (k, d) sums of the rows under them."""
        moved = first - mass[:, None] * parameters
        return 2 * rate[:, None] * moved, _mean_shift(mass, total, rate)

    def reach(self, parameters: Tensor, step: Tensor, log_precision: Tensor) -> Tensor:
        return step.norm(dim=1) * torch.exp(0.5 * log_precision)

    def centers(self, parameters: Tensor) -> Tensor:
        return parameters

    def precisions(self, parameters: Tensor) -> Tensor:
        return torch.ones(len(parameters), dtype=torch.float64, device=parameters.device)


class Diagonal:
    """One precision per axis, bounded in condition. Parameters: center, then squashed logs."""

    memory, max_steps, patience = 20, 1000, 1e-6

    def __init__(self, rows: Rows):
        self.rows = rows

    def first(self, centers: Tensor) -> Tensor:
        return torch.cat([centers.double(), torch.zeros_like(centers, dtype=torch.float64)], 1)

    def distances(self, parameters: Tensor) -> Tensor:
        return self.rows.distances(self.centers(parameters), self.precisions(parameters))

    def slopes(
        self, parameters: Tensor, weights: Tensor, total: Tensor, rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        centers, logs = parameters.chunk(2, dim=1)
        scales, squash = _squashed(logs)
        mass, first = self.rows.moments(weights)
        second = self.rows.pull(weights, squared=True)
        moved = first - mass[:, None] * centers
        spread = second - 2 * centers * first + mass[:, None] * centers.square()
        slope = torch.cat([2 * scales * moved, -scales * squash * spread], 1) * rate[:, None]
        step = torch.cat([_mean_shift(mass, total, rate) / scales, torch.ones_like(scales)], 1)
        return slope, step

    def reach(self, parameters: Tensor, step: Tensor, log_precision: Tensor) -> Tensor:
        moved, turned = step.chunk(2, dim=1)
        scales = self.precisions(parameters)
        radii = (scales * moved.square()).sum(1).sqrt() * torch.exp(0.5 * log_precision)
        return torch.maximum(radii, turned.abs().amax(1))

    def centers(self, parameters: Tensor) -> Tensor:
        return parameters.chunk(2, dim=1)[0]

    def precisions(self, parameters: Tensor) -> Tensor:
        return _squashed(parameters.chunk(2, dim=1)[1])[0]


class Full:
    """Any ellipsoid of bounded condition. Parameters: center, then a symmetric logarithm.

    The precision is a function of the symmetric matrix ``A = U diag(a) U^T``: it has the axes
    ``U`` and the eigenvalues ``exp(squash(a))``. It turns with the data, needs no projection, and
    its derivative is that of Daleckii and Krein.
    """

    max_steps, patience = 1000, 1e-6

    def __init__(self, rows: Rows):
        self.rows = rows
        self.memory = min(20, max(4, 2**24 // rows.d**2))  # of d^2 numbers each

    def first(self, centers: Tensor) -> Tensor:
        blank = torch.zeros(len(centers), self.rows.d**2, dtype=torch.float64)
        return torch.cat([centers.double(), blank.to(centers.device)], 1)

    def distances(self, parameters: Tensor) -> Tensor:
        logs, axes = self._axes(parameters)
        roots = axes * _squashed(logs)[0].sqrt()[:, None, :]
        return self.rows.turned_distances(self.centers(parameters), roots)

    def slopes(
        self, parameters: Tensor, weights: Tensor, total: Tensor, rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        d = self.rows.d
        centers = self.centers(parameters)
        logs, axes = self._axes(parameters)
        scales, squash = _squashed(logs)
        mass, first = self.rows.moments(weights)
        moved = first - mass[:, None] * centers
        outer = centers[:, :, None] * moved[:, None, :]
        spread = self.rows.scatter(weights) - first[:, :, None] * centers[:, None, :] - outer
        spread = axes.mT @ spread @ axes
        apart = logs[:, :, None] - logs[:, None, :]
        rise = scales[:, :, None] - scales[:, None, :]
        same = apart.abs() < 1e-6
        slope = torch.where(same, (scales * squash)[:, :, None], rise / apart.masked_fill(same, 1))
        turned = axes @ (spread * slope) @ axes.mT
        turned = 0.5 * (turned + turned.mT)
        matrix = (axes * scales[:, None, :]) @ axes.mT
        first_slope = 2 * (matrix @ moved[:, :, None])[:, :, 0]
        slopes = torch.cat([first_slope, -turned.reshape(-1, d * d)], 1) * rate[:, None]
        shift = (_mean_shift(mass, total, rate) / scales.mean(1, keepdim=True)).expand(-1, d)
        return slopes, torch.cat([shift, torch.ones_like(turned).reshape(-1, d * d)], 1)

    def reach(self, parameters: Tensor, step: Tensor, log_precision: Tensor) -> Tensor:
        d = self.rows.d
        moved, turned = step[:, :d], step[:, d:].reshape(-1, d, d)
        matrix = self.precisions(parameters)
        length = (moved * (matrix @ moved[:, :, None])[:, :, 0]).sum(1).sqrt()
        radii = length * torch.exp(0.5 * log_precision)
        return torch.maximum(radii, torch.linalg.matrix_norm(turned, ord=2))

    def centers(self, parameters: Tensor) -> Tensor:
        return parameters[:, : self.rows.d]

    def precisions(self, parameters: Tensor) -> Tensor:
        logs, axes = self._axes(parameters)
        return (axes * _squashed(logs)[0][:, None, :]) @ axes.mT

    def _axes(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        d = self.rows.d
        logs, axes = torch.linalg.eigh(parameters[:, d:].reshape(-1, d, d))
        return logs, axes


SHAPES: dict[str, type[Spherical] | type[Diagonal] | type[Full]] = {
    "spherical": Spherical,
    "diagonal": Diagonal,
    "full": Full,
}


def _mean_shift(mass: Tensor, total: Tensor, rate: Tensor) -> Tensor:
    """(k, 1) factors from the slope ``2 rate sum w (x - mu)`` to ``sum w (x - mu) / sum w``."""
    return (0.5 / (rate * torch.maximum(mass, _FLOOR * total)))[:, None]


def _squashed(logs: Tensor) -> tuple[Tensor, Tensor]:
    """Precisions whose ratios stay below ``CONDITION``, and the slope of their logarithms."""
    tanh = torch.tanh(logs / _BOUND)
    return torch.exp(_BOUND * tanh), 1 - tanh.square()
