"""Appending to the log and reading it back, whatever its entries say."""

from __future__ import annotations

import json
import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from backend.core.errors import InputError, StoreError
from backend.core.plural import counted
from backend.store.authors import Author, Who, author_of
from backend.store.database import (
    database_url,
    events,
    file_of,
    open_database,
    reading,
    vanished,
    where,
    writing,
)
from backend.store.fold import Fold
from backend.store.log import (
    AROUND,
    ERASURE,
    OF_EXAMPLES,
    Event,
    clean_ids,
    clean_name,
    clean_operation,
    clean_tag,
    pack_ids,
    pack_payload,
)
from backend.store.rows import NAMED, event_of, step_of

TOGETHER = "together "
"""Begins the operation of changes that are one step to their author; a name they share follows."""

RETRY_S = 3.0
"""How long a database that could not be opened is not tried again; until then the answer is the same."""


class LogKeeper:
    """One database, and the fold of every bundle that was asked for; ``Store`` says the rest.

    The lock is held only to look at a fold or to change one, never while a database is waited for:
    somebody who waits for a locked file holds up nobody else.
    """

    def __init__(
        self,
        url: str | None = None,
        home: str | os.PathLike[str] | None = None,
        *,
        wait_s: float = 10.0,
        later: bool = False,
        until: int | None = None,
    ) -> None:
        self._until = until
        self._asked = (url, home, wait_s)
        self._opened: tuple[Engine, URL] | None = None
        self._file: tuple[int, int] | None = None
        self._refused: tuple[float, StoreError] | None = None
        self._opening = threading.Lock()
        self._folds: dict[str, Fold] = {}
        self._lock = threading.RLock()
        if not later:
            self._open()

    @property
    def place(self) -> str:
        """Which database this is, without its password."""
        return where(self._open()[1])

    def probe(self) -> None:
        """Read something from the database, which raises ``StoreError`` where that cannot be."""
        with self._reading() as connection:
            connection.execute(sa.select(events.c.seq).limit(1)).all()

    def close(self) -> None:
        """Let go of the database. The store must not be used afterwards."""
        if self._opened is not None:
            self._opened[0].dispose()

    def _open(self) -> tuple[Engine, URL]:
        """The database, opened when it was not; one that refused is left alone for a moment."""
        if self._opened is None:
            with self._opening:
                if self._opened is None:
                    self._opened = self._try_to_open()
        if file_of(self._opened[1]) != self._file:
            self._open_another()
        return self._opened

    def _open_another(self) -> None:
        """Take up the file that stands where the opened one was; refuse while there is none."""
        with self._opening:
            assert self._opened is not None
            engine, url = self._opened
            now = file_of(url)
            if now is None:
                raise vanished(url)
            if now != self._file:
                engine.dispose()
                with self._lock:
                    self._folds.clear()  # a copy may hold less
                self._opened = self._try_to_open()

    def _try_to_open(self) -> tuple[Engine, URL]:
        if self._refused is not None and time.monotonic() < self._refused[0]:
            raise StoreError(str(self._refused[1]))
        url, home, wait_s = self._asked
        try:
            place = database_url(url, home)
            opened = open_database(place, wait_s=wait_s), place
            self._file = file_of(place)
            weakref.finalize(self, opened[0].dispose)
            return opened
        except StoreError as error:
            self._refused = (time.monotonic() + RETRY_S, error)
            raise

    def _of(self, digest: str) -> sa.ColumnElement[bool]:
        """Which events are looked at: those of a bundle, up to the moment that this store shows."""
        of_bundle = (events.c.bundle == digest) & events.c.kind.not_in(AROUND)
        return of_bundle if self._until is None else of_bundle & (events.c.seq <= self._until)

    def _reading(self) -> AbstractContextManager[Connection]:
        return reading(*self._open())

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._until is not None:
            raise InputError(f"a store as of event {self._until} is for reading only.")
        engine, url = self._open()
        with writing(engine, url) as connection:
            yield connection
        if file_of(url) != self._file:  # what was committed went into a file without a name
            raise vanished(url)

    def events_at(self, bundle: Any, seqs: Iterable[int]) -> list[Event]:
        """The events of a bundle with these ``seq``, oldest first."""
        digest, wanted = digest_of(bundle), sorted({int(seq) for seq in seqs})
        found = []
        with self._reading() as connection:
            fold = self._advance(connection, digest)
            for start in range(0, len(wanted), 500):  # databases limit the values in one query
                query = (
                    sa.select(events)
                    .where(self._of(digest), events.c.seq.in_(wanted[start : start + 500]))
                    .order_by(events.c.seq)
                )
                rows = connection.execute(query).all()
                with self._lock:
                    found += [event_of(row, fold.undone) for row in rows]
        return found

    def _cards(self, bundle: Any, kind: str) -> dict[str, Event]:
        """Key -> the event that made it what it is now, of one kind of card, the first first."""
        with self._fold(bundle) as fold:
            seqs = dict(fold.cards(kind))
        found = {event.seq: event for event in self.events_at(bundle, seqs.values())}
        return {key: found[seq] for key, seq in seqs.items()}

    def _change(
        self,
        kind: str,
        bundle: Any,
        author: Who,
        *,
        payload: dict[str, Any],
        ids: Iterable[str] = (),
        tag: str | None = None,
        operation: str | None = None,
    ) -> Event:
        """Append one event of any kind but undo and redo, its parts checked."""
        values = self._values(
            kind, bundle, author, payload=payload, ids=ids, tag=tag, operation=operation
        )
        with self._writing() as connection:
            return self._append(connection, values)

    def _values(
        self,
        kind: str,
        bundle: Any,
        author: Who,
        *,
        payload: dict[str, Any],
        ids: Iterable[str] = (),
        tag: str | None = None,
        operation: str | None = None,
    ) -> dict[str, Any]:
        """The row of such an event, but for its time."""
        digest, who = digest_of(bundle), author_of(author)
        tagging = kind in ("tag", "untag")
        named = kind in OF_EXAMPLES or (kind == "known" and payload["reason"])
        names = clean_ids(ids) if named else []
        return {
            "bundle": digest,
            "author": who.name,
            "author_key": who.key,
            "kind": kind,
            "tag": clean_tag(tag) if tagging else None,
            "target": None,
            "n_ids": len(names),
            "payload": pack_payload(payload),
            "ids": pack_ids(names) if names else b"",
            "operation": clean_operation(operation),
        }

    def _revert(
        self, kind: str, bundle: Any, author: Who, operation: str | None = None
    ) -> Event | None:
        digest, who = digest_of(bundle), author_of(author)
        operation = clean_operation(operation)
        with self._writing() as connection:
            done = self._done(connection, digest, operation)
            if done is not None:
                return done
            fold = self._advance(connection, digest)
            with self._lock:
                target = fold.undoable(who.key) if kind == "undo" else fold.redoable(who.key)
            if target is None:
                return None
            step = self._step(connection, self._read(connection, target), fold, kind == "redo")
            return self._turn(connection, kind, step, who, operation)

    def _turn(
        self,
        connection: Connection,
        kind: str,
        step: list[Event],
        who: Author,
        operation: str | None = None,
    ) -> Event:
        """Append an undo or a redo of each change of a step; the first of them."""
        made: list[Event] = []
        for turned in step:
            more = f" and {counted(len(step) - 1, 'set')} more" if step[1:] and not made else ""
            payload = {"of": turned.summary + more}
            if turned.author_key != who.key:
                payload["whose"] = turned.author_key
            values = {
                "bundle": turned.bundle,
                "author": who.name,
                "author_key": who.key,
                "kind": kind,
                "tag": turned.tag,
                "target": turned.seq,
                "n_ids": turned.n_ids,
                "payload": pack_payload(payload),
                "ids": b"",
                "operation": None if made else operation,
            }
            made.append(self._append(connection, values))
        return made[0]

    def _step(self, connection: Connection, change: Event, fold: Fold, undone: bool) -> list[Event]:
        """A change with those that were made together with it and are in the same state.

        The one that undo or redo comes to first stands first.
        """
        operation = change.operation or ""
        if not operation.startswith(TOGETHER):
            return [change]
        shared = operation.rpartition(" ")[0]
        columns = events.c
        query = (
            sa.select(events)
            .where(
                columns.bundle == change.bundle,
                columns.author_key == change.author_key,
                columns.operation.startswith(f"{shared} ", autoescape=True),
            )
            .order_by(columns.seq if undone else columns.seq.desc())
        )
        with self._lock:
            found = [event_of(row, fold.undone) for row in connection.execute(query)]
        return [one for one in found if one.undone == undone]

    def _peek(self, bundle: Any, author: Who, *, redo: bool) -> Event | None:
        digest, who = digest_of(bundle), author_of(author)
        with self._reading() as connection:
            fold = self._advance(connection, digest)
            with self._lock:
                seq = fold.redoable(who.key) if redo else fold.undoable(who.key)
            return None if seq is None else self._read(connection, seq)

    def _done(self, connection: Connection, digest: str, operation: str | None) -> Event | None:
        """The event of an operation that was done already; events without a name are not looked for."""
        if operation is None:
            return None
        query = sa.select(events).where(events.c.bundle == digest, events.c.operation == operation)
        row = connection.execute(query).one_or_none()
        return None if row is None else event_of(row, frozenset())

    def _append(self, connection: Connection, values: dict[str, Any]) -> Event:
        done = self._done(connection, values["bundle"], values["operation"])
        if done is not None:
            return done
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = {**values, "time": now}
        insertion = sa.insert(events).values(values).returning(events.c.seq)
        seq = int(connection.execute(insertion).scalar_one())
        payload = json.loads(values.pop("payload"))
        packed = values.pop("ids")
        return Event(seq=seq, payload=payload, packed=packed, **values)

    def _read(self, connection: Connection, seq: int) -> Event:
        row = connection.execute(sa.select(events).where(events.c.seq == seq)).one()
        return event_of(row, frozenset())

    @contextmanager
    def _fold(self, bundle: Any) -> Iterator[Fold]:
        """The fold of a bundle with all that was appended, for as long as the block looks at it."""
        with self._reading() as connection:
            fold = self._advance(connection, digest_of(bundle))
        with self._lock:
            yield fold

    def _advance(self, connection: Connection, digest: str) -> Fold:
        """The fold of a bundle, brought up to the last event that this connection sees."""
        with self._lock:
            fold = self._folds.setdefault(digest, Fold())
            known = fold.last
        columns = events.c
        # The payload of a tag holds a center, maybe a large matrix: only short ones are read here.
        query = (
            sa.select(
                columns.seq,
                columns.author,
                columns.author_key,
                columns.time,
                columns.kind,
                columns.tag,
                columns.target,
                columns.ids,
                sa.case((columns.kind.in_(NAMED), columns.payload), else_="").label("name"),
            )
            .where(self._of(digest), columns.seq > known)
            .order_by(columns.seq)
        )
        steps = [step_of(row) for row in connection.execute(query)]
        if known and any(step.kind == ERASURE for step in steps):
            with self._lock:  # names that were read before are no longer theirs
                self._folds.pop(digest, None)
            return self._advance(connection, digest)
        with self._lock:  # others may have read some of the same meanwhile
            fold.advance(step for step in steps if step.seq > fold.last)
        return fold


def digest_of(bundle: Any) -> str:
    """The digest that names a bundle: its own, or the text itself."""
    digest = getattr(bundle, "digest", bundle)
    return clean_name("the digest of a bundle", digest, longest=128)
