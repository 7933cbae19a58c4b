"""Sums over blocks: their digits do not depend on order or on sharing, and none is lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from backend.spotlight.ranks_rows import Joined, even_cuts
from backend.spotlight.solver.blocks import Sum, block_sums, lent, rows_per_block
from backend.spotlight.solver.rows import BLOCK_UNITS


def summed(parts):
    total = Sum()
    for part in parts:
        total.add(part)
    return total


def test_a_sum_is_the_nearest_number_in_any_order():
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(500, 3)) * 10.0 ** rng.integers(-12, 12, size=(500, 3))
    exact = [math.fsum(column) for column in parts.T]
    for order in (np.arange(500), rng.permutation(500)):
        assert summed(torch.from_numpy(parts[order])).value().tolist() == exact
    assert parts.sum(0).tolist() != parts[::-1].sum(0).tolist()  # what plain adding gives


def test_sums_of_sums_lose_nothing():
    parts = torch.tensor([1e16, 1.0, -1e16, 3e-5], dtype=torch.float64)[:, None]
    for cut in range(1, 4):
        whole = Sum()
        for half in (summed(parts[:cut]), summed(parts[cut:])):
            for both in half.both():
                whole.add(both)
        assert whole.value().item() == 1.00003


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_a_sum_that_is_not_finite_says_so(odd):
    value = summed(torch.tensor([[1.0], [odd], [2.0]], dtype=torch.float64)).value().item()
    assert value == odd or (np.isnan(odd) and np.isnan(value))


def test_a_sum_of_nothing_has_no_shape():
    with pytest.raises(ValueError, match="add a part first"):
        Sum().value()


def test_block_sums_take_every_number_once():
    numbers = torch.arange(30, dtype=torch.float32).reshape(2, 15)
    for step in (1, 4, 15, 99):
        assert block_sums(numbers, step).value().tolist() == [105.0, 330.0]
    assert block_sums(numbers[:, :0], 4).value().tolist() == [0.0, 0.0]


@pytest.mark.parametrize("d", [1, 5, 100, 768, 2**14, 2**18, 2**20])
def test_larger_blocks_are_made_of_whole_smaller_ones(d):
    one = rows_per_block(d)
    assert one >= 1
    assert rows_per_block(d, 2) == 2 * one
    assert one * d <= max(2**18, d)
    assert one % 16 == 0 or one < 16


@pytest.mark.parametrize(("n", "world"), [(10, 3), (10**6, 2), (10**6, 3), (10**6 + 1, 64)])
def test_processes_get_even_shares_of_whole_blocks(n, world):
    step = rows_per_block(512, BLOCK_UNITS)
    cuts = even_cuts(n, 512, world)
    assert cuts[0] == 0
    assert cuts[-1] == n
    assert len(cuts) == world + 1
    assert all(cut % step == 0 for cut in cuts[:-1] if cut < n)
    assert np.ptp(np.diff(cuts)) <= 2 * step


def test_joined_rows_read_like_one_array():
    whole = np.arange(36).reshape(12, 3)
    joined = Joined([whole[:2], whole[2:7], whole[7:]])
    assert joined.shape == (12, 3)
    assert len(joined) == 12
    np.testing.assert_array_equal(joined, whole)
    for low in range(12):
        for high in range(low, 13):
            np.testing.assert_array_equal(joined[low:high], whole[low:high])
    for rows in ([], [0], [1, 2, 6, 7, 11], [8, 9]):
        picked = np.array(rows, dtype=np.int64)
        np.testing.assert_array_equal(joined[picked], whole[picked])


@pytest.mark.parametrize("kind", ["plain", "read-only", "backwards", "by columns", "long"])
def test_rows_are_lent_as_they_are_whatever_their_memory(kind):
    rows = np.arange(12.0).reshape(4, 3)
    if kind == "read-only":
        rows.flags.writeable = False
    elif kind == "backwards":
        rows = rows[::-1]
    elif kind == "by columns":
        rows = np.asfortranarray(rows)
    elif kind == "long":
        rows = rows.astype(np.longdouble)
    tensor = lent(rows)
    assert np.array_equal(tensor.numpy(), rows)
    assert np.shares_memory(tensor.numpy(), rows) == (kind == "plain")
