"""Lines around where a region is dense: they hold the share they name, in the right place."""

from __future__ import annotations

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.map.contours import BINS, density_lines, member_lines
from backend.map.geometry import rows_in_polygon


def crowd(n=6000, seed=0):
    """A wide crowd with a dense group on the right; the group's membership is the weight."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 2))
    group = np.arange(n) < n // 5
    points[group] = [3, -1] + 0.4 * rng.normal(size=(int(group.sum()), 2))
    return points.astype(np.float32), group


def held(points, level):
    """Rows inside an odd number of lines."""
    inside = np.zeros(len(points), dtype=int)
    for line in level.lines:
        inside[rows_in_polygon(points, line[:-1])] += 1
    return inside % 2 == 1


def test_lines_hold_the_share_of_the_weight_they_name():
    points, group = crowd()
    for weights in (group.astype(float), group * np.linspace(0.2, 1, len(group))):
        for level in density_lines(points, weights, shares=(0.3, 0.5, 0.8)).levels:
            share = weights[held(points, level)].sum() / weights.sum()
            assert share == pytest.approx(level.share, abs=0.04)


def test_members_count_once_each():
    points, group = crowd()
    found, wanted = member_lines(points, np.flatnonzero(group)), density_lines(points, group)
    assert found.anchor == wanted.anchor
    for own, level in zip(found.levels, wanted.levels, strict=True):
        assert own.share == level.share
        assert all(map(np.array_equal, own.lines, level.lines))


def test_levels_nest_and_lines_are_closed():
    points, group = crowd()
    inner, outer = density_lines(points, group).levels
    assert (inner.share, outer.share) == (0.5, 0.8)
    assert not (held(points, inner) & ~held(points, outer)).any()
    for level in (inner, outer):
        for line in level.lines:
            assert line.shape[1] == 2 and (line[0] == line[-1]).all()


def test_the_number_stands_where_the_group_is_densest():
    points, group = crowd()
    anchor = density_lines(points, group).anchor
    assert np.hypot(anchor[0] - 3, anchor[1] + 1) < 0.4


def test_two_heaps_get_two_lines():
    rng = np.random.default_rng(0)
    heaps = np.r_[rng.normal(-4, 0.3, (400, 2)), rng.normal(4, 0.3, (400, 2))]
    level = density_lines(heaps, np.ones(800), shares=(0.8,)).levels[0]
    middles = sorted(float(line.mean()) for line in level.lines)
    assert len(middles) == 2
    assert middles[0] == pytest.approx(-4, abs=0.3) and middles[1] == pytest.approx(4, abs=0.3)


def test_the_order_of_rows_does_not_matter():
    points, group = crowd(800)
    order = np.random.default_rng(1).permutation(len(points))
    one, other = density_lines(points, group), density_lines(points[order], group[order])
    assert one.anchor == other.anchor
    for a, b in zip(one.levels, other.levels, strict=True):
        for line, again in zip(a.lines, b.lines, strict=True):
            np.testing.assert_allclose(line, again, rtol=1e-6)


def test_rows_without_weight_only_span_the_map():
    points, group = crowd(800)
    box = points.min(axis=0), points.max(axis=0)
    members = np.vstack([points[group], box[0], box[1]])
    alone = density_lines(members, np.r_[np.ones(int(group.sum())), 0, 0])
    assert alone.anchor == pytest.approx(density_lines(points, group).anchor)


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((5, 2)),
        np.column_stack([np.arange(5.0), np.zeros(5)]),
        np.array([[0.0, 0.0], [1.0, 1.0]]),
    ],
)
def test_places_without_width_still_get_a_line(points):
    lines = density_lines(points, np.ones(len(points)))
    assert all(len(level.lines) >= 1 for level in lines.levels)
    assert np.isfinite(lines.anchor).all()


def test_one_member_on_the_edge_is_a_small_closed_line():
    points = np.random.default_rng(0).normal(size=(500, 2))
    weights = np.zeros(500)
    weights[points[:, 0].argmax()] = 1
    level = density_lines(points, weights).levels[1]
    size = np.ptp(level.lines[0], axis=0) / np.ptp(points, axis=0)
    assert (level.lines[0][0] == level.lines[0][-1]).all()
    assert (size < 12 / BINS).all()


def test_no_weight_is_no_line():
    lines = density_lines(np.zeros((4, 2)), np.zeros(4))
    assert lines.anchor is None and all(level.lines == () for level in lines.levels)


@pytest.mark.parametrize(
    ("points", "weights", "shares", "told"),
    [
        (np.zeros((4, 3)), np.ones(4), (0.5,), r"got \(4, 3\) and \(4,\)"),
        (np.zeros((4, 2)), np.ones(5), (0.5,), r"got \(4, 2\) and \(5,\)"),
        (np.zeros((4, 2)), np.array([1, 1, -1, 1.0]), (0.5,), "not negative"),
        (np.zeros((4, 2)), np.array([1, 1, np.nan, 1]), (0.5,), "finite"),
        (np.zeros((4, 2)), np.ones(4), (1.0,), "between 0 and 1"),
    ],
)
def test_what_cannot_be_drawn_is_named(points, weights, shares, told):
    with pytest.raises(InputError, match=told):
        density_lines(points, weights, shares=shares)
