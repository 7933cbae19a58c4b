"""What a rule is made of, its canonical text, and its words and signs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from backend.core.errors import InputError

MAX_LENGTH = 4_000
"""Characters of a rule; one written by hand has a few dozen."""
MAX_DEPTH = 40
"""Parentheses and ``not`` inside one another."""
MAX_ITEMS = 500
"""Values of one list."""
LONG_NUMBER = 8
"""Characters of a number; a longer fraction is rounded where it is shown."""
MAX_TOP = 100_000
"""Neighbours of one ``near``."""

FIELDS = ("label", "prediction", "correct", "loss", "target", "id")
"""What a bundle itself says of an example. As a bare word on the right of a sign they mean the
column, so that ``label != prediction`` works; other columns stand in backticks there."""

KEYWORDS = ("and", "or", "not", "in", "between", "contains", "tagged", "near", "top")
WITHIN = "within"
"""Means something only after the examples of a ``near``: elsewhere it is a word like any other, as
it was before there was this one."""
SIGNS = ("=", "!=", "<=", ">=", "<", ">")
_WRITTEN = {"&": "and", "|": "or", "!": "not", "~": "not"}
"""Signs of programming languages, and what a rule says instead."""


class RuleError(InputError):
    """A rule cannot be read or does not fit the bundle.

    ``at`` is the position in the text, counted from 0, or None; ``expected`` names the kinds of
    word that could have stood there; ``unknown`` says what has no such name: ``column``, ``tag`` or ``id``.
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str | None = None,
        at: int | None = None,
        expected: Iterable[str] = (),
        columns: Iterable[str] = (),
        unknown: str = "",
    ):
        self.problem, self.at, self.expected = problem, at, tuple(expected)
        self.unknown = unknown
        text = problem
        if source is not None and at is not None:
            text = f"rule, position {at + 1}: {problem}\n{_pointed(source, at)}"
        known = list(columns)
        if known:
            shown = ", ".join(map(name_text, known[:40]))
            text += f"\nColumns: {shown}" + (f" and {len(known) - 40} more." if known[40:] else ".")
        super().__init__(text)


def _pointed(source: str, at: int) -> str:
    """At most 76 signs of the rule around a position, and a caret below it."""
    start = max(0, at - 50)
    piece = re.sub(r"\s", " ", source[start : start + 76])
    lead = "  …" if start else "  "
    return f"{lead}{piece}\n{' ' * (len(lead) + at - start)}^"


@dataclass(frozen=True)
class Name:
    """A column."""

    name: str
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True)
class Value:
    """A constant, spelled as it was written: ``007`` is the number 7 and the text "007"."""

    raw: str
    number: bool = False
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True)
class Compare:
    column: Name
    sign: str
    right: Value | Name


@dataclass(frozen=True)
class OneOf:
    column: Name
    values: tuple[Value, ...]
    negated: bool = False


@dataclass(frozen=True)
class Between:
    """Borders included."""

    column: Name
    low: Value
    high: Value
    negated: bool = False


@dataclass(frozen=True)
class Contains:
    """Every word of the query occurs in the text, in any order."""

    column: Name
    words: Value
    negated: bool = False


@dataclass(frozen=True)
class Tagged:
    tag: Value


@dataclass(frozen=True)
class Near:
    """The ``top`` examples closest to any of the chosen ones, these included.

    With ``within`` they are the closest of those that it holds for, and of no others.
    """

    ids: tuple[Value, ...]
    top: int = 50
    within: Rule | None = None
    at: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True)
class Not:
    rule: Rule


