"""Who pays: the change of accuracy, and the class farthest behind it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from backend.core.errors import InputError
from backend.populations import accuracy_change, changed_classes, class_change, who_pays


def models(labels, rates, m, rng):
    """``m`` models that are right with a rate per class, else say the next class."""
    right = rng.random((m, len(labels))) < np.asarray(rates)[labels]
    return np.where(right, labels, (labels + 1) % 3)


@pytest.fixture
def planted():
    """Class 1 loses 30 points, the others 3."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 900)
    before = models(labels, [0.95] * 3, 6, rng)
    return labels, before, models(labels, [0.92, 0.65, 0.92], 5, rng)


def test_the_change_of_accuracy_has_scipys_welch_interval(planted):
    labels, before, after = planted
    found = accuracy_change(before, after, labels)
    rates = [(side == labels).mean(axis=1) for side in (after, before)]
    oracle = stats.ttest_ind(*rates, equal_var=False)
    interval = oracle.confidence_interval(0.95)
    assert found.value == pytest.approx(rates[0].mean() - rates[1].mean(), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_the_planted_class_pays_and_no_other(planted):
    labels, before, after = planted
    table = class_change(before, after, labels)
    payer = who_pays(table)
    row = table[table["label"] == 1].iloc[0]
    assert payer.label == "1" and payer.significant
    assert payer.n == int((labels == 1).sum())
    assert payer.change == pytest.approx(
        (after == labels)[:, labels == 1].mean() - (before == labels)[:, labels == 1].mean()
    )
    assert payer.beyond.value == row["normalized_change"] and payer.p_adjusted == row["p_adjusted"]
    assert (payer.n_tested, payer.n_paying) == (3, 1)


def test_a_class_that_pays_for_sure_comes_before_one_that_seems_to_pay_more(planted):
    table = class_change(planted[1], planted[2], planted[0])
    table.loc[table["label"] == 0, ["normalized_change", "p_adjusted"]] = [-0.9, 0.4]
    assert who_pays(table).label == "1"


def test_without_a_difference_the_lowest_is_named_and_is_not_significant():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 600)
    sides = [models(labels, [0.9] * 3, 5, rng) for _ in range(2)]
    table = class_change(*sides, labels)
    payer = who_pays(table)
    assert not payer.significant and payer.n_paying == 0
    assert payer.beyond.value == table["normalized_change"].min()


def test_gaining_more_than_the_average_is_not_paying(planted):
    labels, before, after = planted
    payer = who_pays(class_change(after, before, labels))  # class 1 gains
    assert payer.label != "1" and payer.beyond.value < 0


def test_one_model_or_one_class_is_not_tested(planted):
    labels, before, after = planted
    found = accuracy_change(before[:1], after, labels)
    assert np.isfinite(found.value) and np.isnan([found.low, found.high]).all()
    payer = who_pays(class_change(before[:1], after, labels))
    assert payer.n_tested == 0 and not payer.significant
    zeros = np.zeros((2, 5), int)
    assert who_pays(class_change(zeros, zeros, zeros[0])) is None
    still = accuracy_change(zeros, zeros, zeros[0])
    assert (still.value, still.low, still.high) == (0, 0, 0)
    with pytest.raises(InputError):
        accuracy_change(zeros, zeros, zeros[0][:3])


def test_changed_classes_are_counted_among_those_that_can_be_tested(planted):
    labels, before, after = planted
    table = class_change(before, after, labels)
    found = changed_classes(table)
    assert found.n_tested == 3
    assert found.n_significant == sum(p < 0.05 for p in table["p"]) > 0
    assert found.n_adjusted == sum(p < 0.05 for p in table["p_adjusted"]) <= found.n_significant
    untested = changed_classes(class_change(before[:1], after, labels))
    assert (untested.n_tested, untested.n_significant, untested.n_adjusted) == (0, 0, 0)
