"""What is printed of a group: planted truth is covered, and nothing but kept-aside rows is looked at."""

import json

import numpy as np
import pytest
from scipy import stats

from backend.core.effects import FEWEST, Effect, measure_effect
from backend.core.errors import InputError
from backend.core.least_mean import least_mean
from backend.core.statistics import wilson_interval

PARTS = ("loss", "error")


def everything(losses, members, **given):
    """The effect where all rows are kept aside."""
    return measure_effect(members, np.ones(len(losses), dtype=bool), losses, **given)


def ends(effect, part="loss"):
    return getattr(effect, f"{part}_low"), getattr(effect, f"{part}_high")


def test_by_hand():
    aside = np.array([1, 1, 1, 1, 1, 0, 0], dtype=bool)
    losses = np.array([4.0, 2, 1, 0, 2, 99, 99])
    wrong = np.array([1, 0, 0, 1, 0, 1, 1], dtype=bool)
    own = np.array([1, 1, 0, 1, 0, 1, 0], dtype=bool)
    effect = measure_effect([5, 1, 0], aside, losses, wrong=wrong, own=own)
    assert (effect.n, effect.n_groups) == (2, 2)
    assert (effect.loss, effect.loss_base, effect.loss_label) == (3, 1, 2)
    assert (effect.error, effect.error_base) == (0.5, pytest.approx(1 / 3))
    assert effect.error_label == pytest.approx(2 / 3)
    assert effect.multiple == pytest.approx(1.5)
    assert not effect.above
    for part in PARTS:
        assert np.isnan(ends(effect, part)).all()  # two members are too few


def test_without_predictions_the_multiple_is_of_losses_and_without_labels_there_is_no_label():
    effect = everything([4.0, 2, 1, 0, 2], [0, 1])
    assert effect.multiple == 3
    for name in ("error", "error_low", "error_base", "error_label", "loss_label"):
        assert np.isnan(getattr(effect, name))


@pytest.mark.parametrize(
    ("error_base", "loss_base", "multiple"), [(0.2, 1, 2.5), (0.0, 4, 0.5), (0, 0, None)]
)
def test_a_base_of_nothing_gives_no_multiple(error_base, loss_base, multiple):
    effect = Effect(
        30, 30, 2.0, 1.0, 3.0, loss_base, error=0.5, error_low=0.3, error_high=0.7,
        error_base=error_base,
    )  # fmt: skip
    assert effect.multiple == multiple or (multiple is None and np.isnan(effect.multiple))


def test_negative_losses_have_intervals_and_no_multiple():
    random = np.random.default_rng(0)
    losses = random.exponential(size=300) - 5
    effect = everything(losses, np.arange(40))
    assert effect.loss_low < effect.loss < effect.loss_high < 0
    assert np.isnan(effect.multiple)


def test_above_is_said_of_errors_where_there_are_predictions():
    losses = np.r_[np.full(20, 3.0) + np.arange(20) / 10, np.arange(200) / 200]
    right = np.zeros(220, dtype=bool)
    assert everything(losses, np.arange(20)).above
    assert not everything(losses, np.arange(20), wrong=right).above
    assert everything(losses, np.arange(20), wrong=np.arange(220) < 20).above
    assert not everything(losses, np.arange(FEWEST - 1)).above
    assert not everything(losses, np.arange(220)).above  # nobody to compare with


def test_losses_that_are_not_kept_aside_change_nothing():
    random = np.random.default_rng(1)
    losses, aside = random.gamma(2, size=400), random.random(400) < 0.4
    given = {
        "wrong": random.random(400) < 0.3,
        "own": random.random(400) < 0.5,
        "groups": np.arange(400) // 3,
    }
    one = measure_effect(np.arange(150), aside, losses, **given)
    losses[~aside] = np.nan
    given["wrong"][~aside] = True
    given["own"][~aside] = False
    assert measure_effect(np.arange(150), aside, losses, **given) == one


def test_the_order_of_members_and_of_rows_changes_nothing():
    random = np.random.default_rng(2)
    losses, groups = random.gamma(2, size=300), random.integers(0, 100, 300)
    turned = random.permutation(300)
    for codes in (None, groups):
        one = everything(losses, np.arange(80), groups=codes)
        for members in (random.permutation(80), np.arange(80)[::-1]):
            other = everything(losses, members, groups=codes)
            assert other == one
        moved = everything(
            losses[turned],
            np.flatnonzero(turned < 80),
            groups=None if codes is None else codes[turned] + 7,
        )
        np.testing.assert_allclose(ends(moved), ends(one), rtol=1e-9)


