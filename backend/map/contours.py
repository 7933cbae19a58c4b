"""Where a region lies on a map: lines around the densest places of its weight."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray

from backend.core.errors import InputError

SHARES = (0.5, 0.8)
BINS = 128
MARGIN = 16
"""Empty cells around the map, so that lines close and nothing is cut off by blurring."""
SOFTEST, SHARPEST = 6.0, 1.25
"""Bounds of the blur, in cells: between a hump that says where and a line that traces points."""
MAX_LINES = 12


@dataclass(frozen=True)
class DensityLevel:
    """Closed lines around the densest cells that together hold ``share`` of the weight.

    ``lines``: arrays of shape (k, 2) in map coordinates, first corner = last corner, the longest
    first. Holes are lines of their own (even-odd rule).
    """

    share: float
    lines: tuple[NDArray[np.float64], ...] = field(repr=False)


@dataclass(frozen=True)
class DensityLines:
    """Contours of a region on a map and the place for its number.

    ``anchor`` is where the density is highest, in map coordinates; None when nothing has weight.
    """

    anchor: tuple[float, float] | None
    levels: tuple[DensityLevel, ...]


def density_lines(
    points: NDArray[Any], weights: NDArray[Any], *, shares: tuple[float, ...] = SHARES
) -> DensityLines:
    """Contours of the density of a weight over a map.

    Parameters
    ----------
    points : array of shape (n, 2)
        Positions on the map.
    weights : array of shape (n,)
        Membership, not negative; rows of weight 0 count for nothing.
    shares : tuple of float
        Shares of the total weight that the lines enclose, fractions in (0, 1).

    Returns
    -------
    DensityLines
        One level per share, in the order given. The shares are met to within one of 128 x 128 cells
        of the map. A weight of 0 everywhere gives no lines.

    Notes
    -----
    A weighted histogram is blurred with a Gaussian whose width follows the weighted spread and the
    effective number of members (Scott's rule in two dimensions). The level of a share lies
    just below the last cell taken when cells are taken densest first until they hold the share.

    Raises
    ------
    InputError
        If the shapes differ, a weight is negative or not finite, or a share is not in (0, 1).
    """
    points, weights = np.asarray(points), np.asarray(weights, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or weights.shape != points.shape[:1]:
        raise InputError(
            "points must have shape (n, 2) and weights (n,): "
            f"got {points.shape} and {weights.shape}."
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError("weights must be finite and not negative.")
    if not all(0 < share < 1 for share in shares):
        raise InputError(f"shares must be fractions between 0 and 1: got {shares}.")
    held = np.flatnonzero(weights > 0)
    if not len(held):
        return DensityLines(None, tuple(DensityLevel(share, ()) for share in shares))
    low = points.min(axis=0).astype(np.float64)
    span = points.max(axis=0) - low
    span[span == 0] = 1.0
    unit = (points[held] - low) / span
    mass = _histogram(unit, weights[held])
    density = _blurred(mass, unit, weights[held])
    # Cell i of the inner grid has its centre at (i + 1/2) / BINS of the map.
    centres = (np.arange(density.shape[0]) - MARGIN + 0.5) / BINS
    peak = np.unravel_index(int(density.argmax()), density.shape)
    anchor = low + span * np.array([centres[peak[1]], centres[peak[0]]])
    generator = contour_generator(centres, centres, density)
    levels = []
    for share in shares:
        lines = [
            np.asarray(line, dtype=np.float64)
            for line in generator.lines(_threshold(mass, density, share))
        ]
        longest = sorted(lines, key=len, reverse=True)[:MAX_LINES]
        levels.append(DensityLevel(share, tuple(low + span * line for line in longest)))
    return DensityLines((float(anchor[0]), float(anchor[1])), tuple(levels))


def member_lines(points: NDArray[Any], rows: NDArray[np.int64]) -> DensityLines:
    """``density_lines`` around some examples of a map, each counting once.

    Parameters
    ----------
    points : array of shape (n, 2)
        Positions of all examples.
    rows : int array of shape (k,)
        Those that are meant.
    """
    weights = np.zeros(len(points))
    weights[rows] = 1.0
    return density_lines(points, weights)


def _histogram(unit: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight per cell, rows are y, with an empty margin."""
    size = BINS + 2 * MARGIN
    cells = np.clip((unit * BINS).astype(np.int64), 0, BINS - 1) + MARGIN
    at = cells[:, 1] * size + cells[:, 0]
    flat = np.bincount(at, weights=weights, minlength=size * size)
    return np.asarray(flat, dtype=np.float64).reshape((size, size))


def _blurred(
    mass: NDArray[np.float64], unit: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    share = weights / weights.sum()
    effective = 1 / float((share**2).sum())
    spread = np.sqrt(share @ (unit - share @ unit) ** 2)
    width = np.clip(spread * effective ** (-1 / 6) * BINS, SHARPEST, SOFTEST)
    along_x, along_y = (_kernel(len(mass), float(one)) for one in width)
    return along_y @ mass @ along_x


def _kernel(size: int, width: float) -> NDArray[np.float64]:
    """Matrix that blurs a row of cells with a Gaussian of this width."""
    apart = np.arange(size)[:, None] - np.arange(size)[None, :]
    kernel = np.exp(-0.5 * (apart / width) ** 2)
    return kernel / (width * np.sqrt(2 * np.pi))


def _threshold(mass: NDArray[np.float64], density: NDArray[np.float64], share: float) -> float:
    order = np.argsort(-density, axis=None, kind="stable")
    gathered = np.cumsum(mass.ravel()[order])
    sorted_density = density.ravel()[order]
    last = min(int(np.searchsorted(gathered, share * gathered[-1])), len(order) - 1)
    # Between the last cell taken and the next lower one: a line at the height of a peak is none.
    lower = sorted_density[sorted_density < sorted_density[last]]
    return float(0.5 * (sorted_density[last] + (lower[0] if len(lower) else 0.0)))
