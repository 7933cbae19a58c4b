"""Who is signed in, who did what, and out with them: for whoever runs the server."""

from __future__ import annotations

import contextlib
import csv
import getpass
import io
import time
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime

from backend.bundle import give_to
from backend.cache import Cache
from backend.cli.bundles import digest_named
from backend.cli.report import Report, aligned, check_target, plain, write_file
from backend.core.errors import InputError
from backend.export.cells import neutralise
from backend.store import Event, SignIn, Store
from backend.store.authors import key_of

PRINTED = 50
"""Lines that are printed at most; a file has all."""

COLUMNS = (
    *(
        "number",
        "time",
        "bundle",
        "name",
        "key",
        "kind",
        "what",
        "tag",
        "examples",
        "target",
        "state",
    ),
)


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
            ended = store.end_sign_ins_of(key, author=_whoami())
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


def log(options: Namespace) -> Report:
    """What happened, the latest first, to a bundle or to all and the server; as CSV where asked to.

    Raises
    ------
    InputError
        If there is no such kind.
    """
    if options.out:
        check_target(options.out)
    digest = None if options.bundle is None else digest_named(options.bundle, options.home)
    with contextlib.closing(Store(home=options.home)) as store:
        person = "" if options.person is None else _somebody(store, options.person)
        found = store.history(
            digest,
            person=person,
            kind=options.kind or "",
            words=options.search,
            limit=None if options.out else PRINTED,
        )
    if options.out:
        write_file(options.out, _csv(found))
        data = {"out": str(options.out), "events": len(found)}
        return Report(data, f"{len(found):,} events written to {options.out}.")
    rows = [
        [one.seq, one.time[:19], one.bundle[:12], one.author, one.summary, _state(one)]
        for one in found
    ]
    table = aligned(rows, ["number", "time", "bundle", "name", "what", "state"])
    said = {"events": [plain(dict(zip(COLUMNS, _cells(one), strict=True))) for one in found]}
    return Report(said, table if rows else "Nothing of that happened.")


def erase(options: Namespace) -> Report:
    """Replace a person's name and key by a pseudonym in all events; their bundles are the pseudonym's.

    Results of the bundles they did something in are dropped, since reports among them have names.

    Raises
    ------
    InputError
        If nobody of that name or key did anything, or several people have the name.
    """
    with contextlib.closing(Store(home=options.home)) as store:
        key = _somebody(store, options.person)
        if not store.history(person=key, limit=1):
            raise InputError(
                f"nobody called {options.person!r} did anything here. See: python -m backend log."
            )
        done = store.erase(key, author=_whoami(), mail=options.mail)
    owned = give_to(key, done.pseudonym.key, options.home)
    cache = Cache(home=options.home)
    for digest in done.bundles:
        cache.drop(digest)
    return Report(
        {"pseudonym": done.pseudonym.name, "key": done.pseudonym.key, "events": done.events, "bundles": owned},
        f"{options.person} is {done.pseudonym.name} now, in {done.events:,} events; {owned} bundles of "
        "theirs stay. What they wrote in tags, notes and hypotheses stays as it is. Back-ups and files "
        "that left hold the name still.",
    )  # fmt: skip


def _csv(found: Sequence[Event]) -> bytes:
    """Events from the first to the last; text that a spreadsheet would run is made harmless."""
    held = io.StringIO(newline="")
    write = csv.writer(held)
    write.writerow(COLUMNS)
    for event in reversed(found):
        write.writerow([neutralise(str(cell)) for cell in _cells(event)])
    return held.getvalue().encode()


def _cells(event: Event) -> list[object]:
    return [
        *(event.seq, event.time, event.bundle, event.author, event.author_key, event.kind),
        *(event.summary, event.tag or "", event.n_ids, event.target or "", _state(event)),
    ]


def _state(event: Event) -> str:
    return "taken back" if event.undone else ""


def _whoami() -> str:
    """The name of who uses the command line, as the system knows it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user, as in some containers
        return "local"


def _somebody(store: Store, asked: str) -> str:
    """The key of who is meant: a key, the name of somebody who signed in, or a name as it was typed."""
    if asked.startswith("@"):
        return asked
    known = store.sign_ins()
    return _person(known, asked) if any(one.name == asked for one in known) else key_of(asked)


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
