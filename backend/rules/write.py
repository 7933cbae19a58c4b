"""Rules written by the program: the text of a rule that means exactly the holders of something."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from backend.describe import AttributeColumn, tokenize
from backend.describe.attributes import OTHER
from backend.describe.shares import UNKNOWN
from backend.rules.syntax import (
    And,
    Between,
    Compare,
    Contains,
    Name,
    Near,
    OneOf,
    Rule,
    Value,
    to_text,
)

LONGEST = 2_000
"""Characters of a rule somebody still reads, and a line on a page takes."""


def words_rule(words: str) -> str | None:
    """``text contains "..."`` for a token or an n-gram; None where no rule means just these words.

    A rule asks for the words in any order, so it means some more texts than an n-gram.
    """
    if not words or " ".join(tokenize(words)) != words:
        return None
    return _written(Contains(Name("text"), Value(words)))


def level_rule(name: str, column: AttributeColumn, code: int) -> str | None:
    """The rule that column ``name`` has one of its levels; None where no rule says so.

    That is so for missing values, and for pooled ones.
    """
    value = column.levels[code]
    if column.borders is not None:
        if code >= len(column.borders):
            return None
        low, high = (float(border) for border in column.borders[code])
        return _written(_range(Name(name), low, high, last=code == len(column.borders) - 1))
    if value == UNKNOWN or (column.pooled and value == OTHER):
        return None
    return value_rule(name, value)


def value_rule(name: str, value: Any) -> str | None:
    """The rule that a column equals a value: text, a number, true or false, or one of a tuple."""
    if isinstance(value, tuple):
        values = [_constant(one) for one in value]
        if any(one is None for one in values):
            return None
        return _written(OneOf(Name(name), tuple(one for one in values if one is not None)))
    constant = _constant(value)
    return None if constant is None else _written(Compare(Name(name), "=", constant))


def range_rule(name: str, low: float, high: float) -> str:
    """The rule that a column of numbers lies in a range, both ends included."""
    lower, upper = (Value(repr(float(end)), number=True) for end in (low, high))
    return to_text(Between(Name(name), lower, upper))


def joined(rules: Iterable[str | None]) -> str:
    """Rules that all hold, those that are None left out."""
    return " and ".join(rule for rule in rules if rule)


def near_rule(ids: Sequence[str], top: int, *, within: Rule | None = None) -> str | None:
    """The ``top`` examples nearest to these, of those that ``within`` holds for."""
    return _written(Near(tuple(Value(one) for one in ids), top, within))


def _range(name: Name, low: float, high: float, *, last: bool) -> Rule:
    if low == high:
        return Compare(name, "=", _number(low))
    if last:
        return Between(name, _number(low), _number(high))
    return And((Compare(name, ">=", _number(low)), Compare(name, "<", _number(high))))


def _constant(value: Any) -> Value | None:
    if isinstance(value, bool):
        return Value(str(value).lower())
    if isinstance(value, int | float):
        return _number(value) if math.isfinite(value) else None
    return Value(str(value))


def _number(value: float) -> Value:
    whole = isinstance(value, int) or (value == int(value) and abs(value) < 2**53)
    return Value(str(int(value)) if whole else repr(float(value)), number=True)


def _written(rule: Rule) -> str | None:
    return _short(to_text(rule))


def _short(text: str) -> str | None:
    """``text``, if it fits on one line."""
    return text if len(text) <= LONGEST and text.isprintable() else None
