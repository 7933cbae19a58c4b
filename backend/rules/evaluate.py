"""Which examples of a bundle a rule means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle
from backend.core.blocks import row_blocks
from backend.describe import tokenize
from backend.rules.columns import Column, columns_by_name
from backend.rules.kept import Budget, kept_of
from backend.rules.mentions import mentions
from backend.rules.parser import parse, unknown_column
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
    to_text,
)

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def evaluate(
    rule: Rule | str,
    bundle: Bundle,
    tags: Mapping[str, Any] | pd.DataFrame | None = None,
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
    words as ``backend.describe.tokenize`` does. ``near`` takes the Euclidean distance to the
    closest of the chosen examples; ties go to the lower row. ``near ... top k within (...)`` counts
    to ``k`` among the examples that the rule in parentheses holds for; ``near ... top k and ...``
    counts among all and keeps those that fit.

    Raises
    ------
    RuleError
        If a column, tag or id does not exist, a value does not fit its column, or the rule looks at
        more numbers than its budget has.
    """
    source = rule if isinstance(rule, str) else None
    columns = columns_by_name(bundle)
    tree = parse(rule, columns) if isinstance(rule, str) else rule
    return _Evaluation(bundle, columns, tags, source, budget or Budget()).mask(tree)


class _Evaluation:
    def __init__(
        self,
        bundle: Bundle,
        columns: Mapping[str, Callable[[], NDArray[Any]]],
        tags: Mapping[str, Any] | pd.DataFrame | None,
        source: str | None,
        budget: Budget,
    ) -> None:
        self._bundle, self._columns, self._tags, self._source = bundle, columns, tags, source
        self._budget, self._kept = budget, kept_of(bundle)

    def mask(self, rule: Rule) -> Mask:
        """The answer; that of a clause which names no tag is worked out once for a bundle."""
        if isinstance(rule, And | Or | Not | Tagged) or mentions(rule).tags:
            return self._mask(rule)
        key = f"{self._bundle.layer}\n{to_text(rule)}"
        return self._kept.mask(key, self._bundle.n, lambda: self._mask(rule))

    def _mask(self, rule: Rule) -> Mask:
        match rule:
            case And(rules):
                return np.logical_and.reduce([self.mask(one) for one in rules])
            case Or(rules):
                return np.logical_or.reduce([self.mask(one) for one in rules])
            case Not(inner):
                return ~self.mask(inner)
            case Compare(name, sign, right):
                if isinstance(right, Name):
                    return self._between_columns(name, sign, right)
                column = self._column(name)
                return self._compared(column, sign, self._constant(name, column, right), name)
            case OneOf(name, values, negated):
                column = self._column(name)
                wanted = [self._constant(name, column, value) for value in values]
                found = (
                    np.asarray(pd.Index(column.values).isin(wanted))
                    if column.kind == "text"
                    else np.logical_or.reduce([column.values == one for one in wanted])
                )
                return column.known & (found != negated)
            case Between(name, low, high, negated):
                column = self._column(name)
                over = self._compared(column, ">=", self._constant(name, column, low), name)
                under = self._compared(column, "<=", self._constant(name, column, high), name)
                return column.known & ((over & under) != negated)
            case Contains(name, words, negated):
                return self._contains(name, words, negated)
            case Tagged(tag):
                return self._tagged(tag)
            case Near(ids, top, within):
                return self._near(ids, top, within)

    def _wrong(self, problem: str, at: int) -> RuleError:
        return RuleError(problem, source=self._source, at=at, columns=self._columns)

    def _column(self, name: Name) -> Column:
        if name.name not in self._columns:
            raise self._wrong(unknown_column(name.name, self._columns), name.at)
        self._budget.spend(self._bundle.n)
        known = self._kept.columns
        if name.name not in known:
            known[name.name] = Column.of(self._columns[name.name]())
        return known[name.name]

    def _constant(self, name: Name, column: Column, value: Value) -> Any:
        if column.kind == "text":
            return value.raw
        if column.kind == "truth":
            if value.raw.lower() in TRUTHS:
                return TRUTHS[value.raw.lower()]
            raise self._wrong(
                f"column '{name.name}' is true or false: got '{value.raw[:40]}'.", value.at
            )
        if not value.number:
            raise self._wrong(
                f"column '{name.name}' holds numbers: got the text '{value.raw[:40]}'.", value.at
            )
        # Whole numbers stay whole: float64 cannot tell neighbours above 2^53 apart.
        digits = value.raw.removeprefix("-").removeprefix("+")
        return int(value.raw) if digits.isdigit() else float(value.raw)

    def _compared(self, column: Column, sign: str, other: Any, name: Name) -> Mask:
        if sign not in ("=", "!=") and column.kind != "number":
            raise self._wrong(
                f"'{sign}' needs a column of numbers: '{name.name}' holds "
                f"{'text' if column.kind == 'text' else 'true and false'}. Use =, != or in.",
                name.at,
            )
        return column.known & np.asarray(_COMPARED[sign](column.values, other), dtype=bool)

    def _between_columns(self, name: Name, sign: str, other: Name) -> Mask:
        left, right = self._column(name), self._column(other)
        if left.kind != right.kind:
            raise self._wrong(
                f"'{name.name}' ({left.kind}) and '{other.name}' ({right.kind}) cannot be "
                "compared.",
                other.at,
            )
        return right.known & self._compared(left, sign, right.values, name)

    def _contains(self, name: Name, words: Value, negated: bool) -> Mask:
        column = self._column(name)
        if column.kind != "text":
            raise self._wrong(f"'contains' needs text: '{name.name}' holds none.", name.at)
        wanted = set(tokenize(words.raw))
        if not wanted:
            raise self._wrong("'contains' needs at least one word.", words.at)

        found = self._kept.words_of(name.name, column).holds(wanted)
        return column.known & (found != negated)

    def _tagged(self, tag: Value) -> Mask:
        given = self._tags
        if given is None:
            given = {}
        if isinstance(given, pd.DataFrame):
            ids = given.loc[given["tag"] == tag.raw, "id"].tolist()
            names = sorted(set(given["tag"]))
        else:
            ids, names = list(given.get(tag.raw, ())), sorted(given)
        if tag.raw not in names:
            told = ", ".join(f"'{name}'" for name in names[:20]) or "none"
            raise self._wrong(f"no example is tagged '{tag.raw[:80]}'. Tags: {told}.", tag.at)
        return np.isin(self._bundle.ids, np.asarray(ids, dtype=str))

    def _near(self, ids: tuple[Value, ...], top: int, within: Rule | None) -> Mask:
        bundle = self._bundle
        among = np.arange(bundle.n) if within is None else np.flatnonzero(self.mask(within))
        rows = []
        for one in ids:
            found = np.flatnonzero(bundle.ids == one.raw)
            if not len(found):
                raise self._wrong(f"there is no example with id '{one.raw[:80]}'.", one.at)
            rows.append(int(found[0]))
        self._budget.spend(bundle.n * bundle.d * len(rows))
        mask = np.zeros(bundle.n, dtype=bool)
        mask[nearest_to(bundle, np.array(rows), among)[:top]] = True
        return mask


def nearest_to(bundle: Bundle, rows: Rows, among: Rows) -> Rows:
    """The rows ``among``, ascending, by their distance to the closest of ``rows``.

    Euclidean; of equal distances the lower row comes first.
    """
    chosen = np.asarray(bundle.embeddings[rows], dtype=np.float64)
    closest = np.empty(bundle.n)
    for start, block in row_blocks(bundle.embeddings):
        # Differences, not the expanded square: it loses its digits far from the origin.
        distances = [np.square(block - center).sum(axis=1) for center in chosen]
        closest[start : start + len(block)] = np.minimum.reduce(distances)
    return np.asarray(among[np.argsort(closest[among], kind="stable")])
