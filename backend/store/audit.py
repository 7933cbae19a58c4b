"""The log for whoever answers for it: what happened, taking back what others did, erasing a person."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from backend.core.arrays import check_choice
from backend.core.content import TRAINING
from backend.core.errors import InputError
from backend.store.authors import Author, Who, author_of, key_of
from backend.store.database import events, grants, sign_ins
from backend.store.fold import Fold
from backend.store.keeper import LogKeeper, digest_of
from backend.store.log import AROUND, CHANGES, ERASURE, KINDS, SERVER, Event, clean_name
from backend.store.rows import event_of

AT_ONCE = 500
"""Events that are read in one go; their ids are packed, and unpacked only when asked for."""


_PSEUDONYM = re.compile("@?erased-([0-9a-f]{8})")


@dataclass(frozen=True)
class Erased:
    """What became of a person.

    Attributes
    ----------
    pseudonym : Author
        Who stands in the person's place now.
    events : int
        In how many events.
    bundles : tuple of str
        The bundles that those are of.
    texts : tuple of Event
        The events in whose words (tags, names, notes, sentences, rules) the name or address still
        stands, as they are now, the oldest first.
    replaced : int
        In how many events it was replaced in such words.
    searched : tuple of str
        The names and the address that were looked for there.
    """

    pseudonym: Author
    events: int
    bundles: tuple[str, ...]
    texts: tuple[Event, ...] = ()
    replaced: int = 0
    searched: tuple[str, ...] = ()

    def without_name(self, text: str) -> str:
        """A text with the pseudonym in place of what was looked for."""
        return _any_of(self.searched).sub(self.pseudonym.name, text) if self.searched else text


class Audit(LogKeeper):
    """The part of ``Store`` that shows and keeps who did what."""

    def note(self, bundle: Any, kind: str, *, author: Who, what: str = "") -> Event:
        """Write down what was done with a bundle, one of ``AROUND``; undo passes it by."""
        check_choice("kind", kind, AROUND)
        payload = {"what": clean_name("what was done", what, longest=200)} if what else {}
        return self._change(kind, bundle, author, payload=payload)

    def history(
        self,
        bundle: Any = None,
        *,
        person: str = "",
        kind: str = "",
        words: str = "",
        limit: int | None = None,
    ) -> list[Event]:
        """What happened to a bundle and its training examples, or to all and the server, the latest first.

        Parameters
        ----------
        person : str, optional
            Key of the one person whose events are wanted.
        kind : str, optional
            The one kind that is wanted.
        words : str, optional
            What the name or the summary must have, whatever the case of its letters.
        limit : int, optional
            How many at most; all by default.
        """
        wanted, found = words.casefold().split(), []
        for event in self._past(None if bundle is None else digest_of(bundle), person, kind):
            told = f"{event.author} {event.summary}".casefold()
            if all(word in told for word in wanted):
                found.append(event)
                if len(found) == limit:
                    break
        return found

    def people(self, bundle: Any) -> dict[str, str]:
        """Key -> latest name of everybody who did something with a bundle, in order of name."""
        columns = (events.c.author_key, events.c.author)
        query = sa.select(*columns, sa.func.max(events.c.seq).label("last"))
        query = query.where(_about(digest_of(bundle))).group_by(*columns)
        with self._reading() as connection:
            rows = sorted(connection.execute(query).all(), key=lambda row: row.last)
        named = {str(row.author_key or key_of(row.author)): row.author for row in rows}
        return dict(sorted(named.items(), key=lambda one: (one[1].casefold(), one[0])))

    def overrule(self, bundle: Any, seq: int, *, author: Who, back: bool = False) -> Event:
        """Take back a change, whoever made it, or bring it back; logged as this author's.

        Changes that were one step to their author go and come together. Whether the author may is
        decided in ``backend.access``.

        Raises
        ------
        InputError
            If there is no such change, or it is in that state already.
        """
        digest, who = digest_of(bundle), author_of(author)
        with self._writing() as connection:
            query = sa.select(events).where(self._of(digest), events.c.seq == int(seq))
            row = connection.execute(query.where(events.c.kind.in_(CHANGES))).one_or_none()
            if row is None:
                raise InputError(f"there is no change with the number {seq} in this bundle.")
            fold = self._advance(connection, digest)
            with self._lock:
                change = event_of(row, fold.undone)
            if change.undone is not back:
                raise InputError(
                    "it was brought back already." if back else "it was taken back already."
                )
            step = self._step(connection, change, fold, back)
            return self._turn(connection, "redo" if back else "undo", step, who)

    def erase(
        self,
        key: str,
        *,
        author: Who,
        mail: str = "",
        spellings: Iterable[str] = (),
        also_text: bool = False,
    ) -> Erased:
        """Replace a person's key and name by a pseudonym in all events; the events stay.

        Grants to the person go, open sign-ins end. What people wrote themselves (names of tags, notes,
        hypotheses) is searched for the person's names and address, as whole words, whatever the case
        of their letters; it is changed only on request. Other programs that run on this database take
        the new name up with their next look.

        Parameters
        ----------
        key : str
            Whom to erase; a pseudonym stays as it is, for a further look at texts.
        mail : str, optional
            The person's address, to erase it from what was shared by it.
        spellings : iterable of str
            Other ways to write the person's name in texts.
        also_text : bool
            Replace the name in texts, too. A tag that is called so has another name from then on, in
            its whole past.
        """
        key = clean_name("an author's key", key, longest=200)
        known = _PSEUDONYM.fullmatch(key)  # erased before, and asked for again because of texts
        mark = known[1] if known else secrets.token_hex(4)
        new = Author(f"erased person {mark}", f"{'@' if key[0] == '@' else ''}erased-{mark}")
        address = f"mail:{mail.strip().casefold()}" if mail.strip() else ""
        with self._writing() as connection:
            columns = events.c
            theirs = columns.author_key == key
            touched = set(
                connection.execute(sa.select(columns.bundle).where(theirs).distinct()).scalars()
            )
            names = set(
                connection.execute(sa.select(columns.author).where(theirs).distinct()).scalars()
            ) | {mail.strip(), *(clean_name("a spelling", one, longest=200) for one in spellings)}
            named = {"author": new.name, "author_key": new.key}
            count = connection.execute(events.update().where(theirs).values(named)).rowcount
            for old, fresh in ((key, new.key), (address, f"mail:{new.key[1:]}")):
                if old:
                    touched |= _rewrite(connection, old, fresh, new.name)
                    connection.execute(grants.delete().where(grants.c.grantee == old))
            _forget_sign_ins(connection, key, new)
            names -= {"", new.name}
            found = _reworded(connection, names, new.name, keep=not also_text)
            if also_text:
                touched |= {one.bundle for one in found}
            for bundle in sorted(touched):
                payload = {"name": new.name}
                self._append(connection, self._values(ERASURE, bundle, author, payload=payload))
        with self._lock:
            self._folds.clear()
        bundles = {one.removesuffix(TRAINING) for one in touched} - {SERVER}
        left, replaced = ((), len(found)) if also_text else (tuple(found), 0)
        return Erased(new, int(count), tuple(sorted(bundles)), left, replaced, tuple(sorted(names)))

    def _past(self, digest: str | None, person: str, kind: str) -> Iterator[Event]:
        """Events from the latest to the first, some at a time."""
        columns = events.c
        query = sa.select(events).order_by(columns.seq.desc()).limit(AT_ONCE)
        if digest is not None:
            query = query.where(_about(digest))
        if person:
            query = query.where(columns.author_key == person)
        if kind:
            query = query.where(columns.kind == check_choice("kind", kind, KINDS))
        if self._until is not None:
            query = query.where(columns.seq <= self._until)
        before: int | None = None
        while True:
            part = query if before is None else query.where(columns.seq < before)
            with self._reading() as connection:
                rows = connection.execute(part).all()
                folds: dict[str, Fold] = {
                    one: self._advance(connection, one)
                    for one in {row.bundle for row in rows} - {SERVER}
                }
            with self._lock:
                undone = {one: frozenset(fold.undone) for one, fold in folds.items()}
            for row in rows:
                yield event_of(row, undone.get(row.bundle, frozenset()))
            if len(rows) < AT_ONCE:
                return
            before = rows[-1].seq


def _about(digest: str) -> sa.ColumnElement[bool]:
    """Which events are about a bundle or its training examples."""
    return events.c.bundle.in_((digest, f"{digest}{TRAINING}"))


def _rewrite(connection: Connection, old: str, new: str, name: str) -> set[str]:
    """Replace a person in what events say of others; the bundles that those are about."""
    touched = set()
    query = sa.select(events.c.seq, events.c.bundle, events.c.payload)
    named = events.c.payload.contains(json.dumps(old)[1:-1], autoescape=True)
    for row in connection.execute(query.where(named)).all():
        payload = json.loads(row.payload)
        changed = {one: new for one in ("with", "whose", "what") if payload.get(one) == old}
        fresh = {**_renamed(payload, old, new, name), **changed}
        if fresh != payload:
            _write_payload(connection, row.seq, fresh)
            touched.add(str(row.bundle))
    return touched


def _renamed(value: Any, old: str, new: str, name: str) -> Any:
    """What a record says of who did something, such as each answer of a sharpened group, renamed."""
    if isinstance(value, dict):
        held = {one: _renamed(own, old, new, name) for one, own in value.items()}
        mine = value.get("author_key") == old
        return {**held, "author": name, "author_key": new} if mine else held
    return [_renamed(one, old, new, name) for one in value] if isinstance(value, list) else value


def _reworded(connection: Connection, names: set[str], new: str, *, keep: bool) -> list[Event]:
    """The events in whose words one of these names stands; with ``keep`` they are only told."""
    if not names:
        return []
    pattern, found = _any_of(names), []
    # JSON writes other than ASCII letters as numbers, which a search for letters would pass by.
    hints = [one.split()[0].casefold() for one in names] if "".join(names).isascii() else [""]
    columns = events.c
    for row in _all_rows(connection, columns.seq, columns.tag, columns.payload):
        told = f"{row.tag or ''} {row.payload}".casefold()
        if not any(hint in told for hint in hints):
            continue
        payload = json.loads(row.payload)
        tag, fresh = _replaced(row.tag, pattern, new), _replaced(payload, pattern, new)
        if (tag, fresh) == (row.tag, payload):
            continue
        if not keep:
            connection.execute(
                events.update().where(columns.seq == row.seq).values(tag=tag and tag[:80].strip())
            )
            _write_payload(connection, row.seq, fresh)
        whole = connection.execute(sa.select(events).where(columns.seq == row.seq)).one()
        found.append(event_of(whole, frozenset()))
    return found


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Finds any of these names as whole words, however they are spaced and whatever their case."""
    longest_first = sorted(names, key=lambda one: (-len(one), one))
    either = "|".join(r"\s+".join(map(re.escape, one.split())) for one in longest_first)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)


