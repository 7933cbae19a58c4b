"""Intervals and p-values: paper examples, twins, coverage, undefined cases."""

import numpy as np
import pytest
from scipy import optimize, stats

from backend.core.errors import InputError
from backend.core.statistics import (
    Interval,
    adjust_p,
    mean_interval,
    mean_share_interval,
    weighted_mean_interval,
    wilson_interval,
)


def test_wilson_is_the_score_test_inverted():
    """Twin: the shares that a two-sided score test at 5 % does not reject."""
    z = stats.norm.ppf(0.975)
    for k, n in [(1, 10), (5, 10), (37, 50), (999, 1000)]:

        def excess(p, k=k, n=n):
            return (k / n - p) ** 2 - z**2 * p * (1 - p) / n

        low, high = wilson_interval(k, n)
        assert low == pytest.approx(optimize.brentq(excess, 1e-9, k / n), abs=1e-9)
        assert high == pytest.approx(optimize.brentq(excess, k / n, 1 - 1e-9), abs=1e-9)


def test_wilson_at_the_ends_and_without_trials():
    low, high = wilson_interval([0, 10, 0], [10, 10, 0])
    np.testing.assert_allclose(low[:2], [0, 10 / (10 + stats.norm.ppf(0.975) ** 2)])
    np.testing.assert_allclose(high[:2], [1 - low[1], 1])
    assert np.isnan([low[2], high[2]]).all()
    assert wilson_interval(2, [4, 8])[0].shape == (2,)


def test_adjust_p_on_paper():
    # Sorted .01 .02 .03 .5 of four: .04 .04 .04 .5.
    np.testing.assert_allclose(adjust_p([0.03, 0.01, 0.5, 0.02]), [0.04, 0.04, 0.5, 0.04])
    np.testing.assert_allclose(adjust_p([0.04, np.nan, 0.04]), [0.04, np.nan, 0.04])
    assert adjust_p([]).shape == (0,) and np.isnan(adjust_p([np.nan])).all()


@pytest.mark.parametrize("seed", range(5))
def test_adjust_p_rejects_what_the_step_up_rule_rejects(seed):
    """Twin: the rule as published, and scipy."""
    p = np.round(np.random.default_rng(seed).beta(0.4, 1.5, 30), 2)
    np.testing.assert_allclose(adjust_p(p), stats.false_discovery_control(p))
    for level in (0.01, 0.05, 0.2):
        ranked = np.sort(p)
        passed = np.flatnonzero(ranked <= level * np.arange(1, 31) / 30 + 1e-12)
        border = ranked[passed[-1]] if len(passed) else -1.0
        np.testing.assert_array_equal(adjust_p(p) <= level + 1e-12, p <= border)


def test_mean_interval_is_students():
    values = np.random.default_rng(0).exponential(size=12)
    got = mean_interval(values, level=0.9)
    low, high = stats.t.interval(0.9, 11, values.mean(), stats.sem(values))
    assert (got.value, got.low, got.high) == pytest.approx((values.mean(), low, high))
    assert mean_interval([3.0, 3.0]) == Interval(3.0, 3.0, 3.0)
    assert mean_share_interval([0.0, 1.0]) == Interval(0.5, 0.0, 1.0), "no share lies beyond"
    assert mean_share_interval([-1.0, 1.0], least=-1) == Interval(0.0, -1.0, 1.0)
    inner = [0.5, 0.52, 0.51]
    assert mean_share_interval(inner) == mean_interval(inner)
    assert np.isnan(mean_share_interval([0.5]).low)
    one, none = mean_interval([3.0]), mean_interval([])
    assert one.value == 3.0 and np.isnan([one.low, one.high, none.value]).all()
    assert one.to_dict() == {"value": 3.0, "low": None, "high": None}


def test_equal_weights_are_none_and_their_scale_does_not_matter():
    random = np.random.default_rng(1)
    values, weights = random.normal(size=20), random.random(20)
    plain = mean_interval(values)
    same = weighted_mean_interval(values, np.full(20, 1e-200))
    assert (same.low, same.high) == pytest.approx((plain.low, plain.high))
    a, b = (weighted_mean_interval(values, w) for w in (weights, 1e30 * weights))
    assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high))
    # Rows without weight change nothing, and 0/1 weights select.
    selected = weighted_mean_interval(values, np.arange(20) < 8)
    assert selected.high == pytest.approx(mean_interval(values[:8]).high)


def test_the_weighted_interval_covers():
    """Fixed uneven weights, 2000 samples: 95 % within three standard errors of the count."""
    random = np.random.default_rng(2)
    weights = random.random(60) ** 2
    hits = 0
    for _ in range(2000):
        got = weighted_mean_interval(random.normal(5, 2, 60), weights)
        hits += got.low <= 5 <= got.high
    assert 0.935 < hits / 2000 < 0.965


def test_weights_that_say_nothing():
    assert np.isnan(weighted_mean_interval([1.0, 2.0], [0, 0]).value)
    single = weighted_mean_interval([1.0, 2.0], [0, 1])
    assert single.value == 2.0 and np.isnan(single.low)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: wilson_interval(3, 2), "0 <= successes <= n"),
        (lambda: wilson_interval(1, 2, 95), r"level must be in \(0, 1\): got 95"),
        (lambda: adjust_p([0.5, 1.5]), r"in \[0, 1\]"),
        (lambda: adjust_p([[0.5]]), r"one-dimensional: got shape \(1, 1\)"),
        (lambda: mean_interval([1.0, np.nan]), "values must be finite"),
        (lambda: mean_interval([], 2), "level must be in"),
        (lambda: weighted_mean_interval([1, 2], [1]), "got 1 weights and 2 values"),
        (lambda: weighted_mean_interval([1, 2], [1, -1]), "must not be negative: got -1"),
    ],
)
def test_what_cannot_be_used_is_refused(call, text):
    with pytest.raises(InputError, match=text):
        call()
