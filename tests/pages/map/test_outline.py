"""The outline of a region follows its members, whichever way they changed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import streamlit as st

from backend.map.contours import density_lines
from pages.components.map import mapview

XY = np.random.default_rng(3).normal(size=(400, 2)).astype(np.float32)
LEFT, RIGHT = np.argsort(XY[:, 0])[:40], np.argsort(-XY[:, 0])[:40]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def anchor_of(rows: np.ndarray) -> tuple[float, float] | None:
    weights = np.zeros(len(XY))
    weights[rows] = 1
    return density_lines(XY, weights).anchor


def test_as_many_other_members_get_an_outline_of_their_own() -> None:
    """Filters leave as many members of a region as before, and others."""
    left, right = (mapview.outline("layout", XY, rows) for rows in (LEFT, RIGHT))
    assert left.anchor == anchor_of(LEFT) and right.anchor == anchor_of(RIGHT)
    assert left.anchor[0] < -1 and right.anchor[0] > 1


def test_another_layout_gets_another_outline() -> None:
    here, there = mapview.outline("layout", XY, LEFT), mapview.outline("other", -XY, LEFT)
    assert here.anchor[0] == pytest.approx(-there.anchor[0], abs=0.1)


def test_the_same_members_are_outlined_once() -> None:
    first = mapview.outline("layout", XY, LEFT)
    assert mapview.outline("layout", XY, LEFT.copy()) is first
