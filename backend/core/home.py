"""Where Errorscope keeps bundles, results and tags on this machine."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.core.errors import HomeError

_FULL = (errno.ENOSPC, errno.EDQUOT)

PROJECT = Path(__file__).resolve().parents[2]


def home_folder(home: str | os.PathLike[str] | None = None) -> Path:
    """Folder of everything Errorscope stores, created if absent.

    The argument wins, then ``ERRORSCOPE_HOME``, then ``.errorscope`` beside ``app.py``.
    Below it: ``bundles/`` (imported bundles), ``cache/`` (results), ``uploads/`` (files not yet
    imported), ``errorscope.sqlite`` (tags and events).

    Raises
    ------
    HomeError
        If it is not there and cannot be made.
    """
    path = Path(home or os.environ.get("ERRORSCOPE_HOME") or PROJECT / ".errorscope")
    path = path.expanduser().resolve()
    with written_in(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def cache_folder(home: str | os.PathLike[str] | None = None) -> Path:
    """Folder of results: ``ERRORSCOPE_CACHE``, else ``cache`` in the home folder."""
    if os.environ.get("ERRORSCOPE_CACHE"):
        return Path(os.environ["ERRORSCOPE_CACHE"]).expanduser().resolve()
    return home_folder(home) / "cache"


def stand_in_cache() -> str:
    """A folder among the temporary files, for results while the home folder cannot be written.

    Empty where it can be. The folder is this user's alone.
    """
    if os.environ.get("ERRORSCOPE_CACHE") or os.access(home_folder(), os.W_OK):
        return ""
    return tempfile.mkdtemp(prefix="errorscope-")


@contextmanager
def written_in(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Say what to do where the system refuses to write in ``folder``.

    Raises
    ------
    HomeError
        Instead of an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise HomeError(refused(error, folder)) from error


def is_full(error: BaseException | None) -> bool:
    """Whether a disk was full, wherever in the chain of causes that is said."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def refused(error: OSError, folder: str | os.PathLike[str]) -> str:
    """Why a folder cannot be written, and what to do."""
    if is_full(error):
        return (
            f"the disk of {os.fspath(folder)} is full. Free some space there, then try again, or "
            "name a folder on another disk in ERRORSCOPE_HOME."
        )
    return (
        f"{os.fspath(folder)} cannot be written ({error.strerror or error}). Check that the folder "
        "belongs to you and is not read-only, or name another one in ERRORSCOPE_HOME."
    )
