"""The numbers beside every group."""

import numpy as np
import pytest

from backend.core.errors import InputError
from backend.core.groups import by_loss, sharp_group, weighted_group

LOSSES = np.array([1.0, 2.0, 3.0, 6.0])


def test_a_sharp_group_by_hand():
    group = sharp_group("tag", np.array([3, 2]), LOSSES)
    assert (group.n_members, group.member_loss, group.weighted_loss) == (2, 4.5, 4.5)
    assert (group.total_weight, group.effective_size, group.base_loss) == (2.0, 2.0, 3.0)
    assert group.ratio == 1.5 and group.small
    assert group.loss_share == 0.75
    assert group.rows.tolist() == [3, 2] and group.weights.tolist() == [0, 0, 1, 1]


def test_a_mask_and_its_rows_are_one_group():
    mask = np.array([True, False, True, False])
    assert sharp_group("tag", mask, LOSSES).rows.tolist() == [0, 2]


def test_rows_by_loss_are_those_of_the_mask_and_ties_ascend():
    losses = np.array([1.0, 3.0, 3.0, 2.0])
    assert by_loss([2, 0, 1], losses).tolist() == [1, 2, 0]
    mask = np.array([False, True, True, True])
    assert by_loss(mask, losses).tolist() == [1, 2, 3]
    assert by_loss([], losses).tolist() == []


def test_a_weighted_group_by_hand():
    group = weighted_group("region", [3], [0.0, 0.0, 0.5, 1.0], LOSSES)
    assert group.total_weight == 1.5
    assert group.weighted_loss == pytest.approx(7.5 / 1.5)
    assert group.effective_size == pytest.approx(1.5**2 / 1.25)
    assert group.member_loss == 6.0


def test_no_positive_base_leaves_the_ratio_undefined():
    group = sharp_group("tag", [0], np.array([-1.0, 1.0]))
    assert np.isnan(group.ratio) and np.isnan(group.loss_share)


def test_empty_groups_are_refused():
    with pytest.raises(InputError, match="at least one"):
        sharp_group("tag", [], LOSSES)
    with pytest.raises(InputError, match="positive sum"):
        weighted_group("region", [0], np.zeros(4), LOSSES)
