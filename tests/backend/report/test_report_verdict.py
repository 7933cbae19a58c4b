"""The test of a hypothesis: who is compared, what it says, how often it errs."""

from __future__ import annotations

import itertools
import json
import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from backend import report
from backend.bundle import read_bundle, write_bundle
from backend.core.errors import InputError
from backend.core.statistics import wilson_interval
from backend.report.confirmation import MIN_SIDE
from backend.report.studentised import StratifiedLosses


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """A bundle of these losses and columns; embeddings do not matter."""
    folder = tmp_path_factory.mktemp("verdicts")
    numbers = itertools.count()

    def bundle(losses, columns=None, **fields):
        n = len(losses)
        examples = pd.DataFrame({"id": [f"e{row}" for row in range(n)], **(columns or {})})
        path = write_bundle(
            folder / f"run-{next(numbers)}.npz",
            embeddings=np.ones((n, 2), np.float32),
            losses=losses,
            examples=examples,
            **fields,
        )
        return read_bundle(path)

    return bundle


@cache
def heavy(n, seed):
    """Losses as a classifier has them: most near 0, few large."""
    return np.random.default_rng(seed).lognormal(-1.5, 1.2, n)


def test_two_means_and_two_error_rates_by_hand(make):
    losses = np.r_[np.tile([1.0, 3.0], 10), np.tile([0.0, 1.0], 20)]
    labels = np.zeros(60, int)
    predictions = np.r_[np.ones(15, int), np.zeros(45, int)]
    bundle = make(losses, labels=labels, predictions=predictions)
    mask = np.arange(60) < 20
    verdict = report.test_hypothesis(bundle, mask, used_rows=[])
    assert (verdict.n, verdict.n_matching, verdict.n_other, verdict.n_used) == (60, 20, 40, 0)
    assert (verdict.matching_loss, verdict.other_loss) == (2.0, 0.5)
    assert verdict.difference == 1.5
    assert verdict.supported
    assert verdict.p == 2 / 2000
    assert 0 < verdict.low < 1.5 < verdict.high
    assert (verdict.matching_error, verdict.other_error) == (0.75, 0.0)
    (low1, low0), (high1, high0) = wilson_interval([15, 0], [20, 40])
    assert verdict.error_low == pytest.approx(0.75 - math.hypot(0.75 - low1, high0 - 0))
    assert verdict.error_high == pytest.approx(0.75 + math.hypot(high1 - 0.75, 0 - low0))
    assert "1.5 higher than that of the others" in verdict.reason
    assert json.loads(json.dumps(verdict.to_dict(), allow_nan=False))["verdict"] == "supported"


def test_the_opposite_is_contradicted_and_either_direction_may_be_asked(make):
    losses = heavy(400, 0).copy()
    losses[:60] += 2
    bundle = make(losses)
    mask = np.arange(400) < 60
    for alternative, expected in (
        ("higher loss", "supported"),
        ("lower loss", "contradicted"),
        ("different loss", "supported"),
    ):
        verdict = report.test_hypothesis(bundle, mask, used_rows=[], alternative=alternative)
        assert verdict.verdict == expected
    opposite = report.test_hypothesis(bundle, mask, used_rows=[], alternative="lower loss")
    assert "says the opposite" in opposite.reason


def welch(values, chosen):
    """The statistic, written as it is said; variances with the floor of the documentation."""
    first = [values[row] for row in chosen]
    other = [values[row] for row in range(len(values)) if row not in chosen]
    floor = np.var(values, ddof=1)
    parts = [max(np.var(side, ddof=1), floor / len(side)) / len(side) for side in (first, other)]
    return (np.mean(first) - np.mean(other)) / math.sqrt(sum(parts))


def test_p_is_that_of_all_permutations():
    values = np.array([0.1, 4.0, 0.3, 2.5, 0.2, 0.7, 0.4, 0.9, 0.05, 1.1])
    chosen = (0, 4, 5)
    null = [welch(values, other) for other in itertools.combinations(range(10), 3)]
    observed = welch(values, chosen)
    above = np.mean(np.array(null) >= observed - 1e-9)
    below = np.mean(np.array(null) <= observed + 1e-9)
    table = pd.DataFrame(
        {"stratum": 0, "match": np.isin(np.arange(10), chosen), "loss": values, "error": np.nan}
    )
    found = StratifiedLosses(table).test(np.random.default_rng(0), 20_000, 0.05)
    shuffled = 2 * min(above, below)
    assert shuffled == pytest.approx(26 / 120)  # Welch's is smaller here
    assert found.p == pytest.approx(shuffled, abs=0.015)
    assert found.difference == pytest.approx(1.0 / 3 - 9.25 / 7)


