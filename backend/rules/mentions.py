"""What a rule speaks of: the columns and tags that it names, wherever they stand in it."""

from __future__ import annotations

from dataclasses import dataclass

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
)


@dataclass(frozen=True)
class Mentions:
    """Names of columns and of tags."""

    columns: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    def __or__(self, other: Mentions) -> Mentions:
        return Mentions(self.columns | other.columns, self.tags | other.tags)


def mentions(rule: Rule | str) -> Mentions:
    """What a rule names, under ``not`` and inside ``within`` too.

    Raises
    ------
    RuleError
        If a text cannot be read.

    Examples
    --------
    >>> found = mentions('label != prediction and not tagged "seen"')
    >>> sorted(found.columns), sorted(found.tags)
    (['label', 'prediction'], ['seen'])
    """
    tree = parse(rule) if isinstance(rule, str) else rule
    match tree:
        case And(rules) | Or(rules):
            found = Mentions()
            for one in rules:
                found |= mentions(one)
            return found
        case Not(inner):
            return mentions(inner)
        case Near(_, _, within):
            return Mentions() if within is None else mentions(within)
        case Tagged(tag):
            return Mentions(tags=frozenset({tag.raw}))
        case Compare(column, _, Name(name)):
            return Mentions(frozenset({column.name, name}))
        case Compare(column) | OneOf(column) | Between(column) | Contains(column):
            return Mentions(frozenset({column.name}))
