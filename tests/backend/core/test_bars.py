"""Bars hold every number once, and all parts stand on the same borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.bars import count_bars
from backend.core.errors import InputError

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize(
    ("values", "bars"),
    [([1.0, 2.0, 5.0], 5), ([3.0, 3.0], 1), ([0.5, 0.5], 1), ([0.0, 0.1, 1.0], 48)],
)
def test_whole_numbers_get_bars_of_their_own(values: list[float], bars: int) -> None:
    held = np.array(values)
    found = count_bars(held, {"all": np.ones(len(held), dtype=bool)})
    assert len(found.edges) == bars + 1
    assert found.counts["all"].sum() == len(values)


def test_even_bars_by_hand() -> None:
    values = np.array([0.0, 1.0, 3.0, 4.0, np.nan, np.inf])
    first = np.array([True, True, False, False, True, True])
    found = count_bars(values, {"all": np.ones(6, dtype=bool), "first": first}, most=2, whole=False)
    assert found.edges.tolist() == [0, 2, 4]
    assert found.middles.tolist() == [1, 3] and found.widths.tolist() == [2, 2]
    assert found.table().to_dict("list") == {
        "from": [0, 2], "to": [2, 4], "all": [2, 2], "first": [2, 0],
    }  # fmt: skip


@given(st.lists(FINITE, min_size=1, max_size=30), st.integers(1, 60), st.booleans())
def test_every_number_is_in_one_bar(values: list[float], most: int, whole: bool) -> None:
    held = np.array(values)
    found = count_bars(held, {"all": np.ones(len(held), dtype=bool)}, most=most, whole=whole)
    assert found.counts["all"].sum() == len(values)
    assert len(found.counts["all"]) <= most


def test_parts_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="a histogram needs a finite value: got none"):
        count_bars(np.array([np.nan]), {})
