"""How values, numbers and ranges are said in a name: short, on one line."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

_JOINERS = "\u200c\u200d"  # of no width, but part of words and of emoji


def clean(value: Any) -> str:
    """A value as text on one line: blanks in one, signs that cannot be seen left out.

    Yes and no for booleans, no ``.0`` for whole numbers.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return plain_number(value) if math.isfinite(value) else ""
    text = unicodedata.normalize("NFC", str(value))
    signs = (sign if sign in _JOINERS or sign.isprintable() else _blank(sign) for sign in text)
    return " ".join("".join(signs).split())


def _blank(sign: str) -> str:
    return "" if unicodedata.category(sign) in ("Cf", "Cs", "Cn", "Co") else " "


def cut(text: str, limit: int) -> str:
    """At most so many characters, between words where that keeps half of them."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    words = kept.rpartition(" ")[0]
    kept = words if len(words) >= limit / 2 and text[limit - 1] != " " else kept
    return f"{kept.rstrip()}…"


def listed(texts: Sequence[str], last: str = "or") -> str:
    """ "a", "a or b", "a, b or c" """
    return f" {last} ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def quoted(text: str, limit: int) -> str:
    """The beginning of a text in quotation marks."""
    return f"“{cut(text, limit)}”"


def plain_number(value: float, digits: int = 6) -> str:
    """A number with so many significant digits at most, a whole one of a million or less exactly."""
    if value == 0:
        return "0"
    size = abs(value)
    if value == round(value) and size <= 1e6:
        text = str(round(size))
    elif 1e-4 <= size < 1e12:
        rounded = float(f"{size:.{digits - 1}e}")
        decimals = max(0, digits - 1 - math.floor(math.log10(size)))
        text = f"{rounded:.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{size:.{digits - 1}e}"
        mantissa, exponent = text.split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"−{text}" if value < 0 else text


def said_range(low: float, high: float, *, first: bool, last: bool, spread: float) -> str:
    """ "17 to 24", or "≤ 24" where nothing is lower and "≥ 60" where nothing is higher.

    ``spread`` is what the column spans: of a one-sided range it says which digits count.
    """
    if low == high and not (first or last):
        return plain_number(low)
    step = spread / 20 if first or last else (high - low) / 4
    if first:
        return f"≤ {_to_step(high, step)}"
    if last:
        return f"≥ {_to_step(low, step)}"
    return f"{_to_step(low, step)} to {_to_step(high, step)}"


def _to_step(value: float, step: float) -> str:
    """A number with the digits that matter to somebody who thinks in such steps, two at least."""
    if value == round(value) or step <= 0 or not math.isfinite(step):
        return plain_number(value)
    decimals = max(math.ceil(-math.log10(step)), 1 - math.floor(math.log10(abs(value))), 0)
    return plain_number(round(value, decimals), 15)


def size_of(value: float) -> str:
    """The size of a number with two significant digits: "12", "1.9", "0.043"."""
    return plain_number(float(f"{abs(value):.1e}"))
