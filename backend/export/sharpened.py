"""From a question and its answers in the log to the record that a tag of the sharpened group carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.sharpen.record import Given, Record
from backend.store import GivenAnswer, Question

TOLD = ("expected", "low", "high", "drawn")


def record_of(
    question: Question, answers: Sequence[GivenAnswer], *, cut: int, meta: Mapping[str, Any]
) -> Record:
    """The record of a group that answers sharpened.

    Parameters
    ----------
    question : Question
    answers : sequence of GivenAnswer
        Those that stand, the earliest first.
    cut : int
        How many of the ranking are members.
    meta : mapping
        Of the result of the task ``sharpen`` for these answers.
    """
    asked = question.asked
    return Record(
        name=question.name,
        start=question.ids,
        answers=tuple(
            Given(one.example, one.answer, one.chance, one.author, one.author_key, one.time)
            for one in answers
        ),
        cut=cut,
        layer=str(asked.get("layer", "")),
        seed=int(asked.get("seed", 0)),
        source=asked.get("source") or {},
        question=question.key,
        told={name: meta[name] for name in TOLD},
        versions=meta["versions"],
        ranked=asked.get("ranked") is True,
    )
