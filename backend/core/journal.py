"""What happens on a server, one line each, for whoever runs it.

A line names nobody, and nothing that is anybody's: events and their facts are words of this program,
numbers and shortened digests. Only a server writes them; the command line and workers do not.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from datetime import UTC, datetime

SETTING = "ERRORSCOPE_LOG"
DIGITS = 12
"""Digits of a digest that a line has."""

log = logging.getLogger("errorscope")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_DIGEST = re.compile(r"[0-9a-f]{12,}")


def tell(event: str, **facts: str | float | None) -> None:
    """Write down that something happened.

    Parameters
    ----------
    event : str
        What it was.
    **facts : str, number or None
        None is left out, a digest is shortened, and "?" stands for any other text that is not a word.
    """
    plain = {name: _plain(value) for name, value in facts.items() if value is not None}
    log.info(event, extra={"facts": plain})


def begin() -> None:
    """Write what happens to stderr from now on, as JSON where ``ERRORSCOPE_LOG`` is ``json``."""
    if not any(isinstance(one, _Lines) for one in log.handlers):
        log.addHandler(_Lines())
        log.setLevel(logging.INFO)


class _Lines(logging.Handler):
    """Writes a line to stderr for each event; a broken stderr stops no server."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one event."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts = getattr(record, "facts", {})
        if os.environ.get(SETTING, "").strip().lower() == "json":
            line = json.dumps({"time": when, "event": record.getMessage(), **facts})
        else:
            told = (f"{name}={value}" for name, value in facts.items())
            line = " ".join((when, record.getMessage(), *told))
        with contextlib.suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)


def _plain(value: str | float) -> str | float:
    if isinstance(value, float):
        return round(value, 3)
    if not isinstance(value, str):
        return value
    if _DIGEST.match(value):
        return value[:DIGITS]
    return value if _WORD.fullmatch(value) else "?"
