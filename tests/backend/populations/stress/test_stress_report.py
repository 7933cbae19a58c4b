"""Stress tests, deviation components and failure overlap: by hand and against scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from backend.core.errors import InputError
from backend.populations import (
    deviation_pca,
    disagreement,
    failure_iou,
    fisher_interval,
    sampling_sd,
    stress_report,
)


def test_spread_worked_by_hand():
    iid = [0.8, 0.9, 0.7]
    stress = pd.DataFrame({"fog": [0.1, 0.2, 0.6], "snow": [0.5, 0.5, 0.5]})
    spread = stress_report(iid, stress).spread.set_index("metric")
    assert spread.index.tolist() == ["iid", "fog", "snow"]
    assert spread["mean"].tolist() == pytest.approx([0.8, 0.3, 0.5])
    assert spread["sd"].tolist() == pytest.approx([0.1, np.sqrt(0.07), 0])
    assert spread["ratio"].tolist() == pytest.approx([1, np.sqrt(7), 0])
    assert spread["range"].tolist() == pytest.approx([0.2, 0.5, 0])
    assert spread["best_model"].tolist() == [1, 2, 0]
    assert spread["worst_model"].tolist() == [2, 0, 0]
    assert spread["regret"].tolist() == pytest.approx([0, 0.4, 0])
    assert spread["n_models"].tolist() == [3, 3, 3]


@pytest.mark.parametrize("seed", range(4))
def test_correlations_agree_with_scipy(seed):
    rng = np.random.default_rng(seed)
    iid = rng.integers(0, 8, 25) / 8  # tied ranks
    stress = np.column_stack([iid + rng.normal(0, 0.3, 25), rng.integers(0, 4, 25)])
    report = stress_report(iid, stress)
    for number in range(2):
        row = report.predictability.iloc[number]
        assert row["metric"] == f"stress {number + 1}"
        spearman = stats.spearmanr(iid, stress[:, number]).statistic
        pearson = stats.pearsonr(iid, stress[:, number])
        assert row["spearman"] == pytest.approx(spearman, abs=1e-9)
        assert row["pearson"] == pytest.approx(pearson.statistic, abs=1e-9)
        interval = pearson.confidence_interval()
        assert row["pearson_low"] == pytest.approx(interval.low, abs=1e-6)
        assert row["pearson_high"] == pytest.approx(interval.high, abs=1e-6)
    between = stats.spearmanr(stress[:, 0], stress[:, 1]).statistic
    wanted = [[1, between], [between, 1]]
    assert np.allclose(report.between, wanted, atol=1e-9)
    assert report.groups is None


def test_fisher_interval_of_published_correlations():
    # D'Amour et al.: 0.22 (-0.06, 0.47) for 50 models and 0.47 (0.13, 0.71) for 30
    assert fisher_interval(0.22, 50) == pytest.approx((-0.06, 0.47), abs=0.006)
    assert fisher_interval(0.47, 30) == pytest.approx((0.13, 0.71), abs=0.006)
    assert np.isnan(fisher_interval(1.0, 30)).all()
    assert np.isnan(fisher_interval(0.3, 3)).all()


def test_constant_metrics_are_undefined_not_zero():
    report = stress_report([0.1, 0.1, 0.1], [[0.3, 1], [0.2, 2], [0.1, 3]])
    assert report.spread["sd"][0] == 0
    assert report.spread["ratio"].isna().all()
    assert report.predictability[["spearman", "pearson"]].isna().all(axis=None)
    assert report.between.iloc[0, 1] == -1


@pytest.mark.parametrize("seed", range(3))
def test_group_factor_agrees_with_scipy(seed):
    rng = np.random.default_rng(seed)
    groups = np.array(["a", "b", "c"])[rng.integers(0, 3, 20)]
    iid, stress = rng.random(20), rng.random((20, 2))
    table = stress_report(iid, stress, groups).groups
    assert table["metric"].tolist() == ["iid", "stress 1", "stress 2"]
    for column, f in zip([iid, *stress.T], table["f"], strict=True):
        wanted = stats.f_oneway(*(column[groups == name] for name in np.unique(groups)))
        assert f == pytest.approx(wanted.statistic, abs=1e-9)
    assert table["df_between"].tolist() == [2, 2, 2]
    assert table["df_within"].tolist() == [17, 17, 17]
    for factor in (["x"] * 20, range(20)):
        assert stress_report(iid, stress, list(factor)).groups["f"].isna().all()


def test_components_worked_by_hand():
    # deviations (2, 0), (-2, 0), (0, 1), (0, -1) around (10, 20): shares 8/10 and 2/10
    found = deviation_pca([[12, 20], [8, 20], [10, 21], [10, 19]])
    assert found.explained.tolist() == pytest.approx([0.8, 0.2])
    assert np.allclose(found.loadings, [[1, 0], [0, 1]])
    assert np.allclose(found.model_scores, [[2, 0], [-2, 0], [0, 1], [0, -1]])


@pytest.mark.parametrize("shape", [(5, 40), (40, 3), (3, 3)])
def test_components_rebuild_the_deviations(shape):
    scores = np.random.default_rng(0).normal(size=shape)
    found = deviation_pca(scores)
    k = min(shape[0] - 1, shape[1])
    assert found.loadings.shape == (k, shape[1])
    deviations = scores - scores.mean(0)
    assert np.allclose(found.model_scores @ found.loadings, deviations, atol=1e-12)
    assert np.allclose(found.loadings @ found.loadings.T, np.eye(k), atol=1e-12)
    covariance = np.sort(np.linalg.eigvalsh(deviations.T @ deviations))[::-1][:k]
    assert np.allclose(found.explained, covariance / covariance.sum())
    assert (np.abs(found.loadings).max(1) == found.loadings.max(1)).all()


def test_a_constant_per_example_changes_nothing():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(6, 20))
    moved = deviation_pca(scores + rng.normal(size=20))
    assert np.allclose(moved.loadings, deviation_pca(scores).loadings, atol=1e-9)


def test_models_that_agree_have_no_components():
    found = deviation_pca(np.tile(np.random.default_rng(0).random(9), (7, 1)))
    assert np.isnan(found.explained).all()


def test_failure_overlap_worked_by_hand():
    failed = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
    iou = failure_iou(failed)
    assert iou[0, 1] == iou[1, 0] == pytest.approx(1 / 3)
    assert iou[0, 0] == iou[1, 1] == 1
    assert iou[0, 2] == 0
    assert np.isnan(iou[2, 2])


@pytest.mark.parametrize("seed", range(3))
def test_failure_overlap_agrees_with_its_twin(seed):
    failed = np.random.default_rng(seed).random((5, 80)) < 0.3
    sets = [set(np.flatnonzero(row)) for row in failed]
    wanted = [[len(a & b) / len(a | b) for b in sets] for a in sets]
    assert np.abs(failure_iou(failed) - wanted).max() < 1e-12


def test_disagreement_worked_by_hand():
    # pairs differ on 1/2, 1/2 and 2/2 of the examples
    assert disagreement([["a", "b"], ["a", "c"], ["d", "b"]]) == pytest.approx(2 / 3)
    assert disagreement([[1, 2], [1, 2]]) == 0


def test_sampling_sd():
    assert sampling_sd([0.5, 1], 100).tolist() == [0.05, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stress_report([1, 2], [[1], [2]]), "3 or more models: got 2"),
        (lambda: stress_report([1, 2, 3], [[1], [2]]), "got 2 rows and 3 models"),
        (lambda: stress_report([1, 2, 3], [[1], [2], [np.nan]]), "stress must be finite: row 2"),
        (lambda: stress_report([1, 2, 3], [[1], [2], [3]], ["a"]), "got 1 groups and 3 models"),
        (lambda: deviation_pca(np.ones((2, 4))), "3 or more models: got 2"),
        (lambda: failure_iou([[0, 1]]), r"booleans of shape \(m, n\)"),
        (lambda: failure_iou(np.zeros((0, 3), bool)), "not empty"),
        (lambda: disagreement([[1, 2]]), "2 or more models: got 1"),
        (lambda: sampling_sd(1.2, 10), r"accuracy must be in \[0, 1\]"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_correlations_between_many_tests_are_those_of_each_pair():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(7)
    stress = rng.integers(0, 4, (6, 9)).astype(float)
    stress[:, 4] = 2.0  # a test on which all models are alike
    stress[:, 5] = -stress[:, 0]
    between = stress_report(rng.normal(size=6), stress).between.to_numpy()
    for first in range(9):
        for second in range(9):
            if 4 in (first, second):
                assert np.isnan(between[first, second])
            else:
                twin = spearmanr(stress[:, first], stress[:, second]).statistic
                assert between[first, second] == pytest.approx(twin)
    assert between[0, 5] == -1
