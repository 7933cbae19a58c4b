"""Changes of a group between two runs: against scipy, a slow twin, coverage, and what pieces and seeds do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from backend.before_after import (
    AFTER,
    ANY_RETRAIN,
    BEFORE,
    BETTER,
    CHOSEN,
    FOUND_HERE,
    LIKE_CONTROL,
    NOT_TOLD,
    WORSE,
    PairedChange,
    change_verdicts,
    changes_of_seeds,
    common_direction,
    paired_change,
)
from backend.before_after.paired import tango_interval
from backend.core.errors import InputError
from backend.core.statistics import mcnemar_p
from backend.core.wording import TOO_FEW


def runs(n: int, failed: int, repaired: int, both: int = 0) -> dict[str, np.ndarray]:
    was, now = np.zeros(n, bool), np.zeros(n, bool)
    now[:failed] = True
    was[failed : failed + repaired] = True
    was[n - both :] = now[n - both :] = both > 0
    return {"wrong_before": was, "wrong_after": now}


def change(n: int, failed: int, repaired: int, both: int = 0, **more: object) -> PairedChange:
    told = runs(n, failed, repaired, both)
    return paired_change(
        told["wrong_before"].astype(float), told["wrong_after"].astype(float), **told, **more
    )


def root(failed: int, repaired: int, n: int, sign: int) -> float:
    """Tango's bound by the likelihood itself: the nuisance share is found by a search, not a formula."""
    middle = (failed - repaired) / n

    def z(delta: float) -> float:
        def minus(q: float) -> float:
            same = 1 - 2 * q - delta
            if min(q, q + delta, same) <= 0:
                return np.inf
            return -(
                failed * np.log(q + delta)
                + repaired * np.log(q)
                + (n - failed - repaired) * np.log(same)
            )

        low, high = max(0.0, -delta), (1 - delta) / 2
        q = optimize.minimize_scalar(minus, bounds=(low, high), method="bounded",
                                     options={"xatol": 1e-13}).x  # fmt: skip
        return (failed - repaired - n * delta) / np.sqrt(n * (2 * q + delta * (1 - delta)))

    end = 0.999 * sign
    return optimize.brentq(lambda delta: z(delta) + sign * stats.norm.ppf(0.975), middle, end)


@pytest.mark.parametrize(
    ("n", "failed", "repaired"), [(50, 9, 2), (100, 3, 12), (400, 20, 20), (1000, 61, 90)]
)
def test_the_change_of_errors_equals_scipy_pandas_and_the_likelihood(n, failed, repaired):
    found = change(n, failed, repaired, both=5)
    told = pd.DataFrame(runs(n, failed, repaired, 5))
    table = pd.crosstab(told["wrong_before"], told["wrong_after"])
    assert (found.failed, found.repaired) == (table.loc[False, True], table.loc[True, False])
    means = told.mean()
    assert found.error_before == means["wrong_before"] and found.error_after == means["wrong_after"]
    assert found.error_change == pytest.approx(means["wrong_after"] - means["wrong_before"])
    assert found.p == pytest.approx(stats.binomtest(failed, failed + repaired).pvalue)
    assert found.error_low == pytest.approx(root(failed, repaired, n, -1), abs=1e-6)
    assert found.error_high == pytest.approx(root(failed, repaired, n, 1), abs=1e-6)


def test_the_interval_agrees_with_mcnemars_statistic_and_turns_with_the_runs():
    for failed in range(0, 40, 3):
        low, high = tango_interval(failed, 12, 300)
        z = (failed - 12) / np.sqrt(failed + 12)
        assert (low > 0 or high < 0) == (abs(z) > stats.norm.ppf(0.975))
        assert tango_interval(12, failed, 300) == pytest.approx((-high, -low))
    low, high = tango_interval(0, 0, 40)
    assert low == pytest.approx(-high) and 0.05 < high < 0.12


def test_the_change_of_losses_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    first = rng.normal(size=500)
    second = first + rng.normal(0.1, 0.5, 500)
    found = paired_change(first, second)
    assert found.p == pytest.approx(stats.ttest_rel(second, first).pvalue)
    frame = pd.DataFrame({"before": first, "after": second})
    assert found.loss_change == pytest.approx((frame["after"] - frame["before"]).mean())
    interval = stats.ttest_rel(second, first).confidence_interval()
    assert found.loss_low == pytest.approx(interval.low, abs=0.004)
    assert found.loss_high == pytest.approx(interval.high, abs=0.004)
    assert np.isnan(found.error_change) and found.change == found.loss_change
    assert paired_change(first, first).p == 1 and paired_change(first, first + 1).p == 0


def test_one_large_change_among_twelve_does_not_open_the_interval_beyond_what_losses_allow():
    rng = np.random.default_rng(3)
    first = rng.exponential(0.2, 12)
    second = first + rng.normal(0, 0.02, 12)
    second[3] += 4
    found = paired_change(first, second)
    assert found.loss_low < 0 < found.loss_change < 1 < found.loss_high < 1.6
    back = paired_change(second, first)
    assert (back.loss_low, back.loss_high) == pytest.approx((-found.loss_high, -found.loss_low))


def test_intervals_hold_the_truth():
    rng = np.random.default_rng(1)
    shares = {"failed": 0.05, "repaired": 0.12}
    held = errors = 0
    for _ in range(1000):
        failed, repaired, _ = rng.multinomial(120, [*shares.values(), 0.83])
        low, high = tango_interval(failed, repaired, 120)
        held += low <= -0.07 <= high
        skewed = rng.exponential(1.0, 60) - rng.exponential(0.5, 60)
        found = paired_change(np.zeros(60), skewed)
        errors += found.loss_low <= 0.5 <= found.loss_high
    assert 930 <= held <= 970 and 930 <= errors <= 970


