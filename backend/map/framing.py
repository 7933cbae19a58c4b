"""Which part of a map is drawn at first: all of it, unless a few far points would leave the rest a clump."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError

CORE = (0.05, 0.95)
"""Quantiles of an axis between which most examples lie."""
REACH = 1.5
"""An axis reaches this many widths of its core beyond each end of it, and no farther."""
GAIN = 2.0
"""An axis is cut only where all of it would be at least this many times as long."""
MOST_OUTSIDE = 0.01
"""Share of the examples that may lie outside; with more the far ones are a part of the picture."""
FEW_OUTSIDE = 2
"""As many may lie outside however few examples there are."""


@dataclass(frozen=True)
class Framed:
    """Positions on a map whose axes follow most examples.

    Attributes
    ----------
    xy : float array of shape (n, 2)
        The positions; those outside lie on the border, next to where they are.
    outside : int
        How many lie outside.
    """

    xy: NDArray[Any] = field(repr=False)
    outside: int


def framed(xy: NDArray[Any]) -> Framed | None:
    """Cut the axes of a map to where most examples lie; None where all of it can be drawn.

    Each axis reaches from its 5 % to its 95 % quantile and 1.5 times that width beyond, as far as
    there are points: a normal distribution lies inside as a whole. It is cut only where that makes
    it half as long or less, and nothing is cut where more than 1 % of the examples would lie
    outside.

    Parameters
    ----------
    xy : float array of shape (n, 2)
        Finite positions.

    Raises
    ------
    InputError
        If the shape is another, there is no row, or a position is not finite.
    """
    xy = np.asarray(xy)
    if xy.ndim != 2 or xy.shape[1] != 2 or not len(xy):
        raise InputError(f"xy must have shape (n, 2) and a row: got {xy.shape}.")
    low, high = xy.min(axis=0).astype(float), xy.max(axis=0).astype(float)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise InputError("xy must be finite: got NaN or infinity.")
    first, last = np.quantile(xy.astype(float), CORE, axis=0)
    width = last - first
    near = np.maximum(low, first - REACH * width), np.minimum(high, last + REACH * width)
    cut = (width > 0) & (high - low >= GAIN * (near[1] - near[0]))
    bounds = np.where(cut, near[0], low), np.where(cut, near[1], high)
    outside = int(np.count_nonzero(((xy < bounds[0]) | (xy > bounds[1])).any(axis=1)))
    if not outside or outside > max(FEW_OUTSIDE, MOST_OUTSIDE * len(xy)):
        return None
    return Framed(np.clip(xy, *bounds).astype(xy.dtype), outside)
