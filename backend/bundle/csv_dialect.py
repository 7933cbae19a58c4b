"""How a CSV file is written: its separator, found from several lines with quotes respected."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from itertools import islice

from backend.bundle.faults import refuse

MARKS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
SAMPLE_BYTES = 2**16
SAMPLE_LINES = 30
_SAID = re.compile(rb"\A\"?sep=(.)\"?[ \t,;|]*(?:\r\n|\r|\n)", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How the lines of a CSV file are cut.

    Parameters
    ----------
    mark : str
        The separator.
    names : list of str
        Cells of the first line.
    skipped : int
        Bytes before that line: a line ``sep=;``, as spreadsheets write it.
    width : int
        Cells of the first line, or of the lines below where those agree on another number.
    """

    mark: str
    names: list[str]
    skipped: int
    width: int

    @property
    def told(self) -> str:
        """The separator in words."""
        return MARKS.get(self.mark, repr(self.mark))


def sniff(data: bytes, file: str) -> Dialect:
    """How this UTF-8 text is cut into cells.

    A line ``sep=X`` at the top decides. Else the separator is the one with which the first lines
    have the same number of cells, two or more, quotes respected; of several the one that makes
    most cells, and in a ``.tsv`` a tab. A file of one column has no separator: a comma then.
    """
    said = _SAID.match(data[:200])
    if said is not None:
        mark = said[1].decode("latin-1")
        lines = _lines(data[said.end() :], mark)
        return _dialect(mark, lines, said.end())
    found = []
    for order, mark in enumerate(MARKS):
        lines = _lines(data, mark)
        width = len(lines[0]) if lines else 0
        below = [len(line) for line in lines[1:]]
        agree = sum(count == width for count in below) / max(1, len(below))
        if width > 1:
            tab_file = mark == "\t" and file.lower().endswith(".tsv")
            found.append((tab_file, agree == 1, agree > 0.5, width, -order, mark, lines))
    if not found:
        return _dialect(",", _lines(data, ","), 0)
    *_, mark, lines = max(found, key=lambda one: one[:5])
    return _dialect(mark, lines, 0)


def _lines(data: bytes, mark: str) -> list[list[str]]:
    """Cells of the first lines; the last of a cut sample is left out."""
    sample = data[:SAMPLE_BYTES]
    text = io.StringIO(sample.decode("utf-8", "ignore"), newline="")
    try:
        lines = list(islice(csv.reader(text, delimiter=mark), SAMPLE_LINES + 1))
    except (csv.Error, ValueError, TypeError):
        return []
    if len(lines) > 1 and (len(lines) > SAMPLE_LINES or len(sample) < len(data)):
        lines.pop()
    return [line for line in lines if line]


def _dialect(mark: str, lines: list[list[str]], skipped: int) -> Dialect:
    names = lines[0] if lines else []
    widths = {len(line) for line in lines[1:]}
    width = widths.pop() if len(widths) == 1 else len(names)
    return Dialect(mark, names, skipped, width)


def check_quotes(data: bytes, mark: str, file: str) -> None:
    """Raise ``BundleError`` when a quoted cell does not end, with the line it begins in.

    Quotes come in pairs where every quoted cell ends, so only an odd number is looked into.
    """
    if data.count(b'"') % 2 == 0:
        return
    cell = re.compile(rb"(?:\A|[\r\n" + re.escape(mark.encode()) + rb'])"[^"]*+(?:""[^"]*+)*+("?)')
    for found in cell.finditer(data):
        if not found[1]:
            start = found.start()
            line = data.count(b"\n", 0, data.index(b'"', start)) + 1
            raise refuse(
                file,
                "",
                max(0, line - 2),
                f"a quotation mark opens a cell in line {line} and is never closed.",
                'Close it, or write a quotation mark inside a cell twice ("").',
            )
