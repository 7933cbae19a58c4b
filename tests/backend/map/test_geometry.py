"""Rows inside drawn shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.core.errors import InputError
from backend.map.geometry import nearest_point, rows_in_box, rows_in_polygon

SQUARE = [[0, 0], [4, 0], [4, 4], [0, 4]]


def winding_rows(points, polygon):
    """Slow twin: even-odd by casting a ray to the right, one point and one edge at a time."""
    rows = []
    for row, (x, y) in enumerate(points):
        inside = False
        for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
            if (y1 <= y) != (y2 <= y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
                inside = not inside
        if inside:
            rows.append(row)
    return rows


def test_a_square_holds_what_lies_in_it():
    points = np.array([[1, 1], [5, 1], [2, 3.9], [-1, 2], [2, 5]], dtype=np.float32)
    assert rows_in_polygon(points, SQUARE).tolist() == [0, 2]


def test_where_an_outline_crosses_itself_even_is_outside():
    pentagram = [[np.sin(4 * np.pi * k / 5), np.cos(4 * np.pi * k / 5)] for k in range(5)]
    assert rows_in_polygon(np.array([[0.0, 0.0], [0.0, 0.7]]), pentagram).tolist() == [1]


def test_polygons_sharing_an_edge_share_no_point():
    left, right = [[0, 0], [2, 0], [2, 4], [0, 4]], [[2, 0], [4, 0], [4, 4], [2, 4]]
    points = np.array([[2.0, y] for y in np.linspace(0.1, 3.9, 20)])
    held = [*rows_in_polygon(points, left), *rows_in_polygon(points, right)]
    assert sorted(held) == list(range(20))


@given(seed=st.integers(0, 10_000), corners=st.integers(3, 40))
@settings(max_examples=60, deadline=None)
def test_equals_the_slow_twin(seed, corners):
    rng = np.random.default_rng(seed)
    # Whole numbers make points on edges and level edges likely.
    points = rng.integers(0, 12, (80, 2)).astype(np.float32)
    polygon = rng.integers(0, 12, (corners, 2)).tolist()
    assert rows_in_polygon(points, polygon).tolist() == winding_rows(points.tolist(), polygon)


def test_a_box_holds_its_border_whichever_corner_comes_first():
    points = np.array([[0, 0], [1, 1], [2, 2], [3, 3]], dtype=float)
    assert rows_in_box(points, [2, 1], [1, 2]).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("polygon", "words"),
    [
        ([[0, 0], [1, 1]], "3 to"),
        ([[0, 0, 0]] * 4, "2 numbers"),
        ([[0, 0], [1, 0], [np.nan, 1]], "finite"),
        ([[0, 0]] * 20_001, "corners"),
    ],
)
def test_what_is_no_polygon_is_refused(polygon, words):
    with pytest.raises(InputError, match=words):
        rows_in_polygon(np.zeros((1, 2)), polygon)


def test_a_box_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="finite"):
        rows_in_box(np.zeros((1, 2)), [0, np.inf], [0, 1])


def test_the_nearest_point_counts_both_axes_by_the_width_of_the_map():
    points = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 100.0]], dtype=np.float32)
    corners = {"low": (0.0, 0.0), "high": (10.0, 100.0)}
    assert nearest_point(points, (9.9, 3.0), within=0.05, **corners) == 1
    assert nearest_point(points, (9.0, 0.0), within=0.05, **corners) is None
    assert nearest_point(points, (5.0, 0.0), within=0.5, **corners) == 0, "ties: the lower row"


def test_the_nearest_point_far_from_the_origin():
    points = 1e7 + np.array([[0.0, 0.0], [1.0, 1.0]])
    found = nearest_point(
        points, (1e7 + 0.9, 1e7 + 0.9), low=(1e7, 1e7), high=(1e7 + 1,) * 2, within=0.2
    )
    assert found == 1
