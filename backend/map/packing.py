"""Positions in few bytes, for drawing only: rows are always resolved on the positions themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError

STEPS = 65_535


@dataclass(frozen=True)
class Packed:
    """Positions on a lattice of 65 536 steps a side.

    ``steps`` (n, 2) little-endian uint16; ``low`` and ``high`` are the corners of the lattice in map
    coordinates, so that a position is ``low + steps / 65535 * (high - low)`` to within half a step.
    """

    steps: NDArray[np.uint16] = field(repr=False)
    low: tuple[float, float]
    high: tuple[float, float]

    def nearest_steps(self, places: Any) -> NDArray[np.int64]:
        """The steps nearest to places (k, 2) in map coordinates, which may lie outside."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return np.rint((np.asarray(places) - low) * (STEPS / (high - low))).astype(np.int64)


def pack_bits(state: NDArray[np.uint8], bits: Sequence[int]) -> bytes:
    """One bit of each point's state after another, eight points a byte; each bit starts on a byte."""
    planes = (np.packbits(state & bit, bitorder="little") for bit in bits)
    return b"".join(plane.tobytes() for plane in planes)


def pack(points: NDArray[Any]) -> Packed:
    """Positions (n, 2) in 4 bytes each. An axis on which all agree is given the width 1.

    Raises
    ------
    InputError
        If the shape is another, there is no row, or a position is not finite.
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise InputError(f"points must have shape (n, 2) and a row: got {points.shape}.")
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise InputError("points must be finite: got NaN or infinity.")
    flat = high <= low
    low, high = np.where(flat, low - 0.5, low), np.where(flat, high + 0.5, high)
    steps = np.empty(points.shape, dtype="<u2")
    for axis in range(2):  # float64 keeps half a step exact for coordinates far from the origin
        along = points[:, axis].astype(np.float64)
        along -= low[axis]
        along *= STEPS / (high[axis] - low[axis])
        steps[:, axis] = np.rint(along, out=along)
    return Packed(steps, (float(low[0]), float(low[1])), (float(high[0]), float(high[1])))
