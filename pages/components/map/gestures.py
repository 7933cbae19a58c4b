"""What a browser says was drawn on a map, read as if anybody could have written it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from numpy.typing import NDArray

from backend.map.geometry import MAX_CORNERS, nearest_point

MAX_WAITING = 200
NEAR = 0.02
"""A click this far from the next point, as a share of the map's width, means no point."""
FARTHEST = 1e300
"""Largest coordinate; sums of squares of what a map holds stay finite far below it."""

GestureKind = Literal["lasso", "box", "clear", "pin"]
Op = Literal["new", "add", "remove"]


@dataclass(frozen=True)
class Gesture:
    """One thing done on a map.

    Parameters
    ----------
    number : int
        Counts up; a later gesture has a higher number.
    kind : "lasso", "box", "clear" or "pin"
    op : "new", "add" or "remove"
        What a shape does to the selection there was.
    points : tuple of (x, y)
        In map coordinates: the outline of a lasso (not closed), two opposite corners of a box, the
        place of a click. Empty for the others.
    row : int or None
        The example a pin is on.
    map : str
        Name of the map it was made on, ``digest:projection``.
    """

    number: int
    kind: GestureKind
    op: Op
    points: tuple[tuple[float, float], ...]
    row: int | None
    map: str

    @property
    def projection(self) -> str:
        """Name of the layout it was made on."""
        return self.map.partition(":")[2]


def read_gestures(given: Any, *, after: int, n: int) -> list[Gesture]:
    """The gestures among ``given`` that can be used, numbered above ``after``, oldest first.

    What is not a gesture on a map of ``n`` points is left out.
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        return []
    read = (_gesture(one, n) for one in given[-MAX_WAITING:])
    usable = {one.number: one for one in read if one is not None and one.number > after}
    return [usable[number] for number in sorted(usable)]


def nearest_row(
    gesture: Gesture, xy: NDArray[Any], bounds: tuple[tuple[float, float], tuple[float, float]]
) -> Gesture:
    """The pin with the row next to its place; None when there is no point near it."""
    low, high = bounds
    row = nearest_point(xy, gesture.points[0], low=low, high=high, within=NEAR)
    return replace(gesture, row=row)


def _gesture(given: Any, n: int) -> Gesture | None:
    if not isinstance(given, dict):
        return None
    number, kind, op = given.get("number"), given.get("kind"), given.get("op", "new")
    row, name = given.get("row"), given.get("map")
    if type(number) is not int or number < 1 or not isinstance(name, str):
        return None
    if kind not in ("lasso", "box", "clear", "pin") or op not in ("new", "add", "remove"):
        return None
    if row is not None and (type(row) is not int or not 0 <= row < n):
        return None
    points = _corners(given.get("points") or [])
    fits = {
        "lasso": points is not None and len(points) >= 3,
        "box": points is not None and len(points) == 2,
        "clear": points == (),
        "pin": points is not None and (row is not None or len(points) == 1),
    }
    if points is None or not fits[kind]:
        return None
    return Gesture(number, cast("GestureKind", kind), cast("Op", op), points, row, name)


def _corners(given: Any) -> tuple[tuple[float, float], ...] | None:
    if not isinstance(given, list) or len(given) > MAX_CORNERS:
        return None
    corners = []
    for one in given:
        if not isinstance(one, list) or len(one) != 2:
            return None
        if not all(type(value) in (int, float) and abs(value) <= FARTHEST for value in one):
            return None  # NaN fails the comparison too
        corners.append((float(one[0]), float(one[1])))
    return tuple(corners)
