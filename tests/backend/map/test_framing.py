"""A few far points do not make a clump of all others, and structure is never cut off."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.map.framing import framed


def clump(n: int = 400) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)


@pytest.mark.parametrize(
    ("far", "outside"),
    [
        ([[1e3, 1e3], [-5e3, 0]], 2),
        ([[1e30, 0]], 1),
        ([[0, -40], [0, 40], [0, 41], [60, 0]], 4),
        ([[8, 0]], None),  # near enough to be drawn as it is
        ([], None),
        ([[100, 100]] * 5, None),  # more than 1 %: a part of the picture
    ],
)
def test_axes_follow_most_points(far: list[list[float]], outside: int | None) -> None:
    xy = np.vstack([clump(), np.array(far, dtype=np.float32).reshape(-1, 2)])
    found = framed(xy)
    if outside is None:
        assert found is None
        return
    assert found is not None and found.outside == outside
    np.testing.assert_array_equal(found.xy[:400], xy[:400])
    moved = np.any(found.xy != xy, axis=1)
    assert moved.sum() == outside
    assert np.abs(found.xy).max() < 12
    low, high = found.xy.min(axis=0), found.xy.max(axis=0)
    held = (found.xy[moved] == low) | (found.xy[moved] == high)
    assert held.any(axis=1).all()  # on the border


def test_few_and_equal_points() -> None:
    assert framed(np.zeros((50, 2))) is None  # no width to go by
    line = np.column_stack([np.arange(100.0), np.zeros(100)])
    assert framed(line) is None
    two = np.vstack([clump(60), [[500, 0], [0, 500]]])
    found = framed(two)
    assert found is not None and found.outside == 2
    clusters = np.vstack([clump(200), clump(200) + 300])
    assert framed(clusters) is None
    for bad in (np.zeros((0, 2)), np.zeros((3, 3)), np.array([[0.0, np.nan]])):
        with pytest.raises(InputError):
            framed(bad)
