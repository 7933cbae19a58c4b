"""Questions and answers: what stands, whose it is, and the way back."""

from __future__ import annotations

import pytest

from backend.core.errors import InputError
from backend.store import Author, Store

BUNDLE = "ab" * 32


@pytest.fixture
def store(tmp_path, database):
    return Store(home=tmp_path)


def standing(store, key="q"):
    return [(one.author_key, one.example, one.answer) for one in store.answers(BUNDLE, key)]


def test_answers_stand_in_order_with_their_author_until_they_are_taken_back(store, tmp_path):
    store.answer_question(BUNDLE, "q", "a", "yes", chance=0.25, author="Ada", name="shirts")
    store.answer_question(BUNDLE, "q", "a", "no", author=Author("Ada", "@other"))
    store.answer_question(BUNDLE, "other", "a", "skip", author="Ada")
    everything = [("ada", "a", "yes"), ("@other", "a", "no")]
    assert standing(store) == everything
    assert store.answers(BUNDLE, "q")[0].chance == 0.25
    assert store.undo(BUNDLE, "Ada").summary == "undid: answered 'skip' for 'a group'"
    assert standing(store, "other") == []
    store.undo(BUNDLE, "Ada")
    assert standing(store) == everything[1:] == standing(Store(home=tmp_path))
    store.redo(BUNDLE, "Ada")
    assert standing(store) == everything
    assert store.tags(BUNDLE).empty and store.events_of(BUNDLE, "a") == []
    assert store.undoable(BUNDLE, "Ada").summary == "answered 'yes' for 'shirts'"


def test_a_question_is_asked_once_and_is_no_step_to_undo(store):
    first = store.ask_question(
        BUNDLE, "q", ["a", "b"], name="shirts", asked={"seed": 0}, author="Ada"
    )
    again = store.ask_question(BUNDLE, "q", ["c"], name="bags", asked={}, author="Bob")
    assert again.seq == first.seq and store.undoable(BUNDLE, "Ada") is None
    question = store.question(BUNDLE, "q")
    assert (question.name, question.ids, question.asked) == ("shirts", ("a", "b"), {"seed": 0})
    assert question.author == "Ada" and store.question(BUNDLE, "none") is None


def test_an_answer_sent_twice_is_given_once(store):
    for _ in range(2):
        store.answer_question(BUNDLE, "q", "a", "yes", operation="x-1")
    assert len(standing(store)) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answer": "maybe"}, "answer must be"),
        ({"chance": 0.0}, r"chance must lie in \(0, 1\]"),
        ({"example": 3}, "ids must be text"),
        ({"key": ""}, "the key of a question"),
    ],
    ids=str,
)
def test_what_is_no_answer_is_refused(store, change, words):
    given = {"key": "q", "example": "a", "answer": "yes"} | change
    with pytest.raises(InputError, match=words):
        store.answer_question(BUNDLE, **given)
    with pytest.raises(InputError, match="asked must be a dict"):
        store.ask_question(BUNDLE, "q", ["a"], name="shirts", asked=[])
