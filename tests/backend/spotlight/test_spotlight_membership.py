"""Members and effective size: plain numpy, worked by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.spotlight.membership import (
    MostShared,
    effective_size,
    members,
    most_shared,
    shared_members,
)


def test_the_heaviest_come_first():
    np.testing.assert_array_equal(members([0.1, 0.9, 0.5, 0.7], 2.2), [1, 3])


def test_ties_go_to_the_lower_row():
    np.testing.assert_array_equal(members([0.5, 1.0, 0.5, 0.5], 3), [1, 0, 2])
    np.testing.assert_array_equal(members(np.ones(5), 2), [0, 1])


@pytest.mark.parametrize("total", [0, 1, 7, 25, 30, 31, 99])
def test_agrees_with_a_stable_sort(total):
    weights = np.random.default_rng(total).integers(0, 6, 30) / 5
    expected = np.argsort(-weights, kind="stable")[:total]
    np.testing.assert_array_equal(members(weights, total), expected)


def test_halves_round_to_the_even_number():
    assert len(members(np.ones(9), 2.5)) == 2
    assert len(members(np.ones(9), 3.5)) == 4


def test_effective_size_worked_by_hand():
    assert effective_size([1.0, 1.0, 0.0]) == pytest.approx(2.0)
    assert effective_size([1.0, 0.5]) == pytest.approx(1.5**2 / 1.25)
    assert effective_size([1e-300, 1e-300]) == pytest.approx(2.0)
    assert np.isnan(effective_size([0.0, 0.0]))


def test_says_what_is_wrong():
    with pytest.raises(InputError, match="weights must be one-dimensional"):
        members(np.ones((2, 2)), 1)
    with pytest.raises(InputError, match="total_weight must be a number of at least 0: got -1"):
        members([1.0], -1)


def test_loads_no_torch():
    code = (
        "import sys; from backend.spotlight.membership import members; "
        "from backend.spotlight import effective_size; raise SystemExit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_shared_members_by_hand():
    shares = shared_members([[0, 1, 2, 3], [3, 9], []])
    assert shares[:2].tolist() == [[1.0, 0.25, 0.0], [0.5, 1.0, 0.0]]
    assert np.isnan(shares[2]).all()


def test_the_two_groups_that_share_most() -> None:
    found = most_shared(shared_members([[0, 1, 2, 3], [3, 9], [0, 1, 2, 8], []]))
    assert found == MostShared(0.75, 0, 2), "ties: the lower group"
    assert most_shared(shared_members([[0, 1], [2], []])) is None
    assert most_shared(shared_members([[0, 1]])) is None
