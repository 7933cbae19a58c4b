"""Who is signed in, and out with them: for whoever runs the server."""

from __future__ import annotations

import contextlib
import time
from argparse import Namespace
from datetime import UTC, datetime

from backend.cli.report import Report, aligned
from backend.core.errors import InputError
from backend.store import SignIn, Store


def sign_ins(options: Namespace) -> Report:
    """The sign-ins that are known, the latest first; ends all of one person's where asked to.

    Raises
    ------
    InputError
        If nobody of that name or key has signed in, or several people have the name.
    """
    with contextlib.closing(Store(home=options.home)) as store:
        known = store.sign_ins()
        if options.end is not None:
            key = _person(known, options.end)
            ended = store.end_sign_ins_of(key)
            return Report(
                {"key": key, "ended": ended},
                f"{ended} open sign-in{'s' * (ended != 1)} of {options.end} ended, and any cookie of "
                "theirs that was issued before now.",
            )
    rows = [[one.name, one.key, _day(one.began), _day(one.ended)] for one in known]
    table = aligned(rows, ["name", "key", "since", "ended"])
    return Report(
        {"sign_ins": [vars(one) for one in known], "now": time.time()},
        table if rows else "Nobody has signed in yet.",
    )


def _person(known: list[SignIn], asked: str) -> str:
    """The key of the person who is meant by a name or a key."""
    keys = {one.key for one in known if asked in (one.key, one.name)}
    if len(keys) == 1:
        return keys.pop()
    if not keys:
        raise InputError(f"nobody called {asked!r} has signed in. See: python -m backend sign-ins.")
    raise InputError(
        f"{len(keys)} people are called {asked!r}: name one by key, which begins with @. "
        f"Theirs are {', '.join(sorted(keys))}."
    )


def _day(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(" ", "minutes")
