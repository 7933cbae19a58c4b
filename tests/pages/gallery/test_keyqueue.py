"""Numbered queues of keystrokes: duplicates, gaps, disorder, lost answers, two tabs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.components.gallery.keyqueue import INSTANCES_KEPT, LONGEST_QUEUE, Action, remember, take

ME = "a1b2c3d4e5f6"
OTHER = "0f0e0d0c0b0a"


def item(n: int, **changes: Any) -> dict[str, Any]:
    whole = {
        "n": n,
        "operation": f"{ME}-{n}",
        "kind": "tag",
        "bundle": "d" * 64,
        "ids": [f"e{n}"],
        "tag": "x",
    }
    return whole | changes


def message(*numbers: int, instance: str = ME) -> dict[str, Any]:
    return {"instance": instance, "sent": 1, "items": [item(n) for n in numbers]}


def numbers(taken: Any) -> list[int]:
    return [action.n for action in taken.actions]


def test_an_action_is_what_the_browser_said() -> None:
    [action] = take(message(1), {}).actions
    assert action == Action(1, f"{ME}-1", "tag", "d" * 64, ("e1",), "x")
    [undo] = take({"instance": ME, "items": [item(1, kind="undo", ids=["e"])]}, {}).actions
    assert undo == Action(1, f"{ME}-1", "undo", "d" * 64)


@pytest.mark.parametrize(
    ("said", "chance"),
    [({}, None), ({"chance": None}, None), ({"chance": 0.25}, 0.25), ({"chance": 1}, 1.0)],
)
def test_an_answer_keeps_its_question_and_the_chance_of_its_draw(said: Any, chance: Any) -> None:
    sent = item(1, kind="answer", tag="no", question="q", **said)
    [action] = take({"instance": ME, "items": [sent]}, {}).actions
    assert (action.question, action.chance, action.tag) == ("q", chance, "no")


@pytest.mark.parametrize(
    "said", [{"question": 3}, {"chance": 0}, {"chance": 1.5}, {"chance": "1"}, {"chance": True}]
)
def test_an_answer_with_an_impossible_chance_is_refused(said: Any) -> None:
    sent = item(1, kind="answer", tag="no", **said)
    assert "needs its question" in take({"instance": ME, "items": [sent]}, {}).refused[1]


@pytest.mark.parametrize(
    ("sent", "done", "expected"),
    [
        ([1, 2, 3], 0, [1, 2, 3]),
        ([1, 2, 3], 2, [3]),  # sent again, partly done
        ([1, 2, 3], 3, []),
        ([3, 1, 2], 0, [1, 2, 3]),  # out of order
        ([1, 1, 2, 2], 0, [1, 2]),  # twice in one message
        ([1, 3, 4], 0, [1]),  # a gap: the rest comes again
        ([5, 6], 3, []),
        ([4, 5], 3, [4, 5]),
        ([], 3, []),
    ],
)
def test_each_number_is_done_once_in_order_and_never_past_a_gap(
    sent: list[int], done: int, expected: list[int]
) -> None:
    assert numbers(take(message(*sent), {ME: done})) == expected


def test_a_server_that_forgot_goes_on_where_the_browser_is() -> None:
    taken = take(message(58, 59), {})
    assert numbers(taken) == [58, 59] and taken.start == 57


def test_two_tabs_are_numbered_apart() -> None:
    done = remember(remember({}, ME, 7), OTHER, 2)
    assert numbers(take(message(1, 2, 3, instance=OTHER), done)) == [3]
    assert numbers(take(message(7, 8), done)) == [8]


def test_what_is_done_never_falls_and_old_instances_are_forgotten() -> None:
    done = remember(remember({}, ME, 7), ME, 3)
    assert done == {ME: 7}
    for tab in range(INSTANCES_KEPT + 5):
        done = remember(done, f"tab-{tab:08d}", 1)
    assert len(done) == INSTANCES_KEPT and ME not in done
    done = remember(done, "tab-00000008", 2)  # one that is used stays longest
    assert list(done)[-1] == "tab-00000008"


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "queue",
        [],
        {"items": [item(1)]},
        {"instance": 7, "items": [item(1)]},
        {"instance": "short", "items": [item(1)]},
        {"instance": ME, "items": "all"},
        {"instance": ME, "items": [None, 3, {"n": "1"}, {"n": 0}, {"n": True}, {"n": 1.0}]},
    ],
)
def test_what_is_no_queue_does_nothing(broken: Any) -> None:
    taken = take(broken, {})
    assert taken.actions == () and not taken.refused


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": "drop table"}, "no action 'drop table'"),
        ({"operation": None}, "no name"),
        ({"bundle": None}, "names no bundle"),
        ({"tag": 7}, "no tag"),
        ({"ids": []}, "no example"),
        ({"ids": "e1"}, "no example"),
        ({"ids": [1]}, "must be text"),
    ],
)
def test_what_cannot_be_understood_is_refused_and_does_not_hold_up_the_rest(
    changes: dict[str, Any], why: str
) -> None:
    queue = {"instance": ME, "items": [item(1), item(2, **changes), item(3)]}
    taken = take(queue, {})
    assert numbers(taken) == [1, 3]
    assert why in taken.refused[2]


def test_a_queue_without_end_is_cut() -> None:
    taken = take(message(*range(1, LONGEST_QUEUE + 50)), {})
    assert len(taken.actions) == LONGEST_QUEUE


@given(
    st.integers(1, 40),
    st.lists(st.tuples(st.booleans(), st.integers(1, 6), st.booleans()), max_size=120),
)
def test_whatever_is_lost_on_the_way_all_is_done_once_in_order(
    n: int, fate: list[tuple[bool, int, bool]]
) -> None:
    """A browser that sends again, a server that sees some messages, answers that get lost."""
    done: dict[str, int] = {}
    performed: list[int] = []
    typed, acknowledged = 0, 0

    def exchange(arrives: bool, answer: bool) -> None:
        nonlocal done, acknowledged
        queue = message(*range(acknowledged + 1, typed + 1))
        if arrives:
            taken = take(queue, done)
            performed.extend(numbers(taken))
            last = taken.actions[-1].n if taken.actions else taken.start
            if taken.instance and queue["items"]:
                done = remember(done, taken.instance, last)
            if answer:
                acknowledged = max(acknowledged, done.get(ME, 0))

    for arrives, more, answer in fate:
        typed = min(n, typed + more)
        exchange(arrives, answer)
    typed = n
    exchange(True, True)
    assert performed == list(range(1, n + 1)) and acknowledged == n
