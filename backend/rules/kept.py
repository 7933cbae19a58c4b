"""What rules work out of a bundle, kept beside it: columns, the words of texts, answers of clauses."""

from __future__ import annotations

import sys
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.describe import tokenize
from backend.rules.columns import Column
from backend.rules.syntax import RuleError

Mask = NDArray[np.bool_]

MAX_STEPS = 10_000_000_000
"""Numbers that the rules of one view may look at. Comparing a column looks at n, the distance to an
example at n times d."""
KEPT_CHARACTERS = 50_000_000
"""The words of texts with more are not kept: they are read again for each clause."""
KEPT_BYTES = 32 * 2**20
_FIELD = "_kept_by_rules"
_MAKING = threading.Lock()


@dataclass
class Budget:
    """What the rules of one view may still look at."""

    steps: int = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Take off what a clause needs.

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


@dataclass
class RuleMemory:
    """Of one bundle, whichever of its layers is looked at.

    Attributes
    ----------
    columns : dict of {name: Column}
    words : dict of {name: TextWords}
        Of columns of text that ``contains`` was asked of.
    masks : dict of {clause: packed bits}
        Those asked for last, at most ``KEPT_BYTES`` of them.
    """

    columns: dict[str, Column] = field(default_factory=dict)
    words: dict[str, TextWords] = field(default_factory=dict)
    masks: OrderedDict[str, NDArray[np.uint8]] = field(default_factory=OrderedDict)
    lock: Any = field(default_factory=threading.RLock)

    def mask(self, clause: str, n: int, make: Callable[[], Mask]) -> Mask:
        """The answer of a clause (n,), made the first time only."""
        with self.lock:
            if clause in self.masks:
                self.masks.move_to_end(clause)
                return np.unpackbits(self.masks[clause], count=n).view(bool)
        made = make()
        with self.lock:
            self.masks[clause] = np.packbits(made)
            while len(self.masks) > 1 and len(self.masks) * (n // 8 + 1) > KEPT_BYTES:
                self.masks.popitem(last=False)
        return made

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
        self._plain = [unicodedata.normalize("NFC", text).lower() for text in texts]
        self._texts = texts
        self._words: list[frozenset[str] | None] = [None] * len(texts)
        self._keeps = sum(map(len, texts)) <= KEPT_CHARACTERS

    def holds(self, wanted: set[str]) -> Mask:
        """(n,) bool: texts that hold every one of these words."""
        found = np.zeros(len(self._plain), bool)
        first, *others = wanted
        for row, plain in enumerate(self._plain):
            words = self._words[row]
            # Finding words is slow; a text without the letters cannot have them.
            if words is None and first in plain and all(word in plain for word in others):
                words = self._read(row)
            found[row] = words is not None and wanted <= words
        return found

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
