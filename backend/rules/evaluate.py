"""Which examples of a bundle a rule means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.describe import tokenize
from backend.rules.columns import columns_by_name
from backend.rules.kept import Budget
from backend.rules.parser import parse, unknown_column
from backend.rules.pieces import TRUTHS, Piece, Working, first_of
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
    RuleError,
    Tagged,
    Value,
)

Mask = NDArray[np.bool_]
Tags: TypeAlias = Mapping[str, Any] | pd.DataFrame
NEAR_ANSWERS = 20
"""Choosing the nearest takes as much as answering so many clauses."""


def evaluate(
    rule: Rule | str,
    bundle: Bundle,
    tags: Tags | None = None,
    budget: Budget | None = None,
) -> Mask:
    """The examples that a rule means.

    Parameters
    ----------
    rule : Rule or str
        From a text, refusals point at the place.
    bundle : Bundle
    tags : DataFrame or mapping, optional
        For ``tagged``: what ``Store.tags`` returns, or tag -> ids.
    budget : Budget, optional
        Shared by the rules of one view; a rule alone has one of its own.

    Returns
    -------
    bool array of shape (n,)

    Notes
    -----
    A comparison with a missing value (NaN, empty text) is false, ``!=`` and ``not in`` included;
    ``not`` in front of a condition turns its answer around, so ``not width > 3`` holds where width
    is missing. Text is compared exactly, upper and lower case being different; ``contains`` reads
    whole words as ``backend.describe.tokenize`` does, in any order, and ``refund*`` as any word that
    begins so. ``near`` takes the Euclidean distance to the
    closest of the chosen examples; ties go to the lower row. ``near ... top k within (...)`` counts
    to ``k`` among the examples that the rule in parentheses holds for; ``near ... top k and ...``
    counts among all and keeps those that fit.

    Raises
    ------
    RuleError
        If a column, tag or id does not exist, a value does not fit its column, or the rule looks at
        more numbers than its budget has.
    """
    budget = budget or Budget()
    return _Evaluation(bundle, tags, budget).mask(checked(rule, bundle, tags))


def checked(rule: Rule | str, bundle: Bundle, tags: Tags | None = None) -> Rule:
    """A rule that fits a bundle, read but not worked out; arguments and errors as for ``evaluate``.

    Without ``tags``, any tag fits where a rule was read already.
    """
    columns = columns_by_name(bundle)
    tree = parse(rule, columns) if isinstance(rule, str) else rule
    kinds = {name: source.kind for name, source in columns.items()}
    source = rule if isinstance(rule, str) else None
    _Check(bundle, kinds, tags, source).rule(tree)
    return tree


class _Check:
    """Refuses what does not fit, without reading a column."""

    def __init__(
        self, bundle: Bundle, kinds: Mapping[str, str], tags: Tags | None, source: str | None
    ) -> None:
        self._bundle, self._kinds, self._tags, self._source = bundle, kinds, tags, source

    def rule(self, rule: Rule) -> None:
        match rule:
            case And(rules) | Or(rules):
                for one in rules:
                    self.rule(one)
            case Not(inner):
                self.rule(inner)
            case Compare(name, sign, right):
                kind = self._kind(name)
                if isinstance(right, Name):
                    self._alike(name, right)
                else:
                    self._constant(name, right)
                self._ordered(name, kind, sign)
            case OneOf(name, values):
                for value in values:
                    self._constant(name, value)
            case Between(name, low, high):
                self._constant(name, low)
                self._constant(name, high)
                self._ordered(name, self._kind(name), ">=")
            case Contains(name, words):
                if self._kind(name) != "text":
                    raise self._wrong(f"'contains' needs text: '{name.name}' holds none.", name.at)
                if not tokenize(words.raw):
                    raise self._wrong("'contains' needs at least one word.", words.at)
            case Tagged(tag):
                self._tag(tag)
            case Near(ids, _, within):
                if within is not None:
                    self.rule(within)
                places = self._bundle.places([one.raw for one in ids])
                for chosen, place in zip(ids, places, strict=True):
                    if place < 0:
                        raise self._wrong(
                            f"there is no example with id '{chosen.raw[:80]}'.", chosen.at, "id"
                        )

    def _wrong(self, problem: str, at: int, unknown: str = "") -> RuleError:
        return RuleError(problem, source=self._source, at=at, columns=self._kinds, unknown=unknown)

    def _kind(self, name: Name) -> str:
        if name.name not in self._kinds:
            raise self._wrong(unknown_column(name.name, self._kinds), name.at, "column")
        return self._kinds[name.name]

    def _constant(self, name: Name, value: Value) -> None:
        kind, got = self._kind(name), value.raw[:40]
        if kind == "truth" and value.raw.lower() not in TRUTHS:
            raise self._wrong(f"column '{name.name}' is true or false: got '{got}'.", value.at)
        if kind == "number" and not value.number:
            raise self._wrong(
                f"column '{name.name}' holds numbers: got the text '{got}'.", value.at
            )

    def _ordered(self, name: Name, kind: str, sign: str) -> None:
        if sign not in ("=", "!=") and kind != "number":
            raise self._wrong(
                f"'{sign}' needs a column of numbers: '{name.name}' holds "
                f"{'text' if kind == 'text' else 'true and false'}. Use =, != or in.",
                name.at,
            )

    def _alike(self, name: Name, other: Name) -> None:
        kinds = self._kind(name), self._kind(other)
        if kinds[0] != kinds[1]:
            raise self._wrong(
                f"'{name.name}' ({kinds[0]}) and '{other.name}' ({kinds[1]}) cannot be compared.",
                other.at,
            )

    def _tag(self, tag: Value) -> None:
        names = tag_names(self._tags)
        if tag.raw not in names:
            told = ", ".join(f"'{name}'" for name in names[:20]) or "none"
            raise self._wrong(
                f"no example is tagged '{tag.raw[:80]}'. Tags: {told}.", tag.at, "tag"
            )


def tag_names(tags: Tags | None) -> list[str]:
    """The tags there are, sorted."""
    return sorted(set(tags["tag"])) if isinstance(tags, pd.DataFrame) else sorted(tags or {})


class _Evaluation:
    """Puts pieces together; the rule fits the bundle."""

    def __init__(self, bundle: Bundle, tags: Tags | None, budget: Budget) -> None:
        self._bundle, self._tags, self._budget = bundle, tags, budget
        self._working = Working(bundle, budget)

    def mask(self, rule: Rule) -> Mask:
        match rule:
            case And(rules):
                mask = self.mask(rules[0])
                for one in rules[1:]:
                    mask &= self.mask(one)
                return mask
            case Or(rules):
                mask = self.mask(rules[0])
                for one in rules[1:]:
                    mask |= self.mask(one)
                return mask
            case Not(inner):
                return ~self.mask(inner)
            case Tagged(tag):
                self._budget.answer(self._bundle.n)
                return self._tagged(tag)
            case Near(ids, top, within):
                self._budget.answer(NEAR_ANSWERS * self._bundle.n)
                return self._near(Near(ids, top=1), top, within)
            case _:
                self._budget.answer(self._bundle.n)
                return self._bits(rule)

    def _bits(self, piece: Piece) -> Mask:
        packed = self._working.get(piece)
        return np.unpackbits(packed, count=self._bundle.n).view(bool)

    def _tagged(self, tag: Value) -> Mask:
        given: Any = {} if self._tags is None else self._tags
        if isinstance(given, pd.DataFrame):
            ids = given.loc[given["tag"] == tag.raw, "id"].tolist()
        else:
            ids = list(given.get(tag.raw, ()))
        mask = np.zeros(self._bundle.n, dtype=bool)
        mask[self._bundle.rows_of(ids)] = True
        return mask

    def _near(self, piece: Near, top: int, within: Rule | None) -> Mask:
        n = self._bundle.n
        among = np.arange(n) if within is None else np.flatnonzero(self.mask(within))
        mask = np.zeros(n, dtype=bool)
        mask[first_of(self._working.get(piece), among, top)] = True
        return mask
