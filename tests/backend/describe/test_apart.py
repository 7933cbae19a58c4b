"""Groups that one description fits are told apart by what one of them has more often."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backend.core.errors import InputError
from backend.core.plural import counted
from backend.describe import tell_apart


def rows(*ranges: tuple[int, int]) -> list[np.ndarray]:
    return [np.arange(*one) for one in ranges]


def test_the_fact_with_the_largest_lead_is_said() -> None:
    predictions = np.array(["Coat"] * 10 + ["Shirt"] * 7 + ["Coat"] * 3)
    assert tell_apart(rows((0, 10), (10, 20)), predictions=predictions) == [
        "mostly predicted Coat",
        "mostly predicted Shirt",
    ]


def test_a_fact_of_less_than_half_is_only_more_often_so() -> None:
    season = ["wet"] * 4 + ["dry"] * 6 + ["dry"] * 10
    examples = pd.DataFrame({"season": season})
    assert tell_apart(rows((0, 10), (10, 20)), examples=examples) == [
        "more often season wet",
        "mostly season dry",
    ]


def test_words_tell_apart_what_facts_do_not() -> None:
    labels = np.array(["a"] * 12)
    texts = ["a refund please"] * 6 + ["a parcel please"] * 6
    assert tell_apart(rows((0, 6), (6, 12)), labels=labels, texts=texts) == [
        "more often “refund”",
        "more often “parcel”",
    ]


def test_a_missing_text_is_no_word() -> None:
    texts = [None] * 3 + ["nothing"] * 3
    said = tell_apart(rows((0, 3), (3, 6)), texts=texts)
    assert said == ["1st of 2", "more often “nothing”"]


def test_size_then_place_are_left_when_nothing_else_differs() -> None:
    labels = np.array(["a"] * 12)
    assert tell_apart(rows((0, 1), (1, 12)), labels=labels) == ["1 member", "11 members"]
    three = tell_apart(rows((0, 4), (4, 8), (8, 12)), labels=labels)
    assert three == ["1st of 3", "2nd of 3", "3rd of 3"]


def test_groups_that_share_a_word_are_told_apart_among_themselves() -> None:
    texts = ["a voucher"] * 10 + ["by card"] * 18
    said = tell_apart(rows((0, 10), (10, 20), (16, 28)), texts=texts)
    assert said == [
        "more often “voucher”",
        "more often “card”, 10 members",
        "more often “card”, 12 members",
    ]


def test_no_two_are_the_same_and_the_answer_repeats() -> None:
    random = np.random.default_rng(0)
    labels, places = random.integers(0, 3, 200).astype(str), random.integers(0, 4, 200).astype(str)
    members = [np.sort(random.choice(200, 20, replace=False)) for _ in range(6)]
    given = {"labels": labels, "examples": pd.DataFrame({"place": places})}
    said = tell_apart(members, **given)
    assert len(set(said)) == 6 and all(said)
    assert said == tell_apart(members, **given)


@pytest.mark.parametrize("ranges", [((0, 4),), ((0, 4), (4, 4))])
def test_one_group_or_an_empty_one_is_refused(ranges: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(InputError, match="two groups or more, none empty"):
        tell_apart(rows(*ranges), labels=np.array(["a"] * 4))


def test_counts_come_with_their_noun() -> None:
    said = [counted(1, "test"), counted(0, "test"), counted(1200, "test")]
    assert said == ["1 test", "0 tests", "1,200 tests"]
    assert counted(2, "class", "classes") == "2 classes"
