"""Which points a drawn shape holds. Shapes come from the browser, rows are resolved here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.core.errors import InputError

MAX_CORNERS = 20_000
"""Corners a polygon may have; a lasso drawn by hand has a few hundred."""


def rows_in_polygon(points: NDArray[Any], polygon: Any) -> NDArray[np.int64]:
    """Rows of the points that lie inside a polygon, ascending.

    Parameters
    ----------
    points : array of shape (n, 2)
        Positions on the map.
    polygon : array-like of shape (c, 2), c >= 3
        Corners in drawing order; closed by itself. Where the outline crosses itself, a point is
        inside when a ray from it meets the outline an odd number of times (even-odd rule), as the
        browser shows it.

    Notes
    -----
    A point exactly on an edge belongs to the side the half-open rule ``y1 <= y < y2`` gives it, so
    that two polygons sharing an edge never both hold it.

    Raises
    ------
    InputError
        If the polygon has fewer than three corners, too many, or a corner that is not finite.
    """
    corners = np.asarray(polygon, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or not 3 <= len(corners) <= MAX_CORNERS:
        raise InputError(
            f"polygon must hold 3 to {MAX_CORNERS} corners of 2 numbers: got shape {corners.shape}."
        )
    if not np.isfinite(corners).all():
        raise InputError("polygon must be finite: got NaN or infinity. Draw the selection again.")
    low, high = corners.min(axis=0), corners.max(axis=0)
    near = np.flatnonzero(
        (points[:, 0] >= low[0])
        & (points[:, 0] <= high[0])
        & (points[:, 1] >= low[1])
        & (points[:, 1] <= high[1])
    )
    x, y = points[near, 0].astype(np.float64), points[near, 1].astype(np.float64)
    inside = np.zeros(len(near), dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 == y2:  # a level edge is never crossed by a level ray
            continue
        crosses = (y1 <= y) != (y2 <= y)
        inside ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return near[inside]


def rows_in_box(points: NDArray[Any], x: Any, y: Any) -> NDArray[np.int64]:
    """Rows of the points inside a box given by two x and two y values, borders included, ascending."""
    bounds = np.sort(np.asarray([x, y], dtype=np.float64), axis=1)
    if bounds.shape != (2, 2) or not np.isfinite(bounds).all():
        raise InputError("a box needs two finite x and two finite y values. Draw it again.")
    (x1, x2), (y1, y2) = bounds
    held = (points[:, 0] >= x1) & (points[:, 0] <= x2) & (points[:, 1] >= y1) & (points[:, 1] <= y2)
    return np.flatnonzero(held)


def nearest_point(
    points: NDArray[Any],
    place: tuple[float, float],
    *,
    low: tuple[float, float],
    high: tuple[float, float],
    within: float,
) -> int | None:
    """Row of the point nearest to a place, or None when none is near.

    Parameters
    ----------
    points : array of shape (n, 2)
    place : (x, y)
    low, high : (x, y)
        Corners of the map; both axes count by its width.
    within : float
        The farthest that is near, as a share of the width.

    Returns
    -------
    int or None
        Ties go to the lower row.
    """
    apart = (np.asarray(points, dtype=np.float64) - place) / (np.asarray(high) - low)
    distance = (apart**2).sum(axis=1)
    row = int(distance.argmin())
    return row if distance[row] <= within**2 else None
