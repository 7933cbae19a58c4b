"""Who is signed in, who did what, out with them, and all of it to another database: for whoever runs the server."""

from __future__ import annotations

import contextlib
import csv
import io
import shlex
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from backend.bundle import give_to, list_bundles, rename_bundle
from backend.cache import Cache
from backend.cli.bundles import digest_named
from backend.cli.report import (
    Report,
    StderrProgress,
    aligned,
    check_target,
    plain,
    whoami,
    write_file,
)
from backend.core.errors import InputError
from backend.core.plural import counted
from backend.export.cells import neutralise
from backend.store import Erased, Event, SignIn, Store, move_database
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
            ended = store.end_sign_ins_of(key, author=whoami())
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
        done = store.erase(
            key,
            author=whoami(),
            mail=options.mail,
            spellings=options.spelling,
            also_text=options.also_text,
        )
    owned = give_to(key, done.pseudonym.key, options.home)
    cache = Cache(home=options.home)
    for digest in done.bundles:
        cache.drop(digest)
    called = _bundles_called(done, options)
    data = {
        "pseudonym": done.pseudonym.name,
        "key": done.pseudonym.key,
        "events": done.events,
        "bundles": owned,
        "replaced_in_texts": done.replaced,
        "texts": [plain(dict(zip(COLUMNS, _cells(one), strict=True))) for one in done.texts],
        "names_of_bundles": called,
    }
    lines = [
        f"{options.person} is {done.pseudonym.name} now, in {done.events:,} events; {owned} bundles of "
        "theirs stay."
    ]
    if options.also_text:
        lines.append(
            f"The name was replaced in {counted(done.replaced, 'text')} (tags, names, notes, "
            f"sentences) and in the names of {counted(len(called), 'bundle')}."
        )
    elif done.texts or called:
        rows = [[one.seq, one.bundle[:12], one.author, one.summary] for one in done.texts[:PRINTED]]
        rows += [
            ["", digest[:12], "", f"the bundle is called '{name}'"]
            for digest, name in called.items()
        ]
        lines.append(
            f"The name still stands in {counted(len(done.texts) + len(called), 'text')} that people wrote; "
            "--also-text replaces it there, under the pseudonym's key:\n"
            + aligned(rows, ["number", "bundle", "name", "what"])
            + f"\n\npython -m backend erase {shlex.quote(done.pseudonym.key)} --also-text "
            + " ".join(f"--spelling {shlex.quote(one)}" for one in done.searched)
        )
    else:
        lines.append("It stands in no text that people wrote.")
    lines.append(
        "Not looked at are what the bundles themselves hold (columns, texts, pictures), files that left, "
        "and back-ups."
    )
    return Report(data, "\n\n".join(lines))


def _bundles_called(done: Erased, options: Namespace) -> dict[str, str]:
    """Digest -> name of the bundles that are called after an erased person, renamed where asked to."""
    named: dict[str, str] = {}
    for info in list_bundles(options.home):
        name = done.without_name(info.name)
        if name != info.name:
            named[info.digest] = name if options.also_text else info.name
            if options.also_text:
                rename_bundle(info.digest, name, options.home)
    return named


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


def move(options: Namespace) -> Report:
    """Move tags, sharing and sign-ins to an empty database.

    Raises
    ------
    InputError
        If that holds something already, or is the one they are in.
    """
    moved = move_database(options.to, options.origin, options.home, progress=StderrProgress())
    rows = ", ".join(f"{name} {count:,}" for name, count in moved.rows.items())
    return Report(
        asdict(moved),
        f"{counted(sum(moved.rows.values()), 'row')} moved from {moved.origin} to {moved.target}, every value "
        f"compared ({rows}).\nName it in ERRORSCOPE_DATABASE and start the server. {moved.origin} was left as "
        "it was; what is written there from now on stays there.",
    )
