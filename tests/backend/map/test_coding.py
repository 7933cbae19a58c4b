"""One byte per example says what its colour means."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.errors import InputError
from backend.map.coding import CodeCount, count_codes, group_codes, kind_codes, step_codes


def test_an_example_in_several_groups_takes_the_first() -> None:
    codes = group_codes(6, [np.array([1, 2]), np.array([2, 3]), np.array([], dtype=np.int64)])
    assert codes.dtype == np.uint8 and codes.tolist() == [0, 1, 1, 2, 0, 0]
    assert group_codes(3, []).tolist() == [0, 0, 0]
    with pytest.raises(InputError, match="groups must fit into a byte, at most 255: got 256"):
        group_codes(3, [np.array([0])] * 256)


def test_the_most_frequent_values_are_named_in_the_order_of_their_text() -> None:
    values = np.array(["b", "d", "a", "b", "c", "d", "b"])
    found = kind_codes(values, most=3)
    assert found.names == ("b", "d") and found.n_others == 2
    assert found.codes.tolist() == [1, 2, 0, 1, 0, 2, 1]
    every = kind_codes(values, most=4)
    assert every.names == ("a", "b", "c", "d") and every.n_others == 0
    assert every.codes.tolist() == [2, 4, 1, 2, 3, 4, 2]


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40), st.integers(1, 9))
def test_named_values_are_never_rarer_than_the_others(values: list[str], most: int) -> None:
    found = kind_codes(np.array(values), most=most)
    counts = Counter(values)
    others = set(counts) - set(found.names)
    assert len(found.names) + found.n_others == len(counts)
    assert len(found.names) + bool(others) <= max(most, 1)
    assert min((counts[one] for one in found.names), default=99) >= max(
        (counts[one] for one in others), default=0
    )
    named = ["", *found.names]
    assert [named[code] for code in found.codes] == [
        one if one in found.names else "" for one in values
    ]


def test_numbers_are_even_steps_between_their_quantiles() -> None:
    found = step_codes(np.array([0.0, 1.0, 2.0, 3.0, np.nan, np.inf]), steps=4, outer=0.0)
    assert (found.low, found.high) == (0.0, 3.0)
    assert found.codes.tolist() == [0, 1, 2, 3, 4, 4]
    values = np.arange(101.0)
    cut = step_codes(values, steps=64)
    assert (cut.low, cut.high) == (1.0, 99.0)
    assert cut.codes[0] == cut.codes[1] == 0 and cut.codes[-1] == cut.codes[-2] == 63
    assert np.all(np.diff(cut.codes.astype(int)) >= 0)


def test_a_scale_of_one_value_or_none() -> None:
    same = step_codes(np.full(3, 7.0), steps=8)
    assert (same.low, same.high, same.codes.tolist()) == (7.0, 8.0, [0, 0, 0])
    nothing = step_codes(np.full(3, np.nan), steps=8)
    assert (nothing.low, nothing.high, nothing.codes.tolist()) == (0.0, 1.0, [8, 8, 8])


def test_counts_are_over_all_and_over_the_chosen() -> None:
    codes = np.array([0, 2, 2, 1, 2], dtype=np.uint8)
    chosen = np.array([True, True, False, False, True])
    assert count_codes(codes, chosen, size=4) == [
        CodeCount(1, 1), CodeCount(1, 0), CodeCount(3, 2), CodeCount(0, 0),
    ]  # fmt: skip