@dataclass(frozen=True)
class And:
    """Two or more rules, none of them an ``And``."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Or:
    """Two or more rules, none of them an ``Or``."""

    rules: tuple[Rule, ...]


Rule = Compare | OneOf | Between | Contains | Tagged | Near | Not | And | Or


def to_text(rule: Rule) -> str:
    """The rule as canonical text: ``parse(to_text(rule)) == rule``."""
    match rule:
        case Compare(column, sign, right):
            other = name_text(right.name) if isinstance(right, Name) else value_text(right)
            if isinstance(right, Name) and right.name not in FIELDS:
                other = _quoted(right.name, "`")
            return f"{name_text(column.name)} {sign} {other}"
        case OneOf(column, values, negated):
            return f"{_subject(column, negated)} in ({', '.join(map(value_text, values))})"
        case Between(column, low, high, negated):
            borders = f"{value_text(low)} and {value_text(high)}"
            return f"{_subject(column, negated)} between {borders}"
        case Contains(column, words, negated):
            return f"{_subject(column, negated)} contains {value_text(words)}"
        case Tagged(tag):
            return f"tagged {value_text(tag)}"
        case Near(ids, top, within):
            among = "" if within is None else f" {WITHIN} ({to_text(within)})"
            return f"near {', '.join(map(value_text, ids))} top {top}{among}"
        case Not(inner):
            return f"not {_inside(inner)}"
        case And(rules):
            return " and ".join(map(_inside, rules))
        case Or(rules):
            return " or ".join(
                to_text(one) if isinstance(one, And) else _inside(one) for one in rules
            )


def _inside(rule: Rule) -> str:
    return f"({to_text(rule)})" if isinstance(rule, And | Or) else to_text(rule)


def _subject(column: Name, negated: bool) -> str:
    return name_text(column.name) + (" not" if negated else "")


def name_text(name: str) -> str:
    """A column as it is written in a rule."""
    plain = WORD.fullmatch(name) and not NUMBER.fullmatch(name) and name.lower() not in KEYWORDS
    return name if plain else _quoted(name, "`")


def value_text(value: Value) -> str:
    """A constant as it is written in a rule."""
    return value.raw if value.number else _quoted(value.raw, '"')


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, 2 * mark) + mark


def for_the_eye(rule: str) -> str:
    """A rule as it is shown: long fractions in four significant digits. What counts is the rule itself."""
    try:
        tokens = read_tokens(rule)
    except RuleError:
        return rule
    for token in reversed(tokens):
        if token.kind == "number" and len(token.text) > LONG_NUMBER and "." in token.text:
            rule = f"{rule[: token.at]}{float(token.text):.4g}{rule[token.end :]}"
    return rule


# --- words and signs ------------------------------------------------------------------------------

WORD = re.compile(r"\w+(?:[.\-]\w+)*")
NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?!\w|[.\-]\w)")
_SIGN = re.compile(r"!=|<=|>=|==|[=<>(),]")
_QUOTED = re.compile(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|`(?:[^`]|``)*`")


@dataclass(frozen=True)
class Token:
    """``kind`` is ``word``, ``number``, ``text``, ``name`` (in backticks), ``sign`` or ``end``."""

    kind: str
    text: str
    at: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, in any case."""
        return self.kind == "word" and self.text.lower() in words

    def is_sign(self, *signs: str) -> bool:
        return self.kind == "sign" and self.text in signs


def read_tokens(source: str) -> list[Token]:
    """The words and signs of a rule, an ``end`` last."""
    if not isinstance(source, str):
        raise RuleError(f"a rule must be text: got {type(source).__name__}.")
    if len(source) > MAX_LENGTH:
        raise RuleError(f"a rule may have {MAX_LENGTH:,} characters: got {len(source):,}.")
    tokens: list[Token] = []
    at = 0
    while at < len(source):
        if source[at].isspace():
            at += 1
            continue
        token = _token(source, at)
        tokens.append(token)
        at = token.end
    return [*tokens, Token("end", "", len(source), len(source))]


def _token(source: str, at: int) -> Token:
    if found := _QUOTED.match(source, at):
        mark, body = found[0][0], found[0][1:-1]
        kind = "name" if mark == "`" else "text"
        return Token(kind, body.replace(2 * mark, mark), at, found.end())
    if found := NUMBER.match(source, at):
        if float(found[0]) in (float("inf"), float("-inf")):
            raise RuleError(f"the number {found[0]} is too large.", source=source, at=at)
        return Token("number", found[0], at, found.end())
    if found := WORD.match(source, at):
        return Token("word", found[0], at, found.end())
    if found := _SIGN.match(source, at):
        return Token("sign", "=" if found[0] == "==" else found[0], at, found.end())
    if source[at] in "\"'`":
        raise RuleError(
            f"the {source[at]} that opens here is never closed.",
            source=source,
            at=at,
            expected=("open name",) if source[at] == "`" else ("open text",),
        )
    instead = _WRITTEN.get(source[at])
    raise RuleError(
        f"{source[at]!r} means nothing here. "
        + (
            f"Write '{instead}'."
            if instead
            else "Put names in backticks and text in quotation marks."
        ),
        source=source,
        at=at,
    )
