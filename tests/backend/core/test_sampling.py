"""Which rows are sampled."""

import numpy as np

from backend.core.sampling import random_rows


def test_random_rows_are_distinct_and_no_more_than_there_are():
    assert sorted(random_rows(5, 9)) == [0, 1, 2, 3, 4]
    assert set(random_rows(5, 2, among=np.array([8, 9, 10]))) < {8, 9, 10}
    assert not np.array_equal(random_rows(100, 100, seed=1), random_rows(100, 100, seed=2))
