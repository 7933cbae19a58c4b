"""Appending to the log and reading it back, whatever its entries say."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from backend.store.database import database_url, events, open_database, reading, where, writing
from backend.store.fold import Fold
from backend.store.log import (
    Event,
    clean_author,
    clean_ids,
    clean_name,
    clean_operation,
    clean_tag,
    pack_ids,
    pack_payload,
)
from backend.store.rows import NAMED, event_of, step_of


class LogKeeper:
    """One database, and the fold of every bundle that was asked for; ``Store`` says the rest."""

    def __init__(
        self,
        url: str | None = None,
        home: str | os.PathLike[str] | None = None,
        *,
        wait_s: float = 10.0,
    ) -> None:
        self._url = database_url(url, home)
        self._engine = open_database(self._url, wait_s=wait_s)
        self._folds: dict[str, Fold] = {}
        self._lock = threading.RLock()

    @property
    def place(self) -> str:
        """Which database this is, without its password."""
        return where(self._url)

    def close(self) -> None:
        """Let go of the database. The store must not be used afterwards."""
        self._engine.dispose()

    def events_at(self, bundle: Any, seqs: Iterable[int]) -> list[Event]:
        """The events of a bundle with these ``seq``, oldest first."""
        digest, wanted = digest_of(bundle), sorted({int(seq) for seq in seqs})
        found = []
        with self._lock, reading(self._engine, self._url) as connection:
            fold = self._advance(connection, digest)
            for start in range(0, len(wanted), 500):  # databases limit the values in one query
                query = (
                    sa.select(events)
                    .where(events.c.bundle == digest, events.c.seq.in_(wanted[start : start + 500]))
                    .order_by(events.c.seq)
                )
                found += [event_of(row, fold.undone) for row in connection.execute(query)]
        return found

    def _change(
        self,
        kind: str,
        bundle: Any,
        author: str,
        *,
        payload: dict[str, Any],
        ids: Iterable[str] = (),
        tag: str | None = None,
        operation: str | None = None,
    ) -> Event:
        """Append one event of any kind but undo and redo, its parts checked."""
        digest = digest_of(bundle)
        tagging = kind in ("tag", "untag")
        names = clean_ids(ids) if tagging else []
        values = {
            "bundle": digest,
            "author": clean_author(author),
            "kind": kind,
            "tag": clean_tag(tag) if tagging else None,
            "target": None,
            "n_ids": len(names),
            "payload": pack_payload(payload),
            "ids": pack_ids(names) if names else b"",
            "operation": clean_operation(operation),
        }
        with self._lock, writing(self._engine, self._url) as connection:
            return self._append(connection, values)

    def _revert(
        self, kind: str, bundle: Any, author: str, operation: str | None = None
    ) -> Event | None:
        digest, author = digest_of(bundle), clean_author(author)
        operation = clean_operation(operation)
        with self._lock, writing(self._engine, self._url) as connection:
            done = self._done(connection, digest, operation)
            if done is not None:
                return done
            fold = self._advance(connection, digest)
            target = fold.undoable(author) if kind == "undo" else fold.redoable(author)
            if target is None:
                return None
            reverted = self._read(connection, target)
            values = {
                "bundle": digest,
                "author": author,
                "kind": kind,
                "tag": reverted.tag,
                "target": target,
                "n_ids": reverted.n_ids,
                "payload": pack_payload({"of": reverted.summary}),
                "ids": b"",
                "operation": operation,
            }
            return self._append(connection, values)

    def _peek(self, bundle: Any, author: str, *, redo: bool) -> Event | None:
        digest, author = digest_of(bundle), clean_author(author)
        with self._lock, reading(self._engine, self._url) as connection:
            fold = self._advance(connection, digest)
            seq = fold.redoable(author) if redo else fold.undoable(author)
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

    def _fold(self, bundle: Any) -> Fold:
        with reading(self._engine, self._url) as connection:
            return self._advance(connection, digest_of(bundle))

    def _advance(self, connection: Connection, digest: str) -> Fold:
        """The fold of a bundle, brought up to the last event that this connection sees."""
        fold = self._folds.setdefault(digest, Fold())
        columns = events.c
        # The payload of a tag holds a center, maybe a large matrix: only short ones are read here.
        query = (
            sa.select(
                columns.seq,
                columns.author,
                columns.time,
                columns.kind,
                columns.tag,
                columns.target,
                columns.ids,
                sa.case((columns.kind.in_(NAMED), columns.payload), else_="").label("name"),
            )
            .where(columns.bundle == digest, columns.seq > fold.last)
            .order_by(columns.seq)
        )
        fold.advance([step_of(row) for row in connection.execute(query)])
        return fold


def digest_of(bundle: Any) -> str:
    """The digest that names a bundle: its own, or the text itself."""
    digest = getattr(bundle, "digest", bundle)
    return clean_name("the digest of a bundle", digest, longest=128)
