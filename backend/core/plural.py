"""Counts with their noun, so that no message says "1 tests"."""

from __future__ import annotations


def counted(value: int, one: str, many: str = "") -> str:
    """A whole number and its noun.

    Parameters
    ----------
    value : int
    one : str
        The noun for one.
    many : str
        The noun for any other number; ``one`` with an s by default.

    Returns
    -------
    str
        Thousands separated: "1 test", "0 tests", "1,200 tests", "2 classes".
    """
    return f"{value:,} {one if value == 1 else many or one + 's'}"
