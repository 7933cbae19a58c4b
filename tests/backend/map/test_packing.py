"""Positions in 4 bytes: what is drawn is within half a step of what is resolved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.errors import InputError
from backend.map.packing import STEPS, pack, pack_bits


def unpacked(packed):
    low, high = np.array(packed.low), np.array(packed.high)
    return low + packed.steps / STEPS * (high - low)


def test_corners_are_the_first_and_last_step():
    packed = pack(np.array([[-2.0, 10.0], [6.0, 30.0], [2.0, 20.0]]))
    assert packed.low == (-2.0, 10.0) and packed.high == (6.0, 30.0)
    assert packed.steps[:2].tolist() == [[0, 0], [STEPS, STEPS]]
    assert packed.steps[2].tolist() == [32768, 32768]  # 32767.5, ties to even
    assert packed.steps.dtype == np.dtype("<u2")


@given(
    st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2), min_size=1, max_size=40),
    st.sampled_from([np.float32, np.float64]),
)
def test_every_position_is_within_half_a_step(points, dtype):
    points = np.array(points, dtype=dtype)
    packed = pack(points)
    step = (np.array(packed.high) - np.array(packed.low)) / STEPS
    assert (np.abs(unpacked(packed) - points.astype(float)) <= 0.5000001 * step + 1e-9).all()


def test_far_from_the_origin_neighbours_stay_apart():
    points = np.array([[1e7, 0], [1e7 + 1, 1], [1e7 + 2, 2]], dtype=np.float64)
    assert pack(points).steps[:, 0].tolist() == [0, 32768, STEPS]


def test_an_axis_on_which_all_agree_is_drawn_in_the_middle():
    packed = pack(np.array([[3.0, 0.0], [3.0, 1.0]]))
    assert packed.low[0] == 2.5 and packed.high[0] == 3.5
    assert packed.steps[:, 0].tolist() == [32768, 32768]


def test_one_point():
    packed = pack(np.zeros((1, 2), dtype=np.float32))
    assert packed.steps.tolist() == [[32768, 32768]]


@pytest.mark.parametrize(
    ("points", "told"),
    [
        (np.zeros((3, 3)), r"shape \(n, 2\) and a row: got \(3, 3\)"),
        (np.zeros((0, 2)), r"got \(0, 2\)"),
        (np.array([[0.0, np.nan], [1.0, 1.0]]), "finite"),
        (np.array([[0.0, np.inf], [1.0, 1.0]]), "finite"),
    ],
)
def test_what_cannot_be_packed_is_named(points, told):
    with pytest.raises(InputError, match=told):
        pack(points)


def test_places_get_the_steps_of_the_positions_that_lie_there():
    points = np.random.default_rng(0).normal(size=(50, 2))
    packed = pack(points)
    assert np.array_equal(packed.nearest_steps(points), packed.steps)
    outside = packed.nearest_steps([[2 * packed.high[0] - packed.low[0], packed.low[1]]])
    assert outside.tolist() == [[2 * STEPS, 0]]


def test_bits_of_a_state_are_planes_of_their_own():
    state = np.array([1, 0, 3, 2, 0, 0, 0, 1, 2], dtype=np.uint8)
    assert pack_bits(state, (1, 2)) == bytes([0b10000101, 0, 0b00001100, 0b1])
