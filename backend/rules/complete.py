"""What could be written next: suggestions while a rule is typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from backend.rules.parser import Parser
from backend.rules.syntax import (
    FIELDS,
    SIGNS,
    WITHIN,
    RuleError,
    Token,
    Value,
    name_text,
    read_tokens,
    value_text,
)

_LISTED = 50


def complete(
    text: str,
    cursor: int,
    columns: Mapping[str, Iterable[str]] | Iterable[str],
    tags: Iterable[str] = (),
) -> list[str]:
    """Words that may stand at the cursor.

    Parameters
    ----------
    text : str
        The rule so far; what follows the cursor does not matter.
    cursor : int
        Position in it, 0 to its length.
    columns : mapping or iterable of str
        Names of the columns, or each with its values, which may be read when they are asked for.
    tags : iterable of str

    Returns
    -------
    list of str
        At most 50, each replacing the word that the cursor ends (which may be empty), in the
        order columns, keywords. Empty where nothing can be suggested.

    Examples
    --------
    >>> complete("lo", 2, ["label", "loss"])
    ['loss']
    >>> complete("label = S", 9, {"label": ["Shirt", "Bag"]})
    ['"Shirt"']
    >>> complete("loss > 2 ", 9, ["loss"])
    ['and', 'or']
    """
    values = columns if isinstance(columns, Mapping) else dict.fromkeys(columns, ())
    before = text[: max(0, cursor)]
    try:
        tokens, partial = _split(before)
    except RuleError as error:
        if not error.expected or error.at is None:
            return []
        partial = before[error.at :]
        tokens = _ended(read_tokens(before[: error.at]))
    parser = Parser(before, tokens, None)
    try:
        parser.whole()
        expected: tuple[str, ...] = ("join",)
        if parser.near_end == tokens[-1].at:
            expected += (WITHIN,)
    except RuleError as error:
        if error.at is not None and error.at < tokens[-1].at:
            return []  # it is wrong further left
        expected = error.expected
    offered = _offered(expected, parser.column, values, list(tags))
    wanted = partial.lstrip("\"'`").lower()
    return [one for one in offered if one.lstrip('"`').lower().startswith(wanted)][:_LISTED]


def with_suggestion(rule: str, word: str) -> str:
    """The rule with its unfinished last word completed, or the word written after it.

    Parameters
    ----------
    rule : str
        As far as it is written.
    word : str
        One of those that ``complete`` offers at its end.

    Examples
    --------
    >>> with_suggestion("width > 2 and la", "label")
    'width > 2 and label'
    >>> with_suggestion('label = "Sh', '"Shirt"')
    'label = "Shirt"'
    """
    bare = word.lstrip("\"`'").lower()
    for at in range(len(rule) + 1):
        tail = rule[at:].lstrip("\"`'").lower()
        inside = at > 0 and (rule[at - 1].isalnum() or rule[at - 1] in "_\"`'")
        if bare.startswith(tail) and not (inside and tail):
            return rule[:at] + ("" if not inside or tail else " ") + word
    return f"{rule} {word}"


def _split(before: str) -> tuple[list[Token], str]:
    """The tokens before the word that the cursor touches, and that word."""
    tokens = read_tokens(before)
    last = tokens[-2] if len(tokens) > 1 else None
    touched = last is not None and last.end == len(before) and last.kind in ("word", "number")
    if last is None or not touched:
        partial = re.search(r"!$", before)
        return tokens, partial[0] if partial else ""
    return _ended(tokens[:-2], last.at), before[last.at :]


def _ended(tokens: list[Token], at: int | None = None) -> list[Token]:
    kept = [token for token in tokens if token.kind != "end"]
    at = at if at is not None else (tokens[-1].end if tokens else 0)
    return [*kept, Token("end", "", at, at)]


def _offered(
    expected: tuple[str, ...], column: str, values: Mapping[str, Iterable[str]], tags: list[str]
) -> list[str]:
    offered: list[str] = []
    for kind in expected:
        if kind == "column":
            offered += [*map(name_text, values), "not", "tagged", "near", "("]
        elif kind == "operator":
            offered += [*SIGNS, "in", "between", "contains", "not"]
        elif kind == "negated":
            offered += ["in", "between", "contains"]
        elif kind == "value":
            offered += [value_text(Value(str(one))) for one in values.get(column, ())]
            offered += [name for name in FIELDS if name in values and name != column]
        elif kind == "tag":
            offered += [value_text(Value(tag)) for tag in tags]
        else:
            words = {"join": ["and", "or"], "close": [")"], "open": ["("], "and": ["and"]}
            offered += words.get(kind, [kind] if kind == WITHIN else [])
    return offered