def _all_rows(connection: Connection, seq: sa.ColumnElement[int], *others: Any) -> Iterator[Any]:
    """These columns of all events, the oldest first, some at a time."""
    query, after = sa.select(seq, *others).order_by(seq).limit(AT_ONCE), 0
    while rows := connection.execute(query.where(seq > after)).all():
        yield from rows
        after = rows[-1].seq


def _replaced(value: Any, pattern: re.Pattern[str], new: str) -> Any:
    """The same with the name replaced in every text of it."""
    if isinstance(value, str):
        return pattern.sub(new, value)
    if isinstance(value, dict):
        return {one: _replaced(own, pattern, new) for one, own in value.items()}
    return [_replaced(one, pattern, new) for one in value] if isinstance(value, list) else value


def _write_payload(connection: Connection, seq: int, payload: dict[str, Any]) -> None:
    packed = json.dumps(payload, separators=(",", ":"))
    connection.execute(events.update().where(events.c.seq == seq).values(payload=packed))


def _forget_sign_ins(connection: Connection, key: str, new: Author) -> None:
    """End a person's sign-ins, so that no cookie of theirs writes the name again, under the pseudonym."""
    connection.execute(sign_ins.delete().where(sign_ins.c.id == key))
    theirs = sign_ins.update().where(sign_ins.c.author_key == key)
    connection.execute(theirs.where(sign_ins.c.ended.is_(None)).values(ended=time.time()))
    connection.execute(theirs.values(author_key=new.key, name=new.name))
