"""One set of words and one way to write numbers, which agree with the constants they speak of."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from backend.core import wording
from backend.core.effects import FEWEST, Effect, measure_effect
from backend.core.wording import (
    effect_words,
    explained_words,
    inner_words,
    interval,
    is_real,
    number,
    p_value,
    percent,
    percent_range,
    points_words,
    rate_words,
    times,
    told_apart,
    verdict,
    wrong_words,
)

WORSE = Effect(
    n=33, n_groups=33, loss=1.906, loss_low=1.2, loss_high=2.94, loss_base=0.454, loss_label=0.9,
    error=22 / 33, error_low=0.4923, error_high=0.8111, error_base=0.16, error_label=0.3,
)  # fmt: skip
ALIKE = replace(WORSE, error_low=0.1)
FEW = replace(
    WORSE, n=7, n_groups=7, loss_low=math.nan, loss_high=math.nan, error_low=math.nan,
    error_high=math.nan,
)  # fmt: skip


def of_losses(effect):
    names = ("error", "error_low", "error_high", "error_base", "error_label")
    return replace(effect, **dict.fromkeys(names, math.nan))


def test_the_lines_below_a_list_and_a_region():
    correct = np.array([True, False, True, True, True])
    assert (
        wrong_words(correct, np.array([1, 2]))
        == "50\u00a0% of its members wrong, of all examples 20\u00a0%"
    )
    assert wrong_words(None, np.array([1])) == wrong_words(correct, np.array([], int)) == ""
    assert inner_words(1200, WORSE) == "its 1,200 worst, 67\u00a0% wrong"
    assert inner_words(30, of_losses(WORSE)) == "its 30 worst, mean loss 1.91"
    assert inner_words(30, replace(of_losses(FEW), loss=float("nan"))) == "its 30 worst"
    labelled = replace(WORSE, error_label=0.3)
    assert "(49 to 81\u00a0%), its label 30\u00a0%, others 16\u00a0%: ×4.2" in effect_words(
        labelled, labels=1
    )
    assert ", its labels 30\u00a0%, others" in effect_words(labelled, labels=2)
    assert "label" not in effect_words(labelled)
    shares = [0.2, 0.41, 0.53]
    assert explained_words(shares, 3) == "These 3 entries hold 53\u00a0% of the excess loss"
    assert explained_words(shares, 2).endswith(
        "hold 41\u00a0% of the excess loss; 1 more holds 12\u00a0%"
    )
    assert explained_words(shares, 1).startswith("This entry holds 20\u00a0%")
    assert explained_words([], 0) == explained_words([None, None], 2) == ""


def test_an_effect_in_one_line():
    assert (
        effect_words(WORSE)
        == "33 kept aside: 67\u00a0% wrong (49 to 81\u00a0%), others 16\u00a0%: ×4.2"
    )
    losses = of_losses(WORSE)
    assert effect_words(losses) == (
        "33 kept aside: mean loss 1.91 (1.20 to 2.94), others 0.454: ×4.2"
    )
    assert rate_words(WORSE) == "67\u00a0% wrong (kept aside; 49 to 81\u00a0%)"
    assert rate_words(losses) == "–"


def test_few_members_have_no_interval_and_say_so():
    assert (
        effect_words(FEW)
        == "7 kept aside: 67\u00a0% wrong (under 10: no interval), others 16\u00a0%: ×4.2"
    )
    assert rate_words(FEW) == "67\u00a0% wrong (kept aside; under 10: no interval)"
    groups = replace(FEW, n=1200)
    assert effect_words(groups).startswith(
        "1,200 kept aside in 7 groups: 67\u00a0% wrong (under 10 gro"
    )
    assert "in 1 group:" in effect_words(replace(groups, n_groups=1))
    assert effect_words(replace(FEW, n=0, n_groups=0)) == "none kept aside"
    assert effect_words(of_losses(FEW)).startswith("7 kept aside: mean loss 1.91 (under 10: no")


def test_what_cannot_be_divided_by_is_a_dash():
    right = replace(WORSE, error_base=0.0)
    assert effect_words(right).endswith("(49 to 81\u00a0%), others 0\u00a0%; loss ×4.2")
    assert effect_words(replace(right, loss_base=-1.0)).endswith("others 0\u00a0%: –")
    assert effect_words(replace(of_losses(WORSE), loss_base=-0.5)).endswith("others -0.500: –")
    nobody = replace(WORSE, error_base=math.nan, loss_base=math.nan)
    assert effect_words(nobody) == "33 kept aside: 67\u00a0% wrong (49 to 81\u00a0%)"


def test_measured_effects_read_well_whatever_was_given():
    random = np.random.default_rng(0)
    losses, aside = random.exponential(size=300), random.random(300) < 0.5
    for members in ([], [0, 1], np.arange(100)):
        for given in ({}, {"wrong": losses > 2}, {"groups": np.arange(300) // 2}):
            words = effect_words(measure_effect(members, aside, losses, **given))
            assert "nan" not in words and "None" not in words, words


@pytest.mark.parametrize(
    ("p", "effect", "more", "words"),
    [
        (0.01, WORSE, {}, "real"),
        (0.05, WORSE, {"kind": "direction", "cell": True}, "real, a cell of the confusion matrix"),
        (0.01, WORSE, {"kind": "label"}, "real, a whole label"),
        (0.051, WORSE, {}, "not distinguishable from chance"),
        (0.2, WORSE, {"bound": True}, "like its whole label"),
        (0.2, WORSE, {"kind": "label", "bound": True}, "not distinguishable from chance"),
        (0.01, FEW, {}, "too few kept-aside examples to tell"),
        (0.01, None, {}, "too few kept-aside examples to tell"),
        (0.01, ALIKE, {}, "not above the others on kept-aside examples"),
        (math.nan, WORSE, {}, "not tested"),
        (None, None, {}, "not tested"),
    ],
)
def test_real_needs_a_small_p_and_kept_aside_members_that_do_worse(p, effect, more, words):
    assert verdict(p, effect, **more) == words
    assert is_real(p, effect) == words.startswith("real")


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (2.08, "×2.1"), (1, "×1.0"), (9.96, "×10"), (12.4, "×12"), (1234, "×1,200"), (0.634, "×0.63"),
        (0.0123, "×0.012"), (0, "×0"), (math.nan, "–"), (None, "–"), (math.inf, "–"),
    ],
)  # fmt: skip
def test_multiples(ratio, words):
    assert times(ratio) == words


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (0.01, "≤ .01"), (0.004, ".004"), (0.015, ".015"), (0.03, ".030"), (0.0001, "< .001"),
        (1.0, "1"), (0.9996, "1"), (0.999, ".999"), (math.nan, "–"), (None, "–"),
    ],
)  # fmt: skip
def test_p_values(p, words):
    assert p_value(p) == words
    assert p_value(0.01, None) == ".010"
    assert p_value(0.001, 0.001) == "≤ .001"


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (-1e-16, "0\u00a0%"), (0.666, "67\u00a0%"), (0, "0\u00a0%"), (1, "100\u00a0%"), (0.042, "4.2\u00a0%"), (0.0996, "10\u00a0%"), (0.05, "5\u00a0%"),
        (0.996, "99.6\u00a0%"), (0.99, "99\u00a0%"), (0.0001, "0.01\u00a0%"), (math.nan, "–"), (None, "–"),
    ],
)  # fmt: skip
def test_percentages(share, words):
    assert percent(share) == words


def test_ranges_and_numbers():
    assert percent_range(0.578, 0.749) == "58 to 75\u00a0%"
    assert points_words(0.142, 0.074, 0.2101) == "+14.2 points (7.4 to 21.0)"
    assert (
        points_words(-0.031, -0.05, -1e-9) == "\N{MINUS SIGN}3.1 points (\N{MINUS SIGN}5.0 to 0.0)"
    )
    assert points_words(-1e-9, math.nan, math.nan) == "+0.0 points"
    assert points_words(math.nan, 0.0, 0.0) == "–"
    assert wording.one_line(f" {percent(0.2)}\n\tof\u2028all ") == "20\u00a0% of all"
    assert percent_range(0.004, 1) == "0.4 to 100\u00a0%"
    assert percent_range(math.nan, math.nan) == "–"
    assert [number(v) for v in (0, 1234.5, 0.4536, -2, 1e-9, math.nan, None)] == [
        "0", "1,234", "0.454", "-2.00", "1.00e-09", "–", "–",
    ]  # fmt: skip


def test_every_number_has_one_name_and_one_sentence():
    names = [
        value
        for name, value in vars(wording).items()
        if name.isupper() and isinstance(value, str) and not name.startswith("_")
    ]
    verdicts = ("REAL", "CHANCE", "LIKE_LABEL", "NOT_ABOVE", "TOO_FEW", "NOT_TESTED")
    other = {
        getattr(wording, name)
        for name in (*verdicts, "WHOLE_LABEL", "CELL", "DASH", "MINUS", "PERCENT", "HOW", "ORDER")
    }
    assert set(names) - other == set(wording.MEANS)
    assert len(set(names)) == len(names)
    for name, words in wording.MEANS.items():
        assert words.endswith(".") and len(words) > 30, name


def test_what_is_said_agrees_with_the_constants():
    assert wording.LEAST_P == 0.01
    said = re.findall(r"\.?\d+(?:\.\d+)?", wording.HOW)
    assert said == ["3", str(wording.SHUFFLES), ".05"]
    assert f"{wording.SHUFFLES} shuffles" in wording.MEANS[wording.P]
    assert "≤ .01 is the least" in wording.MEANS[wording.P]
    for name in (wording.ERROR, wording.LOSS):
        assert f"95\u00a0% interval, from {FEWEST} members" in wording.MEANS[name]


@pytest.mark.parametrize(
    ("values", "digits"),
    [
        ([-124.35, -114.31, -118.2437], 4),
        ([-118.2437, -118.1022], 6),
        ([0.001, 5.3], 3),
        ([1.5e9, 1.5e9 + 1], 12),
        ([1e300, -1e300], 3),
        ([0.25, 0.25], 3),
        ([1.0, 1.0 + 1e-15], 15),
        ([float("nan"), float("inf")], 3),
        ([], 3),
    ],
)
def test_a_column_has_the_digits_in_which_its_numbers_differ(values, digits):
    assert wording.telling_digits(values) == digits


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (4.1, 6.8, "4.10–6.80"),
        (-0.107, -0.0273, "\N{MINUS SIGN}0.107 to \N{MINUS SIGN}0.0273"),
        (-0.107, 0.25, "\N{MINUS SIGN}0.107 to 0.250"),
        (0, 12_345, "0–12,345"),
        (math.nan, 1.0, "–"),
        (None, None, "–"),
    ],
)
def test_a_range_with_a_negative_end_has_a_word_between_its_ends(low, high, said):
    assert interval(low, high) == said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1 / 3, 2 / 3, 1.0, 4 / 3], ["0.333", "0.667", "1", "1.33"]),
        ([-0.5, 1e-7, 0.0], ["\N{MINUS SIGN}0.5", "1e-07", "0"]),
        ([118.234, 118.236], ["118.23", "118.24"]),
        ([0.1, 0.1 + 2**-54], ["0.1", "0.1000000000000001"]),
        ([], []),
    ],
)
def test_numbers_have_the_digits_that_tell_them_apart(values, said):
    assert told_apart(values) == said
