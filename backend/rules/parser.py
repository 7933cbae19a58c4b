"""From the text of a rule to its tree, by precedence: or, and, not, then single conditions."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import replace

from backend.rules.syntax import (
    FIELDS,
    KEYWORDS,
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_TOP,
    SIGNS,
    WITHIN,
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
    Token,
    Value,
    read_tokens,
)


def parse(text: str, columns: Iterable[str] | None = None) -> Rule:
    """Read a rule.

    Parameters
    ----------
    text : str
        At most 4000 characters, 40 levels of parentheses and ``not``.
    columns : iterable of str, optional
        Names that exist. With them a name that does not is refused here, and every refusal lists
        them; without them ``evaluate`` does it.

    Returns
    -------
    Rule
        A frozen tree. Equal rules are equal trees, wherever their blanks are.

    Raises
    ------
    RuleError
        Says what was expected and points at the place with a caret.

    Examples
    --------
    >>> parse("loss > 2 and not label = Shirt") == parse("(loss > 2) AND NOT label = 'Shirt'")
    True
    >>> parse("loss >")
    Traceback (most recent call last):
    ...
    backend.rules.syntax.RuleError: rule, position 7: expected a value, got the end.
      loss >
            ^
    """
    known = None if columns is None else tuple(columns)
    try:
        return Parser(text, read_tokens(text), known).whole()
    except RuleError as error:
        if known is None or error.at is None:
            raise
        raise RuleError(
            error.problem,
            source=text,
            at=error.at,
            expected=error.expected,
            columns=known,
            unknown=error.unknown,
        ) from None


class Parser:
    """One pass over the tokens; ``column`` is the last column met, for completion.

    ``near_end`` is the place of the token after the last ``near`` that says nothing of ``within``.
    """

    def __init__(self, source: str, tokens: list[Token], columns: tuple[str, ...] | None) -> None:
        self.source, self.tokens, self.columns = source, tokens, columns
        self.column = ""
        self.near_end = -1
        self._at = 0
        self._depth = 0

    def whole(self) -> Rule:
        rule = self._any()
        if self._now.kind != "end":
            raise self._wrong("'and', 'or' or the end", "join", advice=self._advice())
        return rule

    def _advice(self) -> str:
        """What to do about a word that follows one that was not in quotation marks."""
        bare = self.tokens[self._at - 1].kind == "word" and self._now.kind in ("word", "number")
        return " Put text of several words in quotation marks." if bare else ""

    @property
    def _now(self) -> Token:
        return self.tokens[self._at]

    def _take(self) -> Token:
        self._at += 1
        return self.tokens[self._at - 1]

    def _wrong(self, wanted: str, *expected: str, advice: str = "") -> RuleError:
        now = self._now
        got = "the end" if now.kind == "end" else f"'{now.text[:40]}'"
        return RuleError(
            f"expected {wanted}, got {got}.{advice}",
            source=self.source,
            at=now.at,
            expected=expected,
        )

    def _any(self) -> Rule:
        return self._joined("or", self._all, Or)

    def _all(self) -> Rule:
        return self._joined("and", self._single, And)

    def _joined(self, word: str, part: Callable[[], Rule], kind: type[And] | type[Or]) -> Rule:
        parts = [part()]
        while self._now.is_word(word):
            self._take()
            parts.append(part())
        if len(parts) == 1:
            return parts[0]
        flat: list[Rule] = []
        for one in parts:  # (a and b) and c is a and b and c
            flat += one.rules if isinstance(one, kind) else (one,)
        return kind(tuple(flat))

    def _single(self) -> Rule:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise RuleError(
                f"parentheses and 'not' may go {MAX_DEPTH} levels deep.",
                source=self.source,
                at=self._now.at,
            )
        rule = self._condition()
        self._depth -= 1
        return rule

    def _condition(self) -> Rule:
        now = self._now
        if now.is_word("not"):
            self._take()
            return Not(self._single())
        if now.is_sign("("):
            self._take()
            rule = self._any()
            if not self._now.is_sign(")"):
                raise self._wrong("'and', 'or' or ')'", "join", "close")
            self._take()
            return rule
        if now.is_word("tagged"):
            self._take()
            if self._now.kind not in ("text", "word", "number"):
                raise self._wrong("a tag in quotation marks", "tag")
            return Tagged(self._text())
        if now.is_word("near"):
            return self._near()
        return self._about(self._name())

    def _name(self) -> Name:
        now = self._now
        quoted = now.kind in ("name", "text")
        if not quoted and (now.kind != "word" or now.text.lower() in KEYWORDS):
            raise self._wrong("a column, 'not', 'tagged', 'near' or '('", "column")
        self._take()
        return self._known(Name(now.text, now.at))

    def _known(self, name: Name) -> Name:
        if self.columns is not None and name.name not in self.columns:
            raise RuleError(
                unknown_column(name.name, self.columns),
                source=self.source,
                at=name.at,
                unknown="column",
            )
        self.column = name.name
        return name

    def _about(self, column: Name) -> Rule:
        negated = self._now.is_word("not")
        if negated:
            self._take()
        now = self._now
        if now.is_sign(*SIGNS) and not negated:
            self._take()
            return Compare(column, now.text, self._right())
        if now.is_word("in"):
            self._take()
            return OneOf(column, self._list(), negated)
        if now.is_word("between"):
            self._take()
            low = self._value()
            if not self._now.is_word("and"):
                raise self._wrong("'and' and the upper border", "and")
            self._take()
            return Between(column, low, self._value(), negated)
        if now.is_word("contains"):
            self._take()
            if self._now.kind not in ("text", "word", "number"):
                raise self._wrong("words in quotation marks", "words")
            return Contains(column, self._text(), negated)
        if negated:
            raise self._wrong("'in', 'between' or 'contains'", "negated")
        raise self._wrong(f"one of {' '.join(SIGNS)}, 'in', 'between' or 'contains'", "operator")

    def _right(self) -> Value | Name:
        now = self._now
        if now.kind == "name" or (now.kind == "word" and now.text in FIELDS):
            self._take()
            subject = self.column
            name = self._known(Name(now.text, now.at))
            self.column = subject
            return name
        return self._value()

    def _value(self) -> Value:
        now = self._now
        if now.kind == "number":
            self._take()
            return Value(now.text, True, now.at)
        if now.kind == "text" or (now.kind == "word" and now.text.lower() not in KEYWORDS):
            self._take()
            return Value(now.text, False, now.at)
        raise self._wrong("a value", "value")

    def _text(self) -> Value:
        now = self._take()
        return Value(now.text, False, now.at)

    def _list(self) -> tuple[Value, ...]:
        if not self._now.is_sign("("):
            raise self._wrong("'(' and a list of values", "open")
        self._take()
        values = [self._value()]
        while self._now.is_sign(","):
            self._take()
            values.append(self._value())
            self._bound(values)
        if not self._now.is_sign(")"):
            raise self._wrong("',' or ')'", "close")
        self._take()
        return tuple(values)

    def _near(self) -> Near:
        at = self._take().at
        ids = [self._id()]
        while self._now.is_sign(","):
            self._take()
            ids.append(self._id())
            self._bound(ids)
        near = Near(tuple(ids), at=at)
        if self._now.is_word("top"):
            self._take()
            now = self._now
            if now.kind != "number" or not now.text.isdigit() or not 1 <= int(now.text) <= MAX_TOP:
                raise self._wrong(f"a whole number from 1 to {MAX_TOP:,}", "count")
            self._take()
            near = replace(near, top=int(now.text))
        if not self._now.is_word(WITHIN):
            self.near_end = self._now.at
            return near
        self._take()
        if not self._now.is_sign("("):
            raise self._wrong("'(' and a rule", "open")
        return replace(near, within=self._single())

    def _id(self) -> Value:
        now = self._now
        if now.kind in ("text", "number") or (
            now.kind == "word" and now.text.lower() not in KEYWORDS
        ):
            return self._text()
        raise self._wrong("the id of an example in quotation marks", "id")

    def _bound(self, values: list[Value]) -> None:
        if len(values) > MAX_ITEMS:
            raise RuleError(
                f"a list may have {MAX_ITEMS} values.", source=self.source, at=values[-1].at
            )


def unknown_column(name: str, columns: Iterable[str]) -> str:
    """The sentence about a column that does not exist."""
    close = difflib.get_close_matches(name, list(columns), n=1)
    return f"there is no column '{name[:80]}'." + (f" Did you mean '{close[0]}'?" if close else "")