def test_p_is_never_below_that_of_welch():
    """The other case: matching losses spread wide, where permutations alone err too often."""
    random = np.random.default_rng(3)
    first, other = random.normal(1.35, 3, 20), random.normal(0, 1, 180)
    table = pd.DataFrame(
        {
            "stratum": 0,
            "match": np.arange(200) < 20,
            "loss": np.r_[first, other],
            "error": np.nan,
        }
    )
    found = StratifiedLosses(table).test(np.random.default_rng(0), 1999, 0.05)
    welched = ttest_ind(first, other, equal_var=False)
    assert found.p == pytest.approx(welched.pvalue)
    interval = welched.confidence_interval(0.95)
    assert found.low == pytest.approx(interval.low)
    assert found.high >= interval.high


def test_the_larger_side_may_match():
    values = heavy(40, 3)
    match = np.arange(40) < 30
    tables = [
        pd.DataFrame({"stratum": 0, "match": side, "loss": values, "error": np.nan})
        for side in (match, ~match)
    ]
    one, other = (StratifiedLosses(t).test(np.random.default_rng(0), 999, 0.05) for t in tables)
    assert other.difference == pytest.approx(-one.difference)
    assert other.p == one.p
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))


@pytest.mark.parametrize("seed", range(25))
def test_the_interval_excludes_0_exactly_when_p_is_small(make, seed):
    random = np.random.default_rng(seed)
    losses = random.lognormal(-1.5, 1.2, 80)
    mask = random.random(80) < 0.3
    losses[mask] += random.uniform(0, 0.8)
    verdict = report.test_hypothesis(
        make(losses), mask, used_rows=[], permutations=399, alternative="different loss"
    )
    assert (verdict.p <= 0.05) == (verdict.low > 0 or verdict.high < 0)
    assert verdict.supported == (verdict.p <= 0.05)


def test_false_hypotheses_are_not_shown_and_true_ones_are_not(make):
    supported = {0.0: 0, 0.6: 0}
    for seed in range(100):
        random = np.random.default_rng([7, seed])
        mask = random.random(600) < 0.15
        for shift in supported:
            losses = heavy(600, seed) + shift * mask
            verdict = report.test_hypothesis(make(losses), mask, seed=seed, permutations=199)
            supported[shift] += verdict.supported
    assert supported[0.0] <= 8
    assert supported[0.6] >= 95


def test_half_of_the_rows_is_set_aside_when_it_came_from_nothing(make):
    bundle = make(heavy(301, 1))
    mask = np.arange(301) % 3 == 0
    one = report.test_hypothesis(bundle, mask, seed=1)
    assert (one.n, one.n_used) == (151, 150)
    assert one == report.test_hypothesis(bundle, mask, seed=1)
    other = report.test_hypothesis(bundle, mask, seed=2)
    assert (one.matching_loss, one.fingerprint) != (other.matching_loss, other.fingerprint)
    assert one.discovery_difference is not None


def test_used_rows_are_not_counted(make):
    losses = np.ones(100)
    losses[:20] = 50
    bundle = make(losses + heavy(100, 5))
    mask = np.arange(100) < 40
    rows = report.test_hypothesis(bundle, mask, used_rows=np.arange(20))
    assert (rows.n, rows.n_matching, rows.n_used) == (80, 20, 20)
    assert rows.matching_loss == pytest.approx(bundle.losses[20:40].mean())
    assert rows.verdict == "not shown"
    assert rows == report.test_hypothesis(bundle, mask, used_rows=np.arange(100) < 20)
    assert report.test_hypothesis(bundle, mask, used_rows=[]).supported


