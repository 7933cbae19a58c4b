"""Where the ranking of a group ends before anybody moves the cut."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backend.sharpen import tally
from backend.views.sharpening import Ranked, start_size


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"size": 40}, 40),
        ({"size": 40, "ranked": True}, 40),
        ({}, 3),
        ({"ranked": True}, 0),  # a ranking is longer than its group
        ({"size": "many", "ranked": True}, 0),
        ({"size": True}, 3),
        ({"size": 0}, 3),
    ],
)
def test_the_size_of_the_group_that_answers_started_from(asked: dict[str, Any], size: int) -> None:
    assert start_size(asked, ["a", "b", "c"]) == size


@pytest.mark.parametrize(
    ("answers", "size", "cut"),
    [
        ([], 40, 40),
        ([], 400, 100),
        ([], 0, 7),
        (["no", "no", "skip"], 40, 40),
        (["no", "yes"], 40, 7),
    ],
)
def test_a_group_ends_where_it_did_until_something_belongs(
    answers: list[str], size: int, cut: int
) -> None:
    told = tally((row, "ada", answer, None) for row, answer in enumerate(answers))
    ranked = Ranked(SimpleNamespace(n=100), {}, {"cut": 7}, told, size)  # type: ignore[arg-type]
    assert ranked.cut == cut


def test_the_cut_says_what_stands_above_it() -> None:
    told = tally([(0, "ada", "yes", None)])
    arrays = {
        "scores": -np.arange(10.0),
        "audit": np.zeros((0, 2), np.int64),
        "audit_weights": np.zeros(0),
    }
    ranked = Ranked(SimpleNamespace(n=10), arrays, {"cut": 1}, told, 4)  # type: ignore[arg-type]
    assert ranked.precision_words(1) == ("100\u00a0%", "every member of the cut was answered")
    assert ranked.precision_words(4)[1] == "no random example above the cut is answered yet"
    for cut, seen in (
        (4, [([3, 4], [2, 3]), ([5, 6], [4, 5])]),
        (1, [([1], [0]), ([2, 3], [1, 2])]),
        (10, [([9, 10], [8, 9])]),
    ):
        sides = ranked.around(cut, each=2)
        assert [(places, rows.tolist()) for _, places, rows in sides] == seen