@pytest.mark.parametrize("groups", [None, np.arange(260) // 3])
def test_the_interval_follows_the_unit_of_the_losses(groups):
    losses = np.random.default_rng(3).gamma(2, size=260)
    one = everything(losses, np.arange(60), groups=groups)
    for factor, shift in ((3.0, -7.0), (1e-200, 0.0), (1e200, 0.0)):
        other = everything(losses * factor + shift, np.arange(60), groups=groups)
        expected = np.array(ends(one)) * factor + shift
        np.testing.assert_allclose(ends(other), expected, rtol=1e-7)


def test_what_is_turned_upside_down_has_the_interval_turned():
    losses = np.random.default_rng(4).gamma(2, size=200)
    low, high = ends(everything(losses, np.arange(30)))
    np.testing.assert_allclose(ends(everything(-losses, np.arange(30))), (-high, -low))


def test_symmetric_losses_have_students_interval_but_for_a_little():
    values = stats.norm.ppf((np.arange(50) + 0.5) / 50)
    effect = everything(np.r_[values, values], np.arange(50))
    low, high = stats.t.interval(0.95, 49, 0, values.std(ddof=1) / np.sqrt(50))
    np.testing.assert_allclose(ends(effect), (low * 1.02, high * 1.02), rtol=1e-6)


def test_a_large_skewed_sample_agrees_with_the_bootstrap_t():
    random = np.random.default_rng(5)
    losses = random.lognormal(0, 1, 300)
    mean, error = losses.mean(), losses.std(ddof=1) / np.sqrt(300)
    drawn = losses[random.integers(0, 300, (20_000, 300))]
    t = (drawn.mean(axis=1) - mean) / (drawn.std(axis=1, ddof=1) / np.sqrt(300))
    low, high = mean - np.quantile(t, [0.975, 0.025]) * error
    effect = everything(losses, np.arange(300))
    np.testing.assert_allclose(ends(effect), (low, high), atol=0.12 * error)
    assert effect.loss_high - mean > 1.1 * (mean - effect.loss_low)  # it leans to the tail


def test_losses_of_two_values_have_the_exact_interval_in_any_unit():
    hits = np.r_[np.arange(25) < 8, np.arange(100) < 30]
    exact = stats.binomtest(8, 25).proportion_ci(method="exact")
    np.testing.assert_allclose(ends(everything(hits * 1.0, np.arange(25))), exact)
    low, high = ends(everything(0.1 + 0.6 * hits, np.arange(25)))
    np.testing.assert_allclose((low, high), 0.1 + 0.6 * np.array(exact))
    # Ten zeros where others are 1: what is not seen is not known to be impossible.
    zeros = np.r_[np.zeros(10), np.ones(3)]
    assert ends(everything(zeros, np.arange(10))) == (0, pytest.approx(1 - 0.025**0.1))
    assert ends(everything(1 - zeros, np.arange(10))) == (pytest.approx(0.025**0.1), 1)


def test_errors_have_wilsons_interval():
    wrong = np.arange(200) % 5 == 0
    effect = everything(np.random.default_rng(0).random(200), np.arange(40), wrong=wrong)
    np.testing.assert_allclose(ends(effect, "error"), wilson_interval(8, 40))


def test_equal_losses_have_an_interval_unless_nobody_has_another_loss():
    rest = np.random.default_rng(6).exponential(size=500)
    equal = np.full(12, 0.2)
    low, high = ends(everything(np.r_[equal, rest], np.arange(12)))
    assert 0 < low < 0.2 < high
    share, beyond = 1 - 0.025 ** (1 / 12), rest[rest > 0.2].mean()
    assert high == pytest.approx(0.2 + share * (beyond - 0.2))
    capped = np.minimum(np.r_[np.full(12, 2.0), rest], 2.0)  # losses that were cut at 2
    low, high = ends(everything(capped, np.arange(12)))
    assert low < 2 and high == 2
    assert ends(everything(np.full(30, 0.2), np.arange(12))) == (0.2, 0.2)
    assert ends(everything(equal, np.arange(12))) == (0.2, 0.2)


def test_a_lone_outlier_among_many_others_does_not_blow_the_interval_up():
    random = np.random.default_rng(7)
    losses = random.random(5000)
    losses[0] = 1.0  # the largest member, so that nothing but the outlier lies beyond
    plain = everything(losses, np.arange(12))
    losses[-1] = 1000.0
    assert ends(everything(losses, np.arange(12)))[1] < plain.loss_high + 10 * 1000 / 4900


def test_two_low_losses_among_eleven_do_not_open_the_interval_down_to_the_least_loss_there_is():
    losses = [0.405, 0.644, 3.45, 3.778, 3.903, 3.903, 3.903, 3.903, 3.903, 4.503, 4.587]
    others = np.r_[1e-7, np.random.default_rng(9).exponential(0.7, 500)]
    low, high = ends(everything(np.r_[losses, others], np.arange(11)))
    share = stats.binomtest(9, 11).proportion_ci(method="exact").low
    # As if the two were 0 and all high ones the least of these: lower than the truth can well be.
    assert share * 3.45 - 0.2 < low < np.mean(losses) < high < 4.587
    # Had nobody else a lower loss, how low one can be would not be known.
    alone = ends(everything(losses, np.arange(11)))
    assert alone == pytest.approx((0.405, high))


def test_the_least_mean_is_the_exact_bound_for_losses_of_two_values_and_falls_with_what_can_be():
    hits = np.r_[np.zeros(3), np.ones(15)]
    exact = stats.binomtest(15, 18).proportion_ci(method="exact").low
    assert least_mean(hits, 0.0, 0.025) == pytest.approx(exact, abs=0.02)
    values = np.random.default_rng(10).gamma(2, size=20)
    far, near = (least_mean(values, least, 0.025) for least in (-5.0, 0.0))
    assert far < near < values.mean()
    assert near == least_mean(values[::-1], 0.0, 0.025)  # the order is of no account
    assert least_mean(np.ones(401), 0.0, 0.025) == -np.inf


DRAWS = {
    "gamma": (lambda random, n: random.gamma(2, size=n), 2.0),
    "exponential": (lambda random, n: random.exponential(size=n), 1.0),
    "lognormal": (lambda random, n: random.lognormal(0, 1, n), np.exp(0.5)),
    "rare and large": (
        lambda random, n: np.where(random.random(n) < 0.05, 10.0, 1.0) * random.gamma(2, 0.5, n),
        0.05 * 10 + 0.95,
    ),
    "0/1": (lambda random, n: (random.random(n) < 0.3) * 1.0, 0.3),
}


@pytest.mark.parametrize("n", [10, 25])
@pytest.mark.parametrize("name", DRAWS)
def test_the_truth_lies_in_the_interval(name, n):
    draw, mean = DRAWS[name]
    random = np.random.default_rng([len(name), n])
    held, repeats = 0, 1500
    for _ in range(repeats):
        low, high = ends(everything(draw(random, n + 300), np.arange(n)))
        held += low <= mean <= high
    assert held / repeats >= 0.93 - 0.007  # one standard error


@pytest.mark.parametrize("kind", ["alike inside", "a few copies"])
def test_the_truth_lies_in_the_interval_when_rows_come_in_groups(kind):
    random = np.random.default_rng(8)
    held, naive, repeats = np.zeros(2), np.zeros(2), 500
    for at in range(repeats):
        sizes = np.full(80, 5)
        if kind == "a few copies":
            sizes = np.where(random.random(80) < 0.8, 1, random.integers(2, 12, 80))
        groups = np.repeat(np.arange(80), sizes)
        losses = random.gamma(2, 0.5, len(groups)) * random.gamma(1, 1, 80)[groups]
        wrong = random.random(len(groups)) < random.beta(0.6, 1.4, 80)[groups]
        for count, codes in ((held, groups), (naive, None)):
            rows = np.flatnonzero(groups < 15)
            effect = everything(losses, rows, wrong=wrong, groups=codes, seed=at)
            for place, (part, mean) in enumerate((("loss", 1.0), ("error", 0.3))):
                low, high = ends(effect, part)
                count[place] += low <= mean <= high
    assert (held / repeats >= 0.92).all(), held / repeats
    assert (naive < held).all()  # every row for itself claims too much


def test_groups_count_as_many_as_they_are():
    losses = np.repeat(np.random.default_rng(9).gamma(2, size=60), 4)
    groups = np.repeat(np.arange(60), 4)
    wrong = losses > 2
    copied = everything(losses, np.arange(80), groups=groups, wrong=wrong)
    once = everything(losses[::4], np.arange(20), wrong=wrong[::4])
    assert (copied.n, copied.n_groups, once.n_groups) == (80, 20, 20)
    assert copied.loss == pytest.approx(once.loss)
    for part in PARTS:  # four copies say no more than one
        widths = [high - low for low, high in (ends(copied, part), ends(once, part))]
        assert widths[0] == pytest.approx(widths[1], rel=0.2)
    few = everything(losses, np.arange(4 * (FEWEST - 1)), groups=groups, wrong=wrong)
    assert few.n == 36 and np.isnan(ends(few)).all() and np.isnan(ends(few, "error")).all()


def test_groups_of_one_are_rows_and_the_seed_draws_groups_alone():
    losses = np.random.default_rng(10).gamma(2, size=200)
    one = everything(losses, np.arange(50))
    assert everything(losses, np.arange(50), groups=np.arange(200), seed=3) == one
    assert everything(losses, np.arange(50), groups=np.full(200, -1)) == one
    pairs = [
        everything(losses, np.arange(50), groups=np.arange(200) // 2, seed=seed)
        for seed in (0, 0, 1)
    ]
    assert pairs[0] == pairs[1] != pairs[2]


def test_many_groups_are_joined_and_still_say_the_same():
    random = np.random.default_rng(11)
    groups = np.repeat(np.arange(3000), 2)
    losses = random.gamma(1, 1, 3000)[groups] * random.gamma(2, 0.5, 6000)
    effect = everything(losses, np.arange(4000), groups=groups)
    sums = losses[:4000].reshape(2000, 2).sum(axis=1)
    half = 1.96 * sums.std(ddof=1) / np.sqrt(2000) / 2
    np.testing.assert_allclose(
        ends(effect), (effect.loss - half, effect.loss + half), atol=0.35 * half
    )


def test_nobody_kept_aside_and_nobody_else():
    empty = measure_effect([0, 1], np.array([False, False, True]), [1.0, 2, 3])
    assert empty.n == 0 and np.isnan(empty.loss) and empty.loss_base == 3
    assert np.isnan(empty.multiple) and not empty.above
    none = measure_effect([], np.zeros(3, dtype=bool), [1.0, 2, 3], wrong=np.ones(3, dtype=bool))
    assert none.n == 0 and np.isnan(none.error_base)


def test_it_survives_json_without_loss():
    losses = np.random.default_rng(12).gamma(2, size=90)
    for given in ({}, {"wrong": losses > 1, "own": losses > 0.5}):
        for members in (np.arange(4), np.arange(40)):
            effect = everything(losses, members, **given)
            kept = json.loads(json.dumps(effect.to_dict(), allow_nan=False))
            again = Effect.from_dict(kept | {"more": 1})
            assert again.to_dict() == effect.to_dict()
            assert type(again.n) is int
    with pytest.raises(KeyError):
        Effect.from_dict({"n": 3})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"members": [0, 5]}, "members must be rows from 0 to 3"),
        ({"members": [0, 0]}, "members must not repeat a row"),
        ({"members": [0.5]}, "members must be rows: got"),
        ({"aside": [1, 0, 1, 0]}, "aside must be one true or false per row, got"),
        ({"losses": [1.0, 2]}, "losses must be one per row: got"),
        ({"losses": [np.nan, 1, 2, 3]}, "losses must be finite"),
        ({"wrong": np.ones(3, dtype=bool)}, "wrong must be one true or false per row: 4 rows"),
        ({"groups": [1.0, 2, 3, 4]}, "groups must be one whole number per row"),
    ],
)
def test_what_cannot_be_measured_is_refused(given, words):
    call = {"members": [0], "aside": np.ones(4, dtype=bool), "losses": np.ones(4)} | given
    with pytest.raises(InputError, match=words):
        measure_effect(call.pop("members"), call.pop("aside"), call.pop("losses"), **call)