def test_near_duplicates_stay_together_and_count_once(make):
    things = np.repeat(np.arange(80), 5)
    once = heavy(80, 9)
    column = pd.Series([f"patient {thing}" for thing in things])
    bundle = make(once[things], {"patient": column})
    mask = things < 25
    grouped = report.test_hypothesis(bundle, mask, used_rows=[0], groups="patient")
    assert (grouped.n_used, grouped.units, grouped.n) == (5, 79, 395)
    alone = report.test_hypothesis(make(once), np.arange(80) < 25, used_rows=[0])
    assert grouped.difference == pytest.approx(alone.difference)
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high), rel=0.3)
    half = report.test_hypothesis(bundle, mask, groups="patient", seed=4)
    assert (half.units, half.n) == (40, 200)
    column[:5] = ""
    lone = report.test_hypothesis(
        make(once[things], {"patient": column}), mask, used_rows=[], groups="patient"
    )
    assert lone.units == 84


def test_a_hard_class_alone_is_no_finding_against_the_same_label(make):
    labels = np.arange(600) % 3
    losses = heavy(600, 2) + 3 * (labels == 1)
    random = np.random.default_rng(0)
    mask = (labels == 1) & (random.random(600) < 0.6) | (random.random(600) < 0.1)
    bundle = make(losses, labels=labels)
    assert report.test_hypothesis(bundle, mask, used_rows=[]).supported
    within = report.test_hypothesis(bundle, mask, used_rows=[], null="same label")
    assert within.verdict == "not shown"
    harder = make(losses + 1.0 * mask, labels=labels)
    found = report.test_hypothesis(harder, mask, used_rows=[], null="same label")
    assert found.supported
    shares = [(mask & (labels == label)).sum() / mask.sum() for label in range(3)]
    gaps = [
        harder.losses[mask & (labels == label)].mean()
        - harder.losses[~mask & (labels == label)].mean()
        for label in range(3)
    ]
    assert found.difference == pytest.approx(np.dot(shares, gaps))


@pytest.mark.parametrize(
    ("n", "matching", "told"),
    [
        (29, 14, "29 examples were not used to find it, and 30 are needed"),
        (100, MIN_SIDE - 1, "9 of the examples not used to find it match, and 10 are needed"),
        (100, 0, "0 of the examples"),
        (100, 95, "only 5 of the examples not used to find it do not match"),
    ],
)
def test_too_few_examples_is_a_verdict(make, n, matching, told):
    verdict = report.test_hypothesis(make(heavy(n, 0)), np.arange(n) < matching, used_rows=[])
    assert verdict.verdict == "too few examples"
    assert told in verdict.reason
    assert verdict.p is None
    assert verdict.low is None


def test_equal_losses_show_nothing_and_certain_ones_keep_a_width(make):
    mask = np.arange(60) < 12
    flat = report.test_hypothesis(make(np.ones(60)), mask, used_rows=[])
    assert (flat.verdict, flat.p, flat.difference) == ("not shown", 1.0, 0.0)
    sharp = report.test_hypothesis(make(mask.astype(float)), mask, used_rows=[])
    assert sharp.supported
    assert sharp.low < 1 < sharp.high


def test_without_predictions_nothing_is_said_of_errors(make):
    verdict = report.test_hypothesis(make(heavy(60, 0)), np.arange(60) < 20, used_rows=[])
    assert verdict.matching_error is None
    assert verdict.error_low is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"level": 0}, "level must be in"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"permutations": 10}, "permutations must be 199 to"),
        ({"alternative": "worse"}, "alternative must be one of"),
        ({"null": "nothing"}, "null must be one of"),
        ({"null": "same label"}, "needs labels"),
        ({"groups": "patient"}, "groups must be a column"),
        ({"used_rows": [60]}, "used_rows must be rows from 0 to 59"),
        ({"used_rows": [0.5]}, "used_rows must be rows"),
    ],
)
def test_options_that_cannot_be_used_are_refused(make, options, told):
    bundle = make(heavy(60, 0))
    with pytest.raises(InputError, match=told):
        report.test_hypothesis(bundle, np.ones(60, bool), **options)


def test_a_mask_must_be_one_bool_per_example(make):
    with pytest.raises(InputError, match="one true or false per example"):
        report.test_hypothesis(make(heavy(60, 0)), np.ones(59, bool))
