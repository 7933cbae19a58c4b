"""Questions and answers: which examples belong to a group, and what people said of each.

A *question* names the examples that the group started from. Its key follows from what it asks, so
that two people who start from the same group answer one question. Its event is written once and
cannot be undone: it changes nothing that is shown. An *answer* is a change like a tag, with the
author, the time and undo.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from backend.core.arrays import check_choice
from backend.core.errors import InputError
from backend.store.authors import Who
from backend.store.database import events
from backend.store.keeper import LogKeeper, digest_of
from backend.store.log import Event, clean_name
from backend.store.rows import event_of

SAID = ("yes", "no", "skip")
"""What can be answered."""
_OPERATION = "question "


@dataclass(frozen=True)
class Question:
    """A question that was asked.

    Attributes
    ----------
    key : str
        The same for all who ask it.
    name : str
        Of the group that it started from.
    ids : tuple of str
        Examples of that group.
    asked : dict
        What else the ranking follows from: ``source`` of the group, ``layer``, ``seed``.
    author, time : str
        Who asked it first.
    """

    key: str
    name: str
    ids: tuple[str, ...]
    asked: dict[str, Any]
    author: str
    time: str


@dataclass(frozen=True)
class GivenAnswer:
    """What somebody said of one example, as it stands; ``chance`` of a drawn one, else None."""

    seq: int
    example: str
    answer: str
    chance: float | None
    author: str
    author_key: str
    time: str


class Questions(LogKeeper):
    """The part of ``Store`` that keeps questions and answers."""

    def ask_question(
        self,
        bundle: Any,
        key: str,
        ids: Iterable[str],
        *,
        name: str,
        asked: dict[str, Any],
        author: Who = "local",
    ) -> Event:
        """Ask which examples belong to a group; a question that was asked before stays as it is.

        Parameters
        ----------
        key : str
            1 to 60 characters; the same wherever the same is asked.
        ids : iterable of str
            Examples of the group to start from.
        name : str
            What the group is called; 1 to 200 characters.
        asked : dict
            See ``Question``.
        """
        key = clean_name("the key of a question", key, longest=60)
        name = clean_name("the name of a group", name, longest=200)
        if not isinstance(asked, dict):
            raise InputError(f"asked must be a dict: got {type(asked).__name__}.")
        payload = {"key": key, "name": name, "asked": asked}
        operation = _OPERATION + key
        return self._change(
            "question", bundle, author, payload=payload, ids=ids, operation=operation
        )

    def answer_question(
        self,
        bundle: Any,
        key: str,
        example: str,
        answer: str,
        *,
        chance: float | None = None,
        name: str = "",
        author: Who = "local",
        operation: str | None = None,
    ) -> Event:
        """Say whether an example belongs to the group of a question: "yes", "no" or "skip".

        Parameters
        ----------
        chance : float, optional
            With which the example was drawn, in (0, 1]; None for one that was chosen.
        name : str
            What the group is called, for the history.
        operation : str, optional
            As for ``tag``.
        """
        key = clean_name("the key of a question", key, longest=60)
        check_choice("answer", answer, SAID)
        if chance is not None and not 0 < chance <= 1:
            raise InputError(f"chance must lie in (0, 1]: got {chance!r}.")
        payload = {"key": key, "answer": answer, "chance": chance, "name": name[:200]}
        return self._change(
            "answer", bundle, author, payload=payload, ids=[example], operation=operation
        )

    def question(self, bundle: Any, key: str) -> Question | None:
        """The question with this key, if it was asked."""
        digest = digest_of(bundle)
        query = sa.select(events).where(
            self._of(digest), events.c.operation == _OPERATION + key, events.c.kind == "question"
        )
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _question(event_of(row, frozenset()))

    def answers(self, bundle: Any, key: str) -> list[GivenAnswer]:
        """The answers to a question that stand, the earliest first."""
        with self._fold(bundle) as fold:
            seqs = fold.answers(key)
        return [
            GivenAnswer(
                event.seq,
                event.ids[0],
                str(event.payload["answer"]),
                event.payload.get("chance"),
                event.author,
                event.author_key,
                event.time,
            )
            for event in self.events_at(bundle, seqs)
        ]


def _question(event: Event) -> Question:
    told = event.payload
    return Question(
        told["key"], told["name"], event.ids, dict(told["asked"]), event.author, event.time
    )
