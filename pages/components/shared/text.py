"""How numbers and foreign strings are written on screen."""

from __future__ import annotations

import math
import re
from html import escape

from backend.core import wording
from backend.core.plural import counted
from backend.core.wording import DASH, number, points, points_apart, times

__all__ = [
    "DASH",
    "cell",
    "chart",
    "count",
    "counted",
    "duration",
    "level",
    "number",
    "p_value",
    "percent",
    "plain",
    "points",
    "points_apart",
    "sentence",
    "share",
    "shorten",
    "size",
    "times",
]

LONG_CELL = 10
"""Characters of a number on a card; a longer one loses digits after its seventh."""
_DECIMAL = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=@/\"'])")
_LINK = re.compile(r"(?i)(?<=http:)(?=//)|(?<=https:)(?=//)|(?<=www)(?=\.)|(?=@)")
_JOINER = "\u2060"  # no width, no line break


def plain(text: object, *, limit: int = 80) -> str:
    """A string from the data, made safe for places that read Markdown, on one line.

    Addresses become links even where every sign is escaped, so a sign of no width parts them.
    """
    return _MARKDOWN.sub(r"\\\1", _LINK.sub(_JOINER, shorten(text, limit)))


def count(value: int) -> str:
    """A whole number with its thousands separated."""
    return f"{value:,}"


def sentence(words: str) -> str:
    """The words with a capital at their beginning."""
    return words[:1].upper() + words[1:]


def cell(written: str, *, limit: int = 60) -> str:
    """A cell of a user's column as a card shows it: as it came, with long decimals cut to seven digits."""
    if len(written) > LONG_CELL and _DECIMAL.fullmatch(written):
        return f"{float(written):.7g}"
    return shorten(written, limit)


def percent(share: float | None, *, digits: int | None = None) -> str:
    """A fraction as a percentage, in the digits of all sentences or in so many decimals."""
    if digits is None or share is None or not math.isfinite(share):
        return wording.percent(share)
    return f"{100 * share:.{digits}f}{wording.PERCENT}"


def share(value: float | None) -> str:
    """A fraction in a table, beside others: a percentage with one decimal, small ones as in sentences."""
    fine = value is not None and 0 < abs(value) < 0.001
    return percent(value) if fine else percent(value, digits=1)


def p_value(p: float | None) -> str:
    """A p-value of an exact test: three decimals and no leading zero; small ones as a bound."""
    return wording.p_value(p, None)


def level(value: float) -> str:
    """A level of significance or a probability as sentences have it, without a leading zero."""
    return f"{value:g}".removeprefix("0")


def duration(seconds: float) -> str:
    """A time somebody waits for, rounded as one would say it."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size(n_bytes: float) -> str:
    """Bytes in the unit one would say."""
    for unit in ("bytes", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"


def shorten(text: object, limit: int) -> str:
    """One line of at most ``limit`` characters, for places that take plain text."""
    line = wording.one_line(text)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def chart(text: object) -> str:
    """A string from the data for a chart, which reads some tags."""
    return escape(str(text))
