"""The nearest rows, against looking at all of them at once."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.core.neighbours import nearest


def test_by_hand_with_ties_to_the_lower_row():
    points = np.array([[0.0], [3.0], [1.0], [-1.0], [10.0]])
    found = nearest(points, 0, k=3)
    assert found.rows.tolist() == [2, 3, 1]
    assert found.distances.tolist() == [1.0, 1.0, 3.0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_blocks_find_what_a_full_sort_finds(monkeypatch, dtype):
    monkeypatch.setattr("backend.core.blocks._BLOCK_VALUES", 5 * 7)  # seven rows in a block
    points = np.random.default_rng(0).integers(0, 3, (60, 5)).astype(dtype)  # many ties
    for row in (0, 6, 7, 59):
        squares = ((points.astype(float) - points[row].astype(float)) ** 2).sum(axis=1)
        squares[row] = np.inf
        expected = np.argsort(squares, kind="stable")[:10]
        found = nearest(points, row, k=10)
        assert found.rows.tolist() == expected.tolist()
        assert np.allclose(found.distances, np.sqrt(squares[expected]))


def test_far_from_the_origin_no_digit_is_lost():
    points = np.array([[0.0], [0.25], [0.5], [1.5]]) + 4096.0
    assert nearest(points, 1, k=2).distances.tolist() == [0.25, 0.25]


def test_fewer_rows_than_asked_for():
    assert nearest(np.eye(3), 1, k=10).rows.tolist() == [0, 2]
    assert len(nearest(np.ones((1, 2)), 0).rows) == 0


@pytest.mark.parametrize(("row", "k"), [(3, 1), (-1, 1), (0, 0)])
def test_what_is_out_of_range_is_told(row, k):
    with pytest.raises(InputError, match="must be"):
        nearest(np.eye(3), row, k=k)
