"""What an ascent sees at a place: distances, the best size there, and the way up.

That takes two readings of the rows, since slopes weigh the rows by what is known only when all
distances are: the size, and the loss level. Where a reading is dear, one does: the sums that slopes
are made of are taken at a guessed size and carried to the solved one, to first order. (Rows in
memory are read faster than four sums are taken instead of one.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from backend.spotlight.solver.kernels import SLOPE
from backend.spotlight.solver.shapes import AscentShape, Spherical
from backend.spotlight.solver.sizes import Problem, Sizes, kernel_at, solve_sizes

# Where the total weight at the guessed size differs by more than this from that at the solved one
# (its logarithm), the first order is not enough and the rows are read once more. Of what a slope is
# a sum of, it leaves out about half the square of this at the most.
_NEAR = 0.15
# No change of a size (the logarithm of its precision) is foreseen to be larger.
_FORESEEN = 1.0


@dataclass(frozen=True)
class Look:
    """What is seen at ``k`` places.

    Parameters
    ----------
    shape : AscentShape
    problem : Problem
    parameters : float64 tensor of shape (k, p)
    distances : tensor of shape (k, own)
    sizes : Sizes
    """

    shape: AscentShape
    problem: Problem
    parameters: Tensor
    distances: Tensor
    sizes: Sizes

    def slopes(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes of the weighted loss along the solved size, and first step scales, at some."""
        distances, sizes = self.distances[which], self.sizes[which]
        _, _, pulls = kernel_at(distances, sizes.log_precision, self.problem)
        weights = pulls * (self.problem.losses - sizes.level[:, None].to(distances.dtype))
        rate = _rate(sizes, self.problem)
        return self.shape.slopes(self.parameters[which], weights, sizes.total, rate)

    def lean(self, which: Tensor) -> Tensor | None:
        """How the solved sizes will change on the way from some places, where that is known."""
        return None


@dataclass(frozen=True)
class FoldedLook(Look):
    """The same, with sums that were taken while distances were.

    Parameters
    ----------
    shape : Spherical
    guess : Sizes
        Where the sums were taken.
    sums : float64 tensor of shape (4, k, d + 1)
        Of the rows, and of one each, under ``k (l - c)``, ``k``, ``k (l - c) q`` and ``k q``.
    """

    shape: Spherical
    guess: Sizes
    sums: Tensor

    def slopes(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Slopes and scales, carried to the solved sizes; read anew where those are far off."""
        sizes, guess = self.sizes[which], self.guess[which]
        lossy, weight, lossy_far, far = self.sums[:, which]
        lower = (sizes.level - guess.level)[:, None]
        lossy, lossy_far = lossy - lower * weight, lossy_far - lower * far
        # The factor exp(-x q) of each row's weight, to first order around the mean of q.
        x = 0.5 * torch.expm1(sizes.log_precision - guess.log_precision)[:, None]
        middle = far[:, -1:] / weight[:, -1:].clamp_min(1e-300)
        sums = torch.exp(-x * middle) * ((1 + x * middle) * lossy - x * lossy_far)
        slope, scale = self.shape.slopes_of(
            self.parameters[which],
            sums[:, -1],
            sums[:, :-1],
            sizes.total,
            _rate(sizes, self.problem),
        )
        near = (x * middle)[:, 0].abs() < _NEAR  # false for NaN, too
        if not bool(near.all()):
            off = (~near).nonzero()[:, 0]
            slope[off], scale[off] = super().slopes(which[off])
        return slope, scale

    def lean(self, which: Tensor) -> Tensor:
        """(k, d + 1) of the logarithm of the precision: its slope, and its fall by squared length.

        Along a step ``s`` distances change by ``|s|^2 - 2 (x - mu) s``. With the weighted mean
        ``m`` of the rows and that of ``q``, the total weight stays the same, nearly, when
        ``log tau`` rises by ``tau (2 (m - mu) s - |s|^2) / q``. (Where the size is above the
        smallest allowed, something else decides it, and the guess is as good as any.)
        """
        tau = torch.exp(self.sizes.log_precision[which])[:, None]
        _, weight, _, far = self.sums[:, which]
        mean = weight[:, :-1] / weight[:, -1:] - self.parameters[which]
        by_length = tau * weight[:, -1:] / far[:, -1:]
        return torch.cat([2 * by_length * mean, by_length], dim=1)


def look(
    shape: AscentShape, parameters: Tensor, guess: Sizes, problem: Problem, *, fold: bool = False
) -> Look:
    """Distances to (k, p) places and the best sizes there, searched from guessed ones.

    ``fold`` makes one reading of the rows do for slopes, too; for round Gaussian regions only.
    """
    if not (fold and isinstance(shape, Spherical)):
        distances = shape.distances(parameters)
        sizes = solve_sizes(distances, guess.log_precision, problem)
        return Look(shape, problem, parameters, distances, sizes)

    guess = Sizes(*(part.clone() for part in guess.parts()))  # the caller's change as it climbs

    def weights_of(distances: Tensor, part: slice) -> Tensor:
        q, weight, _ = kernel_at(distances, guess.log_precision, problem.of(part))
        lossy = weight * (problem.losses[part] - guess.level[:, None].to(distances.dtype))
        return torch.cat([lossy, weight, lossy * q, weight * q])

    k = len(parameters)
    distances, sums = shape.rows.distances_and_sums(parameters, weights_of, 4 * k)
    sizes = solve_sizes(distances, guess.log_precision, problem)
    return FoldedLook(shape, problem, parameters, distances, sizes, guess, sums.reshape(4, k, -1))


def foreseen(sizes: Sizes, lean: Tensor | None, step: Tensor) -> Sizes:
    """A guess of the sizes at the end of (k, p) steps from places with these."""
    if lean is None:
        return sizes
    rise = (lean[:, :-1] * step).sum(1) - lean[:, -1] * step.square().sum(1)
    rise = rise.nan_to_num(0.0, 0.0, 0.0).clamp(-_FORESEEN, _FORESEEN)
    return replace(sizes, log_precision=sizes.log_precision + rise)


def _rate(sizes: Sizes, problem: Problem) -> Tensor:
    return SLOPE[problem.kernel] * torch.exp(sizes.log_precision) / sizes.total
