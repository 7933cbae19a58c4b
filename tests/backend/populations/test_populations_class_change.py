"""Class change under compression: by hand, against scipy's Welch test, and undefined cases."""

import numpy as np
import pytest
from scipy import stats

from backend.core.errors import InputError
from backend.core.statistics import adjust_p
from backend.populations import class_change


def population(rng, labels, accuracies, m, spread=0.03):
    """m models whose recall of class c lies near accuracies[c]."""
    predictions = np.tile(labels, (m, 1))
    for model in predictions:
        own = np.clip(np.array(accuracies) + rng.normal(0, spread, len(accuracies)), 0, 1)
        wrong = rng.random(len(labels)) > own[labels]
        model[wrong] = (model[wrong] + 1) % len(accuracies)
    return predictions


def test_worked_by_hand():
    # class 0: recalls 1, 1/2 against 1/2, 1/2; class 1: 1, 1 against 1, 0
    labels = [0, 0, 1]
    table = class_change([[0, 0, 1], [0, 1, 1]], [[0, 1, 1], [1, 0, 0]], labels)
    assert table["label"].tolist() == [0, 1]
    assert table["n"].tolist() == [2, 1]
    assert table["baseline_recall"].tolist() == [0.75, 1]
    assert table["compressed_recall"].tolist() == [0.5, 0.5]
    assert table["change"].tolist() == [-0.25, -0.5]
    # mean accuracy falls from 5/6 to 1/2, by 1/3
    assert table["normalized_change"].tolist() == pytest.approx([1 / 12, -1 / 6])
    # class 0: variance 1/8 of two models, then none: standard error 1/4, t = -(1/12) / (1/4)
    assert table["t"].tolist() == pytest.approx([-1 / 3, (1 / 6) / 0.5])
    assert table["df"].tolist() == pytest.approx([1, 1])
    assert table["p"][0] == pytest.approx(2 * stats.t.cdf(-1 / 3, 1))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("names", [False, True])
def test_agrees_with_scipy(seed, names):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, 400)
    baseline = population(rng, labels, [0.9, 0.8, 0.95, 0.7, 0.9], 6)
    compressed = population(rng, labels, [0.6, 0.8, 0.9, 0.7, 0.9], 9)
    given = [baseline, compressed, labels]
    if names:
        given = [np.array(["ant", "bee", "cat", "dog", "eel"])[array] for array in given]
    table = class_change(*given)
    p = []
    for label in range(5):
        sides = []
        for predictions in (baseline, compressed):
            recalls = [np.mean(model[labels == label] == label) for model in predictions]
            mean_accuracy = np.mean([np.mean(model == labels) for model in predictions])
            sides.append(np.array(recalls) - mean_accuracy)
        wanted = stats.ttest_ind(*sides, equal_var=False)
        p.append(wanted.pvalue)
        row = table.iloc[label]
        assert row["t"] == pytest.approx(wanted.statistic, abs=1e-9)
        assert row["df"] == pytest.approx(wanted.df, abs=1e-9)
        assert row["p"] == pytest.approx(wanted.pvalue, abs=1e-9)
        assert row["normalized_change"] == pytest.approx(
            sides[1].mean() - sides[0].mean(), abs=1e-9
        )
    assert np.allclose(table["p_adjusted"], stats.false_discovery_control(p), atol=1e-12)


def test_the_class_that_pays_has_a_positive_statistic():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 2000)
    baseline = population(rng, labels, [0.9, 0.9, 0.9, 0.9], 8)
    compressed = population(rng, labels, [0.9, 0.9, 0.6, 0.9], 8)
    table = class_change(baseline, compressed, labels)
    assert table["t"].idxmax() == 2
    assert table["p_adjusted"][2] < 1e-4


def test_undefined_by_rule():
    # class 2 is predicted but never true; class 1 is answered alike by all models
    table = class_change([[0, 1, 0], [2, 1, 0]], [[0, 1, 0], [0, 1, 0]], [0, 1, 0])
    assert table["n"].tolist() == [2, 1, 0]
    row = table.iloc[2]
    assert row[["baseline_recall", "change", "normalized_change", "t", "p"]].isna().all()
    row = table.iloc[1]
    assert row["change"] == 0
    assert row[["t", "df", "p", "p_adjusted"]].isna().all()
    assert table["p"].notna().tolist() == [True, False, False]


def test_no_variance_leaves_the_difference_without_a_test():
    table = class_change([[0, 1]] * 3, [[1, 1]] * 3, [0, 1])
    assert table["change"].tolist() == [-1, 0]
    assert table["p"].isna().all()


def test_one_model_has_no_test():
    table = class_change([[0, 1]], [[1, 1], [0, 1]], [0, 1])
    assert table["change"].tolist() == [-0.5, 0]
    assert table[["t", "df", "p", "p_adjusted"]].isna().all(axis=None)


def test_identical_populations_change_nothing():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 200)
    baseline = population(rng, labels, [0.8, 0.7, 0.9], 5, spread=0.1)
    table = class_change(baseline, baseline[::-1], labels)
    assert np.abs(table[["change", "normalized_change", "t"]]).to_numpy().max() < 1e-9
    assert table["p"].min() > 1 - 1e-9


def test_adjustment_worked_by_hand():
    # 0.01 * 3 / 1, 0.04 * 3 / 2, 0.05 * 3 / 3; the second falls to the third
    adjusted = adjust_p(np.array([0.05, np.nan, 0.01, 0.04]))
    assert adjusted[[0, 2, 3]].tolist() == pytest.approx([0.05, 0.03, 0.05])
    assert np.isnan(adjusted[1])


def test_errors():
    with pytest.raises(InputError, match="got 0 models"):
        class_change(np.zeros((0, 1), int), [[1]], [1])
    with pytest.raises(InputError, match="labels must be one per example"):
        class_change([[1]], [[1]], [1, 1])


def test_the_interval_of_the_change_is_that_of_the_welch_test():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 300)
    before = np.where(rng.random((5, 300)) < 0.9, labels, (labels + 1) % 3)
    after = np.where(rng.random((4, 300)) < 0.7, labels, (labels + 2) % 3)
    table = class_change(before, after, labels)
    for label, row in table.iterrows():
        own = labels == label
        parts = [(one[:, own] == label).mean(1) - (one == labels).mean() for one in (after, before)]
        twin = stats.ttest_ind(*parts, equal_var=False).confidence_interval()
        assert (row.normalized_low, row.normalized_high) == pytest.approx((twin.low, twin.high))
    alone = class_change(before[:1], after, labels)
    assert alone[["normalized_low", "normalized_high"]].isna().all(axis=None)


def test_the_interval_of_a_subgroup_is_welch_over_models():
    from backend.populations import disaggregate

    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 200)
    before = np.where(rng.random((4, 200)) < 0.9, labels, 1 - labels)
    after = np.where(rng.random((6, 200)) < 0.7, labels, 1 - labels)
    sex = np.where(rng.random(200) < 0.4, "F", "M")
    rows = disaggregate(before, after, labels, {"sex": sex}, order=1).set_index(["group", "metric"])
    own = (sex == "F") & (labels == 0)
    parts = [one[:, own].mean(1) for one in (after, before)]
    twin = stats.ttest_ind(*parts, equal_var=False).confidence_interval()
    row = rows.loc[("sex=F", "fpr")]
    assert (row.difference_low, row.difference_high) == pytest.approx((twin.low, twin.high))
    alone = disaggregate(before[:1], after, labels, {"sex": sex}, order=1)
    assert alone[["difference_low", "difference_high"]].isna().all(axis=None)
