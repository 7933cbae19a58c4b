"""Values that columns have: for completion, and for saying which one was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backend.bundle import Bundle
from backend.rules.columns import TRUE_FALSE, columns_by_name
from backend.rules.evaluate import Tags, checked, tag_names
from backend.rules.kept import kept_of
from backend.rules.pieces import column_of
from backend.rules.syntax import (
    And,
    Compare,
    Name,
    Near,
    Not,
    OneOf,
    Or,
    Rule,
    RuleError,
    Value,
    name_text,
    read_tokens,
    value_text,
)

KNOWN = 5_000
"""Values of a column that are offered and compared with what was typed, the most frequent ones."""
NEAREST = 3
UNLISTED = ("id", "text")
"""Columns whose values are as many as there are examples."""


class KnownValues(Mapping[str, Sequence[str]]):
    """Every column a rule can use, with its values, the most frequent first.

    A column is read when it is asked for. Numbers have none; neither do ids and texts.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle, self._columns = bundle, columns_by_name(bundle)

    def __getitem__(self, name: str) -> Sequence[str]:
        kind = self._columns[name].kind
        if kind == "truth":
            return TRUE_FALSE
        if kind != "text" or name in UNLISTED:
            return ()
        kept = kept_of(self._bundle)
        if name not in kept.values:
            classes = self._bundle.class_names if name in ("label", "prediction") else None
            found = list(column_of(self._bundle, name).frequent(KNOWN))
            more = [str(one) for one in classes or ()]
            kept.values[name] = tuple(dict.fromkeys([*more, *found]))
        return kept.values[name]

    def kind(self, name: str) -> str:
        """Of a column: number, truth or text."""
        return self._columns[name].kind

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


@dataclass(frozen=True)
class RuleProblem:
    """Why a rule should not be used as it stands.

    Attributes
    ----------
    told : str
        For a person.
    at : int or None
        Where in the rule, counted from 0.
    instead : tuple of str
        The whole rule with what is nearest to the word there in its place, the likeliest first.
    """

    told: str
    at: int | None = None
    instead: tuple[str, ...] = ()


def problem_of(rule: str, bundle: Bundle, tags: Tags | None = None) -> RuleProblem | None:
    """What is wrong with a rule: it cannot be read, does not fit, or names what no example has.

    Parameters
    ----------
    rule : str
    bundle : Bundle
    tags : DataFrame or mapping, optional
        As for ``evaluate``.

    Returns
    -------
    RuleProblem or None
        None where nothing is. A value that no example of a column of text has is a problem, since it
        is most often misspelt; classes that a bundle names count as values.
    """
    values = KnownValues(bundle)
    try:
        tree = checked(rule, bundle, tags)
    except RuleError as error:
        told = str(error).split("\n", 1)[0]
        at = error.at
        if at is None or error.unknown not in ("column", "tag", "id"):
            return RuleProblem(told, at)
        known: Sequence[str] = list(values)
        if error.unknown == "tag":
            known = tag_names(tags)
        elif error.unknown == "id":
            known = bundle.ids[:KNOWN].tolist()
        return RuleProblem(told, at, _instead(rule, at, known, column=error.unknown == "column"))
    for name, value in _values_named(tree):
        known = values[name.name]
        if (
            known
            and values.kind(name.name) == "text"
            and not _has(bundle, name.name, value.raw, known)
        ):
            return RuleProblem(
                f"rule, position {value.at + 1}: no example has {name_text(name.name)} = "
                f"{value_text(Value(value.raw[:80]))}.",
                value.at,
                _instead(rule, value.at, known),
            )
    return None


def _has(bundle: Bundle, column: str, value: str, known: Sequence[str]) -> bool:
    """Whether any example has this value; where there are very many, the rare ones are looked for."""
    if value in known or len(known) < KNOWN:
        return value in known
    return bool((column_of(bundle, column).values == value).any())


def nearest_names(word: str, known: Sequence[str], most: int = NEAREST) -> list[str]:
    """Names most like a word: the same in another case, beginning with it, spelt alike, holding it."""
    folded = word.casefold()
    by_fold: dict[str, str] = {}
    for name in known[:KNOWN]:
        by_fold.setdefault(name.casefold(), name)
    found = [name for fold, name in by_fold.items() if fold == folded]
    if folded:
        found += [name for fold, name in by_fold.items() if fold.startswith(folded)][:most]
    close = difflib.get_close_matches(folded[:200], list(by_fold), n=most, cutoff=0.6)
    found += [by_fold[fold] for fold in close]
    if len(folded) > 1:
        found += [name for fold, name in by_fold.items() if folded in fold][:most]
    return list(dict.fromkeys(found))[:most]


def _instead(rule: str, at: int, known: Sequence[str], *, column: bool = False) -> tuple[str, ...]:
    token = next(one for one in read_tokens(rule) if one.at == at)
    names = nearest_names(token.text, known)
    written = [name_text(one) if column else value_text(Value(one)) for one in names]
    return tuple(rule[:at] + word + rule[token.end :] for word in written)


def _values_named(rule: Rule) -> Iterator[tuple[Name, Value]]:
    """Values that a rule compares a column with for being the same."""
    match rule:
        case And(rules) | Or(rules):
            for one in rules:
                yield from _values_named(one)
        case Not(inner):
            yield from _values_named(inner)
        case Near(_, _, within) if within is not None:
            yield from _values_named(within)
        case Compare(name, "=" | "!=", Value() as value):
            yield name, value
        case OneOf(name, values):
            for value in values:
                yield name, value
        case _:
            return
