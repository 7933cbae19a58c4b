"""How single values, numbers and ranges are said, and which are not."""

from __future__ import annotations

import numpy as np
import pytest

from backend.describe.naming.sayable import counts_ids, names_ids, says_nothing
from backend.describe.naming.saying import clean, cut, listed, plain_number, said_range, size_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (np.float32(0.5), "0.5"),
        (True, "yes"),
        (np.False_, "no"),
        (float("nan"), ""),
        ("  a\n\tb ", "a b"),
        ("a\u202eb\u200bc\ud800", "abc"),
        ("e\u0301", "\u00e9"),
        ("👨\u200d👩", "👨\u200d👩"),
    ],
)
def test_a_value_is_one_line_without_what_cannot_be_seen(value, text):
    assert clean(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.125, "0.125"),
        (-3.5, "−3.5"),
        (123456.7, "123457"),
        (1_000_000, "1000000"),
        (1_234_567, "1234570"),
        (1.5e-7, "1.5e-7"),
        (-2e15, "−2e15"),
    ],
)
def test_numbers_are_short(value, text):
    assert plain_number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(12.04, "12"), (-1.88, "1.9"), (0.0431, "0.043"), (1234.0, "1200")]
)
def test_an_error_has_two_digits(value, text):
    assert size_of(value) == text


@pytest.mark.parametrize(
    ("low", "high", "ends", "text"),
    [
        (17, 24, (False, False), "17 to 24"),
        (3.12, 3.58, (False, False), "3.1 to 3.6"),
        (30.2, 44.7, (False, False), "30 to 45"),
        (0, 24, (True, False), "≤ 24"),
        (14.96, 20, (False, True), "≥ 15"),
        (0.0431, 20, (False, True), "≥ 0.043"),
        (5, 5, (False, False), "5"),
        (-2.04, -1.02, (False, False), "−2 to −1"),
        (1.00001, 1.00002, (False, False), "1.00001 to 1.00002"),
    ],
)
def test_a_range_has_the_digits_that_matter(low, high, ends, text):
    assert said_range(low, high, first=ends[0], last=ends[1], spread=20) == text


def test_long_texts_are_cut_between_words():
    assert cut("a short text", 20) == "a short text"
    assert cut("a rather long text", 12) == "a rather…"
    assert cut("x" * 40, 10) == "x" * 9 + "…"
    assert cut("one and more", 5) == "one…"


def test_things_are_listed_as_one_says_it():
    assert [listed(list("abc")[:k]) for k in range(4)] == ["", "a", "a or b", "a, b or c"]
    assert listed(["a", "b"], "and") == "a and b"


def test_levels_that_name_nothing():
    nothing = ["", " ", "other", "Unknown", "NaN", "n/a", "Not Available", "not_specified", "?"]
    assert all(says_nothing(level) for level in nothing)
    assert not any(says_nothing(level) for level in ["Otherwise", "no", "0", "rest home", "N"])


@pytest.mark.parametrize(
    ("name", "levels", "ids"),
    [
        ("customer_id", ["a", "b"], True),
        ("idNumber", ["a", "b"], True),
        ("width", [f"{at}.png" for at in range(5)], True),
        ("source", [f"https://x.y/{at}" for at in range(5)], True),
        ("anything", [f"value {at}" for at in range(70)], True),  # of 100 examples
        ("batch", [f"b{at:03d}" for at in range(40)], False),
        ("user", [f"u{at}" for at in range(40)], True),
        ("user", ["Anna", "Ben", "Carl"] * 4, False),
        ("genre", ["Drama", "Comedy"], False),
        ("grid", ["north", "south"], False),
        ("body_path", [f"way number {at}" for at in range(20)], True),
    ],
)
def test_names_that_tell_rows_apart(name, levels, ids):
    assert names_ids(name, levels, 100) is ids


@pytest.mark.parametrize(
    ("name", "numbers", "ids"),
    [
        ("age", np.arange(20, 70), False),
        ("body_mass_index", np.arange(15, 45), False),
        ("index", np.arange(15, 45), True),
        ("item", np.arange(15), True),
        ("item_price", np.arange(15), False),
        ("movieId", np.arange(5), True),
        ("loss", np.linspace(0, 1, 50), True),
        ("capital-loss", np.arange(50), False),
        ("anything", np.arange(95), True),  # of 100 examples
        ("weight", np.linspace(0.5, 1, 100), False),
        ("timestamp", np.arange(20), True),
    ],
)
def test_numbers_that_stand_for_things(name, numbers, ids):
    assert counts_ids(name, numbers.astype(float), 100) is ids
