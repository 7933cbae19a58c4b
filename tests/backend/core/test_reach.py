import numpy as np

from backend.core.reach import drawn_in


def test_far_rows_lie_at_the_end_of_reach_and_others_stay():
    rows = np.array([[1.0, 2.0], [1.0, 5.0], [1.0, 8.0], [-8.0, 14.0]])
    shift = np.array([1.0, 2.0])
    drawn = drawn_in(rows, shift, 3.0)
    np.testing.assert_allclose(drawn, [[1, 2], [1, 5], [1, 5], [-0.8, 4.4]])
    assert rows[2, 1] == 8.0, "what was given stays as it is"


def test_nothing_moves_where_reach_has_no_end():
    rows = np.array([[1e150, 0.0], [0.0, 1.0]])
    assert drawn_in(rows, np.zeros(2), np.inf) is rows
    assert drawn_in(rows[1:], np.zeros(2), 1.0) is not None
