"""Text cells that a spreadsheet must not run as formulas, and the way back.

A cell whose first character, after blanks and quotation marks, is one that OWASP lists ("CSV
Injection": ``=``, ``+``, ``-``, ``@``, their full-width forms, tab, carriage return, line feed)
gets an apostrophe in front. So does every cell that starts with an apostrophe already: an
apostrophe in front then always means "one was added", and taking it off is exact.
"""

from __future__ import annotations

import re

_RISKY = re.compile(r"'|[\s\"'\u200b\ufeff]*[=+\-@＝＋－＠]|[\t\r\n]")


def neutralise(cell: str) -> str:
    """``cell``, with an apostrophe in front where a spreadsheet could run it.

    Examples
    --------
    >>> neutralise("=1+1"), neutralise("'tis"), neutralise("harmless = yes")
    ("'=1+1", "''tis", 'harmless = yes')
    """
    return f"'{cell}" if _RISKY.match(cell) else cell


def restore(cell: str) -> str:
    """The cell that ``neutralise`` was given.

    Examples
    --------
    >>> restore("'=1+1"), restore("''tis"), restore("harmless = yes")
    ('=1+1', "'tis", 'harmless = yes')
    """
    return cell.removeprefix("'")
