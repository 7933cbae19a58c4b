"""What the command line does, as events of the log under the name of the operating system's user."""

from __future__ import annotations

import contextlib
import getpass
import sys
from argparse import Namespace

from backend.bundle import Bundle, owner_of
from backend.core.errors import BackendError
from backend.store import Store


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
    """Write down what was done with a bundle, if it is imported.

    Where the database cannot be written to a line on stderr says so: what was asked for is done.
    """
    if owner_of(digest, home) is None:
        return
    try:
        with contextlib.closing(Store(home=home)) as store:
            store.note(digest, kind, author=whoami(), what=what)
    except BackendError as error:
        print(f"note: not written down in the log: {error}", file=sys.stderr)
