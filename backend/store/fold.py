"""From the log to the state: which example carries which tag now, by whom, since when.

The rule
--------
A change (tag, untag, rename, hypothesis, view, blind check, region set aside, answer, link) is *live* unless the last undo or redo that points at it is an undo.
The state is the fold of the live changes in ``seq`` order:

- ``tag`` adds the pairs (id, tag) that are not there; a pair that is there keeps its first author
  and time. ``untag`` removes the pairs, whoever added them.
- Reverting a change is therefore folding without it. When two people tagged the same example and
  one takes theirs back, the other's tag stands, with the other's name and time. When one untags
  what another tagged, taking the untag back restores the tag, unless that was taken back as well.

- A hypothesis, a saved view, a region that was set aside or a link is what its last live event says, so editing is a new event; one
  that says nothing takes it away.

Each author, told apart by their key, has one history per bundle. Undo reverts that author's latest live change, redo brings
back the change they reverted last, and a new change of theirs forgets what they could redo. Nobody
can undo another's change; untag it instead, which is a change of one's own. An author's settings,
of which the last one counts, are neither undone nor do they forget anything. An undo or redo of
somebody else, which only ``Store.overrule`` writes, takes the change out of its author's history or
puts it there again; the author cannot redo what was taken back so.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.store.log import CHANGES

CARDS = ("hypothesis", "view", "known", "link")
"""Kinds of which the last live event of a key says what it is now."""


@dataclass(frozen=True)
class Step:
    """What the fold needs of one event."""

    seq: int
    author: str
    time: str
    kind: str
    tag: str | None = None
    target: int | None = None
    ids: tuple[str, ...] = ()
    key: str = ""
    name: str = ""
    author_key: str = ""


@dataclass(frozen=True)
class _Change:
    step: Step
    codes: NDArray[np.int64]


class Fold:
    """State of one bundle's log, advanced event by event.

    Ids are numbered in order of first mention, and each tag keeps one array over those numbers:
    the ``seq`` that put it there, or 0. Applying or refolding a change of 100 000 ids is then one
    indexed assignment.
    """

    def __init__(self) -> None:
        self.last = 0
        self.undone: set[int] = set()
        self._codes: dict[str, int] = {}
        self._changes: dict[int, _Change] = {}
        self._by_tag: dict[str, list[int]] = {}
        self._renames: list[int] = []
        self._held: dict[str, NDArray[np.int64]] = {}
        self._names: dict[str, str] = {}
        self._card_events: dict[str, list[int]] = {kind: [] for kind in CARDS}
        self._cards: dict[str, dict[str, int]] = {kind: {} for kind in CARDS}
        self._settings: dict[tuple[str, str], int] = {}
        self._answers: dict[str, list[int]] = {}
        self._done: dict[str, list[int]] = {}
        self._reverted: dict[str, list[int]] = {}
        self._table: pd.DataFrame | None = None

    def advance(self, steps: Iterable[Step]) -> None:
        """Apply further events, in ``seq`` order."""
        for step in steps:
            if step.kind in CHANGES:
                self._change(step)
            elif step.kind in ("undo", "redo"):
                self._revert(step)
            elif step.kind == "setting":
                self._settings[step.author_key, step.name] = step.seq
            self.last = step.seq

    def undoable(self, author_key: str) -> int | None:
        """``seq`` of the change that undo would revert for this author."""
        done = self._done.get(author_key)
        return done[-1] if done else None

    def redoable(self, author_key: str) -> int | None:
        """``seq`` of the change that redo would bring back for this author."""
        reverted = self._reverted.get(author_key)
        return reverted[-1] if reverted else None

    @property
    def names(self) -> dict[str, str]:
        """Region key -> the name somebody gave it."""
        return dict(self._names)

    def cards(self, kind: str) -> dict[str, int]:
        """Key of a hypothesis, view, region set aside or link -> ``seq`` of the event that says what it is, oldest first."""
        return dict(self._cards[kind])

    def setting(self, author_key: str, name: str) -> int | None:
        """``seq`` of what this author set last under this name."""
        return self._settings.get((author_key, name))

    def answers(self, question: str) -> list[int]:
        """``seq`` of the answers to this question that stand, the earliest first."""
        return [seq for seq in self._answers.get(question, []) if seq not in self.undone]

    def counts(self) -> dict[str, int]:
        """Tag -> how many examples carry it, tags in alphabetical order; none with 0."""
        sizes = {tag: int(np.count_nonzero(held)) for tag, held in sorted(self._held.items())}
        return {tag: size for tag, size in sizes.items() if size}

    def names_of_tags(self) -> list[str]:
        """Every tag that was ever set, those that no example carries now included, oldest first."""
        return list(self._by_tag)

    def tags_of(self, example: str) -> list[str]:
        """Tags of one example, in alphabetical order."""
        code = self._codes.get(example)
        if code is None:
            return []
        return sorted(t for t, held in self._held.items() if code < len(held) and held[code])

    def tags_on(self, examples: Iterable[str]) -> dict[str, list[str]]:
        """Example -> its tags in alphabetical order; only examples that carry one."""
        codes = {one: code for one in examples if (code := self._codes.get(one)) is not None}
        found: dict[str, list[str]] = {}
        for tag, held in sorted(self._held.items()):
            for example, code in codes.items():
                if code < len(held) and held[code]:
                    found.setdefault(example, []).append(tag)
        return found

    def changes_of(self, example: str) -> list[int]:
        """``seq`` of the changes, live or not, that name this example, oldest first; no answers."""
        code = self._codes.get(example)
        if code is None:
            return []
        return [
            seq
            for seq, change in self._changes.items()
            if change.step.kind != "answer" and (change.codes == code).any()
        ]

    def table(self) -> pd.DataFrame:
        """The pairs in force: id, tag, author, time, source_seq; ordered by tag, then id.

        The order does not depend on the history, so that a change and its undo leave the very
        same table.
        """
        if self._table is None:
            self._table = self._build_table()
        return self._table

    def _change(self, step: Step) -> None:
        numbers = [self._codes.setdefault(name, len(self._codes)) for name in step.ids]
        step = replace(step, ids=())  # the numbers say it in a tenth of the memory
        change = _Change(step, np.array(numbers, dtype=np.int64))
        self._changes[step.seq] = change
        self._done.setdefault(step.author_key, []).append(step.seq)
        self._reverted[step.author_key] = []
        if step.kind == "rename_region":
            self._renames.append(step.seq)
            self._rename(step)
        elif step.kind in CARDS:
            self._card_events[step.kind].append(step.seq)
            self._write_card(step)
        elif step.kind == "answer":
            self._answers.setdefault(step.key, []).append(step.seq)
        elif step.kind in ("tag", "untag"):
            tag = step.tag or ""
            self._by_tag.setdefault(tag, []).append(step.seq)
            self._apply(tag, change)

    def _revert(self, step: Step) -> None:
        change = self._changes.get(step.target or 0)
        if change is None:
            return
        seq, author = change.step.seq, change.step.author_key
        source, goal = self._done, self._reverted
        if step.kind == "redo":
            source, goal = goal, source
            self.undone.discard(seq)
        else:
            self.undone.add(seq)
        own = step.author_key == author
        if seq in source.get(author, []):
            source[author].remove(seq)
            if own:
                goal.setdefault(author, []).append(seq)
        if not own and step.kind == "redo":
            bisect.insort(self._done.setdefault(author, []), seq)
        if change.step.kind == "rename_region":
            self._names = {}
            for again in self._live(self._renames):
                self._rename(again.step)
        elif (kind := change.step.kind) in CARDS:
            self._cards[kind] = {}
            for again in self._live(self._card_events[kind]):
                self._write_card(again.step)
        elif change.step.kind in ("tag", "untag"):
            tag = change.step.tag or ""
            self._held[tag] = np.zeros(len(self._codes), dtype=np.int64)
            for again in self._live(self._by_tag[tag]):
                self._apply(tag, again)
        self._table = None

    def _live(self, seqs: list[int]) -> Iterable[_Change]:
        return (self._changes[seq] for seq in seqs if seq not in self.undone)

    def _rename(self, step: Step) -> None:
        if step.name:
            self._names[step.key] = step.name
        else:
            self._names.pop(step.key, None)

    def _write_card(self, step: Step) -> None:
        if step.name:
            self._cards[step.kind][step.key] = step.seq
        else:
            self._cards[step.kind].pop(step.key, None)

    def _apply(self, tag: str, change: _Change) -> None:
        held = self._held.get(tag, np.zeros(0, dtype=np.int64))
        if len(held) < len(self._codes):
            held = np.concatenate([held, np.zeros(len(self._codes) - len(held), dtype=np.int64)])
        codes = change.codes
        if change.step.kind == "tag":
            held[codes[held[codes] == 0]] = change.step.seq
        else:
            held[codes] = 0
        self._held[tag] = held
        self._table = None

    def _build_table(self) -> pd.DataFrame:
        names = np.array(list(self._codes), dtype=object)
        parts = []
        for tag, held in sorted(self._held.items()):
            codes = np.flatnonzero(held)
            ids = names[codes]
            order = np.argsort(ids, kind="stable")
            parts.append((tag, ids[order], held[codes[order]]))
        seqs = np.concatenate([part[2] for part in parts] or [np.zeros(0, dtype=np.int64)])
        distinct, index = np.unique(seqs, return_inverse=True)
        steps = [self._changes[int(seq)].step for seq in distinct]

        def spread(values: list[str]) -> NDArray[np.object_]:
            return np.array(values, dtype=object)[index] if values else np.zeros(0, dtype=object)

        columns = {
            "id": np.concatenate([part[1] for part in parts] or [names[:0]]),
            "tag": np.repeat(
                np.array([part[0] for part in parts], dtype=object),
                [len(part[1]) for part in parts],
            ),
            "author": spread([step.author for step in steps]),
            "time": spread([step.time for step in steps]),
        }
        table = pd.DataFrame({name: pd.Series(v, dtype="str") for name, v in columns.items()})
        return table.assign(source_seq=seqs)
