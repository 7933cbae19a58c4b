"""What rules work out of a bundle, kept beside it: columns, the words of texts, answers of pieces.

A *piece* is what has to be read from the bundle to answer a clause, and is the same whoever asks: the
answer of a comparison, or how far every example is from those after ``near``. And, or, not, tags and
``top`` only put pieces together, which takes next to nothing.
"""

from __future__ import annotations

import sys
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.describe import tokenize
from backend.rules.columns import Column
from backend.rules.syntax import RuleError

Mask = NDArray[np.bool_]

MAX_STEPS = 50_000_000_000
"""Numbers that the rules of one view may look at. Comparing a column looks at n, the distance to an
example at n times d, a word at as many as a text takes beside a number."""
MAX_ANSWERS = 2_000_000_000
"""Rows times clauses of the rules of one view, those that are known already included."""
KEPT_CHARACTERS = 50_000_000
"""The words of texts with more are not kept: they are read again for each clause."""
KEPT_BYTES = 96 * 2**20
_FIELD = "_kept_by_rules"
_MAKING = threading.Lock()
_LOOK_EVERY = 256


class TooSlowHereError(RuleError):
    """Rules were not worked out in the seconds that they may take here: a worker has to do it."""


@dataclass
class Budget:
    """What the rules of one view may still look at.

    Attributes
    ----------
    steps : int
        Numbers to look at.
    answers : int
        Rows times clauses.
    seconds : float, optional
        Time from when the budget is made.
    report : callable, optional
        Called every moment of the work; what it raises ends it.
    """

    steps: int = MAX_STEPS
    answers: int = MAX_ANSWERS
    seconds: float | None = None
    report: Callable[[], None] | None = None
    began: float = field(default_factory=time.monotonic)

    def spend(self, steps: int) -> None:
        """Take off what a piece needs.

        Raises
        ------
        RuleError
            If that is more than is left.
        """
        if steps > self.steps:
            raise RuleError(
                f"the rules of a view may look at {MAX_STEPS:,} numbers: this one needs "
                f"{steps:,} and {self.steps:,} are left. Name fewer examples after 'near', or remove "
                "a filter."
            )
        self.steps -= steps

    def answer(self, rows: int) -> None:
        """Take off the rows of one clause.

        Raises
        ------
        RuleError
            If those are more than are left.
        """
        if rows > self.answers:
            raise RuleError(
                f"the rules of a view may have {MAX_ANSWERS:,} answers, rows times clauses: these "
                f"have more, with {rows:,} rows each. Write fewer clauses, or remove a filter."
            )
        self.answers -= rows

    def look(self) -> None:
        """Say that the work goes on.

        Raises
        ------
        TooSlowHereError
            If it took too long.
        """
        if self.report is not None:
            self.report()
        if self.seconds is not None and time.monotonic() - self.began > self.seconds:
            raise TooSlowHereError(
                f"the rules took longer than the {self.seconds:g} s that they may take here."
            )


@dataclass
class RuleMemory:
    """Of one bundle, whichever of its layers is looked at.

    Attributes
    ----------
    columns : dict of {name: Column}
    values : dict of {name: values}
        Of columns of text, for completion.
    words : dict of {name: TextWords}
        Of columns of text that ``contains`` was asked of.
    pieces : dict of {piece: packed bits or distances}
        Those asked for last, at most ``KEPT_BYTES`` of them.
    """

    columns: dict[str, Column] = field(default_factory=dict)
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    words: dict[str, TextWords] = field(default_factory=dict)
    pieces: OrderedDict[str, NDArray[Any]] = field(default_factory=OrderedDict)
    lock: Any = field(default_factory=threading.RLock)

    def has(self, piece: str) -> bool:
        """Whether a piece was worked out."""
        with self.lock:
            return piece in self.pieces

    def get(self, piece: str) -> NDArray[Any] | None:
        """What a piece came to; None where it is not kept."""
        with self.lock:
            if piece in self.pieces:
                self.pieces.move_to_end(piece)
            return self.pieces.get(piece)

    def put(self, pieces: Iterable[tuple[str, NDArray[Any]]]) -> None:
        """Keep these, and of the others those that were asked for last as far as there is room."""
        with self.lock:
            new = dict(pieces)
            for piece, answer in new.items():
                self.pieces[piece] = answer
                self.pieces.move_to_end(piece)
            held = sum(answer.nbytes for answer in self.pieces.values())
            while held > KEPT_BYTES and len(self.pieces) > len(new):
                held -= self.pieces.popitem(last=False)[1].nbytes

    def words_of(self, name: str, column: Column) -> TextWords:
        """The words of a column of text, read once."""
        with self.lock:
            if name not in self.words:
                self.words[name] = TextWords(column.values)
            return self.words[name]


class TextWords:
    """Which of n texts hold which words. Each text is read for words at most once, when it may matter.

    Parameters
    ----------
    texts : object array of shape (n,)
    """

    def __init__(self, texts: NDArray[Any]) -> None:
        self._plain: list[str] | None = None
        self._texts = texts
        self._words: list[frozenset[str] | None] = [None] * len(texts)
        self._keeps = sum(map(len, texts)) <= KEPT_CHARACTERS

    def holds(self, wanted: set[str], starts: set[str], look: Callable[[], None]) -> Mask:
        """(n,) bool: texts that hold every one of these words, and for each start one that begins so.

        ``look`` may end the work.
        """
        found = np.zeros(len(self._texts), bool)
        first, *others = wanted | starts
        for row, plain in enumerate(self._plain_texts()):
            if row % _LOOK_EVERY == 0:
                look()
            # Finding words is slow; a text without the letters cannot have them.
            if first in plain and all(word in plain for word in others):
                words = self._read(row)
                found[row] = wanted <= words and all(
                    any(word.startswith(start) for word in words) for start in starts
                )
        return found

    def _plain_texts(self) -> Iterator[str]:
        if self._plain is not None:
            yield from self._plain
            return
        made = []
        for text in self._texts:
            plain = unicodedata.normalize("NFC", text).lower()
            if self._keeps:
                made.append(plain)
            yield plain
        if self._keeps:
            self._plain = made

    def _read(self, row: int) -> frozenset[str]:
        words = self._words[row]
        if words is None:
            words = frozenset(map(sys.intern, tokenize(self._texts[row])))
            if self._keeps:
                self._words[row] = words
        return words


def kept_of(bundle: Bundle) -> RuleMemory:
    """What is kept of a bundle, as long as it is open."""
    with _MAKING:
        if _FIELD not in vars(bundle):
            object.__setattr__(bundle, _FIELD, RuleMemory())
        kept: RuleMemory = vars(bundle)[_FIELD]
        return kept
