"""Which rows are drawn, which are sampled."""

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.core.sampling import random_rows, sample_for_map


def test_a_small_set_is_drawn_whole():
    sample = sample_for_map(10, np.array([3, 3, 7]))
    assert sample.rows.tolist() == list(range(10))
    assert np.flatnonzero(sample.kept).tolist() == [3, 7]
    assert sample.complete and sample.kept_all


def test_asked_rows_are_always_there_and_the_budget_holds():
    keep = np.arange(500, 900)
    sample = sample_for_map(100_000, keep, budget=1000)
    assert len(sample.rows) == len(set(sample.rows.tolist())) == 1000
    assert set(keep.tolist()) <= set(sample.rows.tolist())
    assert sample.kept.sum() == 400 and sample.kept_all and not sample.complete


def test_too_many_asked_rows_keep_the_first_and_say_so():
    sample = sample_for_map(1000, np.arange(999, -1, -1), budget=10)
    assert sample.rows.tolist() == list(range(990, 1000))
    assert not sample.kept_all


def test_the_rest_is_drawn_uniformly_and_again_alike():
    drawn = np.zeros(2000)
    for seed in range(200):
        drawn[sample_for_map(2000, np.array([0]), budget=401, seed=seed).rows] += 1
    assert drawn[0] == 200
    # 400 of 1999 in each of 200 draws: mean 40, sd 5.7; six sd leave no room for a biased end.
    assert drawn[1:].min() > 5 and drawn[1:].max() < 80
    again = [sample_for_map(2000, np.array([0]), budget=50, seed=4).rows for _ in range(2)]
    assert np.array_equal(*again)


def test_random_rows_are_distinct_and_no_more_than_there_are():
    assert sorted(random_rows(5, 9)) == [0, 1, 2, 3, 4]
    assert set(random_rows(5, 2, among=np.array([8, 9, 10]))) < {8, 9, 10}
    assert not np.array_equal(random_rows(100, 100, seed=1), random_rows(100, 100, seed=2))


def test_nothing_to_draw_is_refused():
    with pytest.raises(InputError, match="at least 1"):
        sample_for_map(0, np.empty(0))