def test_rows_that_belong_together_count_as_one_and_a_common_direction_takes_certainty_away():
    alone = change(600, 12, 30)
    copies = np.repeat(np.arange(200), 3)
    whole = paired_change(np.zeros(600), np.zeros(600), **runs(600, 12, 30), groups=copies)
    third = change(200, 4, 10)
    assert whole.n_groups == 200 and whole.error_change == alone.error_change
    assert whole.p == pytest.approx(third.p, rel=0.01)
    assert (whole.error_low, whole.error_high) == pytest.approx((third.error_low, third.error_high))
    spread = change(600, 12, 30, together=0.1)
    assert spread.p > 0.15 > alone.p and spread.error_low < alone.error_low
    assert change(600, 12, 30, together=1.0).p == 1
    lone = paired_change(np.zeros(600), np.zeros(600), **runs(600, 12, 30), groups=np.full(600, -1))
    assert lone.p == alone.p


def test_changes_beyond_a_seeds_doing_count_one_by_one():
    together = change(100, 3, 40, together=0.3)
    assert change(100, 3, 40, together=0.3, most_together=[43]).p == together.p
    assert change(100, 3, 40, together=0.3, most_together=[900]) == together
    alone = change(100, 3, 40)
    assert change(100, 3, 40, together=0.3, most_together=[1]).p == alone.p
    some = change(100, 3, 40, together=0.3, most_together=[12])
    assert alone.p < some.p < 1e-4 < 0.05 < together.p
    assert alone.error_high < some.error_high < 0 < together.error_high
    effect = 1 + 0.3 * 12 * 11 / 43
    assert some.p == pytest.approx(mcnemar_p(3 / effect, 40 / effect))
    for most in ([], [-1.0], [[4.0]]):
        with pytest.raises(InputError, match="most_together"):
            change(100, 3, 40, together=0.3, most_together=most)


def test_what_a_seed_may_do_is_what_it_did_there_and_what_it_did_most_elsewhere():
    labels = np.repeat([0, 1, 2], [10, 20, 10])
    before, control = np.zeros(40, bool), np.zeros(40, bool)
    control[[0, 10, 11, 12, 13, 14]] = True  # 1 of 10, 5 of 20, 0 of 10
    group = np.r_[0, 1, 10:14, 30:38]
    assert changes_of_seeds(before, control, labels, group).tolist() == [1, 4, 2]
    assert changes_of_seeds(control, before, labels, group).tolist() == [1, 4, 2]
    assert changes_of_seeds(before, before, labels, group).tolist() == [0, 0, 0]


def test_how_far_changes_go_together_is_found_again():
    rng = np.random.default_rng(2)
    for truth in (0.0, 0.1, 0.3):
        found = []
        for _ in range(400):
            m = int(rng.integers(5, 60))
            a = (1 / truth - 1) / 2 if truth else None
            failed = int(rng.binomial(m, rng.beta(a, a) if a else 0.5))
            found.append(PairedChange(1000, 1000, failed=failed, repaired=m - failed))
        assert common_direction(found) == pytest.approx(truth, abs=0.04)
    assert common_direction([PairedChange(9, 9)]) == 0


@pytest.mark.parametrize(
    ("now", "beside", "said"),
    [
        (change(400, 40, 4), None, WORSE),
        (change(400, 4, 40), None, BETTER),
        (change(400, 10, 14), None, NOT_TOLD),
        (change(400, 4, 40), change(400, 5, 38), BETTER),
        (change(400, 4, 40), change(400, 11, 9), LIKE_CONTROL),
        (change(400, 4, 40), change(400, 40, 4), LIKE_CONTROL),
        (change(9, 9, 0), None, TOO_FEW),
        (PairedChange(0, 0), None, CHOSEN),
    ],
)
def test_what_is_said_of_a_group(now, beside, said):
    verdicts, adjusted = change_verdicts([now], None if beside is None else [beside])
    assert verdicts == [said]
    assert adjusted == pytest.approx([now.p], nan_ok=True)


@pytest.mark.parametrize(
    ("by", "failed", "repaired", "said"),
    [(BEFORE, 4, 40, ANY_RETRAIN), (BEFORE, 40, 4, WORSE), (AFTER, 40, 4, FOUND_HERE)],
)
def test_a_group_that_errors_led_to_is_judged_by_what_they_cannot_have_made(
    by, failed, repaired, said
):
    now = change(400, failed, repaired)
    verdicts, adjusted = change_verdicts([now], found_by=[by])
    assert verdicts == [said] and np.isnan(adjusted[0]) == (by == AFTER)
    if by == BEFORE:
        assert change_verdicts([now], [now], found_by=[by])[0] == [[BETTER, WORSE][failed > 9]]


def test_groups_are_judged_as_a_table():
    one, others = change(400, 14, 3), [change(400, 9, 9)] * 9
    assert one.p < 0.05
    assert change_verdicts([one])[0] == [WORSE]
    assert change_verdicts([one, *others])[0] == [NOT_TOLD] * 10


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: paired_change([1.0], [1.0, 2.0]), "one per example"),
        (lambda: paired_change([1.0], [1.0], wrong_before=[True]), "in both runs"),
        (lambda: paired_change([1.0], [1.0], wrong_before=[1], wrong_after=[0]), "true or false"),
        (lambda: paired_change([1.0], [1.0], groups=[0.5]), "whole number"),
        (lambda: paired_change([np.nan], [1.0]), "losses_before"),
    ],
)
def test_what_cannot_be_compared(call, said):
    with pytest.raises(InputError, match=said):
        call()
