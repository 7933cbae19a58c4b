"""The pieces of rules: which are not known yet, what they take, and working them out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.blocks import row_blocks
from backend.describe import tokenize
from backend.rules.columns import Column, LaterColumn, columns_by_name
from backend.rules.kept import Budget, RuleMemory, kept_of
from backend.rules.parser import parse
from backend.rules.syntax import (
    And,
    Between,
    Compare,
    Contains,
    Name,
    Near,
    Not,
    OneOf,
    Or,
    Rule,
    Tagged,
    Value,
    to_text,
)

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
Piece = Compare | OneOf | Between | Contains | Near
TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
CELL_STEPS, WORD_STEPS, READ_STEPS = 30, 300, 3_000
"""What comparing a text cell, looking for words in one, and reading it for words the first time take
beside comparing a number."""


def pieces_of(rule: Rule) -> list[Piece]:
    """What has to be read of the bundle to answer a rule; tags are not in it."""
    match rule:
        case And(rules) | Or(rules):
            return [piece for one in rules for piece in pieces_of(one)]
        case Not(inner):
            return pieces_of(inner)
        case Tagged():
            return []
        case Near(ids, _, within):
            return [Near(ids, top=1), *([] if within is None else pieces_of(within))]
        case _:
            return [rule]


def key_of(piece: Piece, bundle: Bundle) -> str:
    """Its name in the memory of the bundle: distances belong to a layer."""
    layer = f"{bundle.layer}\n" if isinstance(piece, Near) else ""
    return layer + to_text(piece)


def missing_pieces(rules: Iterable[Rule], bundle: Bundle) -> list[str]:
    """Pieces of rules that are not known of the bundle, as texts, each once."""
    kept = kept_of(bundle)
    found = {key_of(piece, bundle): piece for rule in rules for piece in pieces_of(rule)}
    return [to_text(piece) for key, piece in found.items() if not kept.has(key)]


def steps_of(pieces: Iterable[str], bundle: Bundle) -> int:
    """What pieces take altogether, as many comparisons of a number."""
    worker = Working(bundle, Budget())
    return sum(worker.steps(_piece(text)) for text in pieces)


def work_out(
    pieces: Sequence[str],
    bundle: Bundle,
    budget: Budget,
    done: Callable[[int], None] = lambda at: None,
) -> list[NDArray[Any]]:
    """What pieces come to, packed bits or distances, as ``keep_pieces`` takes them.

    Parameters
    ----------
    pieces : sequence of str
        Of ``missing_pieces``.
    bundle : Bundle
    budget : Budget
    done : callable
        Told how many are done.

    Raises
    ------
    RuleError
        If a piece does not fit the bundle, or the budget is used up.
    """
    working = Working(bundle, budget)
    answers = []
    for at, text in enumerate(pieces):
        done(at)
        answers.append(working.answer(_piece(text)))
    return answers


def keep_pieces(pieces: Sequence[str], answers: Sequence[NDArray[Any]], bundle: Bundle) -> None:
    """Have a bundle know what its pieces come to."""
    keys = [key_of(_piece(text), bundle) for text in pieces]
    kept_of(bundle).put(zip(keys, answers, strict=True))


def _piece(text: str) -> Piece:
    read = parse(text)
    if isinstance(read, And | Or | Not | Tagged):
        raise ValueError(f"{text[:80]!r} is no piece of a rule.")
    return read


class Working:
    """Works out pieces of rules that fit a bundle; keeps what it read of it."""

    def __init__(self, bundle: Bundle, budget: Budget) -> None:
        self.columns: Mapping[str, LaterColumn] = columns_by_name(bundle)
        self._bundle, self._budget = bundle, budget
        self._kept: RuleMemory = kept_of(bundle)

    def steps(self, piece: Piece) -> int:
        """What a piece takes, as many comparisons of a number."""
        n = self._bundle.n
        if isinstance(piece, Near):
            return n * self._bundle.d * len(piece.ids)
        both = [piece.column]
        if isinstance(piece, Compare) and isinstance(piece.right, Name):
            both.append(piece.right)
        each = 0
        for name in both:
            source = self.columns[name.name]
            each += CELL_STEPS if source.kind == "text" else 1
            each += 0 if name.name in self._kept.columns else source.steps
        if isinstance(piece, Contains):
            each += WORD_STEPS
            each += 0 if piece.column.name in self._kept.words else READ_STEPS
        return n * each

    def get(self, piece: Piece) -> NDArray[Any]:
        """What a piece comes to, worked out if it is not known."""
        key = key_of(piece, self._bundle)
        known = self._kept.get(key)
        if known is None:
            known = self.answer(piece)
            self._kept.put([(key, known)])
        return known

    def answer(self, piece: Piece) -> NDArray[Any]:
        """Work a piece out: packed bits of a mask (n,), or distances (n,)."""
        self._budget.spend(self.steps(piece))
        self._budget.look()
        if isinstance(piece, Near):
            rows = self._bundle.places([one.raw for one in piece.ids])
            return distances_to(self._bundle, rows, self._budget.look)
        return np.packbits(self._mask(piece))

    def _mask(self, piece: Compare | OneOf | Between | Contains) -> Mask:
        column = self._column(piece.column)
        match piece:
            case Compare(_, sign, right):
                if isinstance(right, Name):
                    other = self._column(right)
                    return other.known & compared(column, sign, other.values)
                return compared(column, sign, constant(column.kind, right))
            case OneOf(_, values, negated):
                wanted = [constant(column.kind, value) for value in values]
                found = (
                    np.asarray(pd.Index(column.values).isin(wanted))
                    if column.kind == "text"
                    else np.logical_or.reduce([column.values == one for one in wanted])
                )
                return column.known & (found != negated)
            case Between(_, low, high, negated):
                over = compared(column, ">=", constant(column.kind, low))
                under = compared(column, "<=", constant(column.kind, high))
                return column.known & ((over & under) != negated)
            case Contains(name, words, negated):
                texts = self._kept.words_of(name.name, column)
                found = texts.holds(*wanted_words(words.raw), self._budget.look)
                return column.known & (found != negated)

    def _column(self, name: Name) -> Column:
        return column_of(self._bundle, name.name)


def wanted_words(words: str) -> tuple[set[str], set[str]]:
    """Words that a text must hold, and beginnings of words: ``refund*`` stands for refunded, too."""
    parts = words.split() if "*" in words else [words]
    whole: set[str] = set()
    starts: set[str] = set()
    for part in parts:
        found = tokenize(part)
        if found and part.endswith("*"):
            starts.add(found.pop())
        whole.update(found)
    return whole, starts


def column_of(bundle: Bundle, name: str) -> Column:
    """A column that there is, read once for a bundle."""
    known = kept_of(bundle).columns
    if name not in known:
        known[name] = Column.of(columns_by_name(bundle)[name].make())
    return known[name]


def compared(column: Column, sign: str, other: Any) -> Mask:
    """(n,) bool: where a column is known and compares so."""
    return column.known & np.asarray(COMPARED[sign](column.values, other), dtype=bool)


def constant(kind: str, value: Value) -> Any:
    """A constant as the values of a column of this kind are; it fits it."""
    if kind == "text":
        return value.raw
    if kind == "truth":
        return TRUTHS[value.raw.lower()]
    # Whole numbers stay whole: float64 cannot tell neighbours above 2^53 apart.
    digits = value.raw.removeprefix("-").removeprefix("+")
    return int(value.raw) if digits.isdigit() else float(value.raw)


def distances_to(
    bundle: Bundle, rows: Rows, look: Callable[[], None] = lambda: None
) -> NDArray[np.float64]:
    """(n,) squared Euclidean distances to the closest of ``rows``. ``look`` may end the work."""
    chosen = np.asarray(bundle.embeddings[rows], dtype=np.float64)
    closest = np.full(bundle.n, np.inf)
    for start, block in row_blocks(bundle.embeddings):
        held = closest[start : start + len(block)]
        for center in chosen:
            look()
            # Differences, not the expanded square: it loses its digits far from the origin.
            np.minimum(held, np.square(block - center).sum(axis=1), out=held)
    return closest


def nearest_to(bundle: Bundle, rows: Rows, among: Rows) -> Rows:
    """The rows ``among``, ascending, by their distance to the closest of ``rows``.

    Euclidean; of equal distances the lower row comes first. Distances that a rule asked for are not
    measured again.
    """
    piece = Near(tuple(Value(str(one)) for one in bundle.ids[rows]), top=1)
    closest = Working(bundle, Budget()).get(piece)
    return np.asarray(among[np.argsort(closest[among], kind="stable")])


def first_of(closest: NDArray[np.float64], among: Rows, top: int) -> Rows:
    """The ``top`` rows ``among``, ascending, with the smallest distances; ties go to the lower row."""
    if top >= len(among):
        return among
    distances = closest[among]
    border = np.partition(distances, top - 1)[top - 1]
    inside = among[distances < border]
    return np.concatenate([inside, among[distances == border][: top - len(inside)]])
