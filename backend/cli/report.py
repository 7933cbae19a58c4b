"""What a command says: a table for people, JSON for programs, progress on stderr, events in the log."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
import tempfile
import unicodedata
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backend.bundle import Bundle, owner_of
from backend.core.errors import BackendError, InputError
from backend.core.home import is_full
from backend.core.wording import one_line
from backend.store import Store

LONGEST = 60
"""Characters of a cell that are shown; JSON holds all of them."""


@dataclass(frozen=True)
class Report:
    """The answer of a command.

    ``data`` is what ``--json`` prints, ``text`` what people read.
    """

    data: dict[str, Any]
    text: str


def aligned(rows: Iterable[Sequence[Any]], header: Sequence[str] = ()) -> str:
    """Rows as columns of aligned text; columns of numbers to the right.

    >>> aligned([["coat", 12], ["shirt", 3]], ["value", "count"]).splitlines()
    ['value  count', 'coat      12', 'shirt      3']
    """
    given = [list(row) for row in rows]
    cells = [[*map(shown, row)] for row in given]
    table = [list(header), *cells] if header else cells
    if not table:
        return ""
    widths = [max(_width(row[column]) for row in table) for column in range(len(table[0]))]
    right = [
        all(isinstance(row[column], (int, float, np.number)) for row in given) and bool(given)
        for column in range(len(widths))
    ]
    lines = []
    for row in table:
        parts = []
        for cell, width, numbers in zip(row, widths, right, strict=True):
            blank = " " * (width - _width(cell))
            parts.append(blank + cell if numbers else cell + blank)
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def listed(facts: Iterable[tuple[str, Any]]) -> str:
    """Names and values below each other, the values in full."""
    given = [(name, shown(value, longest=10_000)) for name, value in facts]
    width = max(_width(name) for name, _ in given)
    return "\n".join(f"{name}{' ' * (width - _width(name))}  {value}" for name, value in given)


def shown(value: Any, *, longest: int = LONGEST) -> str:
    """A value as people read it: four digits, a dash for what is missing, one line."""
    if (
        value is None
        or value is pd.NA
        or (isinstance(value, (float, np.floating)) and value != value)
    ):
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    text = printable(one_line(value))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def printable(text: str) -> str:
    """Text that cannot steer a terminal: names in a bundle come from anybody."""
    return "".join("�" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text)


def plain(value: Any) -> Any:
    """A value as JSON holds it: arrays as lists, tables as lists of rows, NaN as null."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def whoami() -> str:
    """The name of who uses the command line, as the system knows it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user, as in some containers
        return "local"


def taken_out(bundle: Bundle, what: str, options: Namespace) -> None:
    """Write down that something of a bundle was written to a file, in words for the log."""
    note(bundle.digest, "exported", what, home=options.home)


def note(digest: str, kind: str, what: str = "", *, home: str | None = None) -> None:
    """Write down what was done with a bundle, if it is imported, under the system's user.

    Where the database cannot be written to a line on stderr says so: what was asked for is done.
    """
    if owner_of(digest, home) is None:
        return
    try:
        with contextlib.closing(Store(home=home)) as store:
            store.note(digest, kind, author=whoami(), what=what)
    except BackendError as error:
        print(f"note: not written down in the log: {error}", file=sys.stderr)


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse a file name that cannot be written, before any work is done for it."""
    target = Path(path)
    if not target.parent.is_dir():
        raise InputError(f"the folder of '{target}' must exist: make it, or write elsewhere.")
    if target.is_dir():
        raise InputError(f"'{target}' must be a file name: it is a folder.")


def write_file(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file whole or not at all: a temporary name first, then renamed.

    Raises
    ------
    InputError
        If its folder is not there or its disk is full.
    """
    check_target(path)
    try:
        return _written(Path(path), data)
    except OSError as error:
        if not is_full(error):
            raise
        raise InputError(
            f"{path} was not written, since its disk is full. Free some space there, or name a file "
            "on another disk."
        ) from error


def _written(target: Path, data: bytes) -> Path:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


class StderrProgress:
    """Progress on the error stream: one rewritten line on a terminal, few lines in a log."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._last = ""

    def __call__(self, fraction: float, message: str) -> None:
        line = f"{100 * fraction:3.0f}\u00a0%  {message}"
        if self._tty:
            sys.stderr.write(f"\r{line:<70}" + ("\n" if fraction >= 1 else ""))
        elif message != self._last:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
        self._last = message
