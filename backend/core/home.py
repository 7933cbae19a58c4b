"""Where Errorscope keeps bundles, results and tags on this machine."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def home_folder(home: str | os.PathLike[str] | None = None) -> Path:
    """Folder of everything Errorscope stores, created if absent.

    The argument wins, then ``ERRORSCOPE_HOME``, then ``.errorscope`` beside ``app.py``.
    Below it: ``bundles/`` (imported bundles), ``cache/`` (results), ``uploads/`` (files not yet
    imported), ``errorscope.sqlite`` (tags and events).
    """
    path = Path(home or os.environ.get("ERRORSCOPE_HOME") or PROJECT / ".errorscope")
    path = path.expanduser().resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path
